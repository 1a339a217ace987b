"""A trace as a mail for a list: plain ASCII text with lines of at most 75 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from unicodedata import combining, normalize

import vmxsim
from vmxsim.errors import printable
from vmxsim.exports.report import Report, Row, legend
from vmxsim.exports.subject import FILE, MODEL, Code, excerpt, lines_words
from vmxsim.kernel.kvm import name_of
from vmxsim.simulation.scenario import Scenario, scenario_yaml
from vmxsim.views.words import sentence

COLUMNS = 75

_ASCII = {
    "→": "->", "←": "<-", "↔": "<->", "⇄": "<->", "★": "*", "✖": "x", "✕": "x", "✔": "ok", "≠": "!=",
    "–": "-", "—": "-", "−": "-", "…": "...", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "·": "-",
    "×": "x", "\N{NO-BREAK SPACE}": " ", "▶": ">", "▷": ">",
}  # fmt: skip


def ascii_text(text: str) -> str:
    """Convert to ASCII: replace arrows and quotes, strip accents, escape everything else."""
    spelled = "".join(_ASCII.get(c, c) for c in text)
    bare = "".join(c for c in normalize("NFKD", spelled) if not combining(c))
    return bare.encode("ascii", "backslashreplace").decode()


#: Words to keep on one line with the number or value after them.
_TIED = re.compile(r"\b(CPU|vCPU|guest|thread|line|step|base|value|commit|Linux) (?=[\dx])")
_TIE = "\0"


def paragraph(text: str, first: str = "", rest: str | None = None, width: int = COLUMNS) -> list[str]:
    """``text`` in lines of at most ``width`` columns, the first one prefixed with ``first`` and the others
    with ``rest`` (default: spaces). A word that is too long is broken."""
    indent = " " * len(first) if rest is None else rest
    tied = _TIED.sub(rf"\1{_TIE}", ascii_text(text).replace(_TIE, " "))
    lines = wrap(tied, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(_TIE, " ").rstrip() for line in lines]


def code(text: str, first: str, rest: str, width: int = COLUMNS) -> list[str]:
    """A line of source, broken after a comma, a bracket or an operator if it is too long."""
    shown = ascii_text(text)
    if len(first) + len(shown) <= width:
        return [(first + shown).rstrip()]
    pieces = re.findall(r".+?(?:[,(=|&] ?|\s(?=(?:and|or|in)\b)|$)", shown)
    lines, line = [], first
    for piece in pieces:
        if len(line) + len(piece.rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            line = rest
        line += piece.lstrip() if not line.strip() else piece
        while len(line.rstrip()) > width:
            lines.append(line[:width])
            line = rest + line[width:]
    return [*lines, line.rstrip()] if line.strip() else lines


def block(scenario: Scenario, width: int) -> list[str]:
    """A scenario as YAML that vmxsim can run, in lines of at most ``width`` columns.

    A long preemption point takes several lines; a title that cannot be broken is dropped.
    """
    import yaml

    lines = []
    text = scenario_yaml(scenario)
    head, _, items = text.partition("\nsteps:\n")
    for line in f"{head}\nsteps:\n{items}".splitlines():
        if len(line) <= width:
            lines.append(line)
        elif line.startswith("  - "):
            step = yaml.safe_load(line)[0]
            dumped = yaml.dump([step], sort_keys=False, width=width - 4).splitlines()
            lines += [f"  {one}" for one in dumped]
        else:
            field = yaml.safe_load(line)
            tries = (yaml.dump(field, width=w).splitlines() for w in range(width, 10, -3))
            lines += next((t for t in tries if all(len(one) <= width for one in t)), [])
    return lines


_INDENT = "    "
#: Lines of a function around the one to blame, and around one that runs or is skipped.
_AROUND, _CLOSE = 2, 0
#: Width of the legend's first column.
_WORD = 16


def mail(told: Report, glossary: bool = False) -> str:
    """The whole mail, starting with its subject; ``glossary`` explains its words at the end."""
    run = told.about.scenario is not None
    body = [
        _beginning(told),
        [*_words("Found: ", told.found), *_why(told)],
        _schedule(told),
        _steps(told),
        _state(told),
        _source(told),
        _change(told),
    ]
    parts = [
        paragraph(told.effect, "Subject: KVM: VMX: ", " "),
        *body,
        _again(told),
        _legend(told) if glossary else [],
        [line for remark in told.remarks for line in paragraph(remark, "Note: ")],
        _rests_on(told),
        ["-- ", *paragraph(_signature(told) if run else told.footer)],
    ]
    return _joined(parts) + "\n"


def _rests_on(told: Report) -> list[str]:
    lines = [line for text in told.rests_on for line in paragraph(text, "  - ")]
    return [*_heading("What this rests on"), *lines] if lines else []


def _signature(told: Report) -> str:
    return f"vmxsim {vmxsim.__version__}. {lines_words(told.about.design)}"


def _joined(parts: list[list[str]]) -> str:
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _beginning(told: Report) -> list[str]:
    """Which code this is about, that it is a model, and the claim."""
    if not told.about_code:
        return paragraph(f"{told.claim}.")
    return [*paragraph(told.about_code), "", *paragraph(f"{MODEL} {told.claim}.")]


def _words(name: str, text: str) -> list[str]:
    return paragraph(f"{name}{text}") if text else []


def _why(told: Report) -> list[str]:
    at = "".join(f" step {row.number} ({row.where})" for row in told.rows.rows if row.lost)
    done = sentence(f"{told.blamed.done} at{at}") if at else ""
    why = f"Why ({told.mechanism}): " if told.mechanism else "Why: "
    return _words(why, " ".join(filter(None, (told.why, done))))


def _schedule(told: Report) -> list[str]:
    scenario = told.about.scenario
    if scenario is None:
        return []
    lines = block(scenario, COLUMNS - len(_INDENT))
    return [*_heading("The schedule"), *(_INDENT + line for line in lines)]


def _steps(told: Report) -> list[str]:
    rows, trace = told.rows, told.about.trace
    if trace is None or not rows.rows:
        return []
    signs = {"*": told.about.lost, "!": told.about.broken}
    meant = {"*": told.blamed.done, "!": "it breaks"}
    signed = "".join(f"; {sign} {meant[sign]}" for sign, number in signs.items() if number)
    lines = _heading(f"What happens ({len(rows.rows)} of {rows.steps} steps{signed})")
    if rows.skipped:
        far = ", those farthest from the marked ones" if signed else ""
        lines += paragraph(f"{rows.skipped} more of this kind are left out{far}.")
    width = max(4, len(str(rows.rows[-1].number)))
    for number, action, group in rows.by_action(trace):
        lines += paragraph(action, f"[{number + 1}] ")
        for row in group:
            lines += [f"{_INDENT}({row.skipped} left out here)"] if row.skipped else []
            shown = told.missed is not None and row.number == told.missed.number
            lines += _row(row, width, [] if shown else row.effects)
            lines += _not_run(told) if shown else []
    if rows.later:
        lines += ["", f"{_INDENT}({rows.later} left out here)"]
    return lines


def _not_run(told: Report) -> list[str]:
    """The function that fails to load: the line that ran and those it skipped."""
    found = told.missed
    assert found is not None
    ran, lines = found.code.at.line, found.code.lines
    marks = {ran: ">", **dict.fromkeys(found.passed, "-")}
    shown = _without_end(excerpt(lines, (ran, *found.passed), _CLOSE))
    return [f"{_INDENT * 2}> runs, - does not:", *_listing(found.code, shown, marks, _INDENT * 2)]


def _row(row: Row, width: int, effects: Sequence[str]) -> Iterator[str]:
    mark = "!" if row.broken else "*" if row.lost else " "
    first = f"{mark}{row.number:>{width}}  CPU {row.cpu}  "
    under = " " * len(first)
    where = ascii_text(f"{row.where}: " if row.where else "")
    whole = f"{first}{where}"
    if len(whole) + len(ascii_text(row.source)) <= COLUMNS or not where:
        yield from code(row.source, whole, under + "    ")
    else:
        yield whole.rstrip(": ")
        yield from code(row.source, under + "    ", under + "        ")
    if effects and not row.source.endswith((" = True", " = False")):
        yield from paragraph("; ".join(effects), under + "- ")
    if row.broken:
        yield from paragraph(f"BREAKS {', '.join(row.broken)}", under + "! ")


def _state(told: Report) -> list[str]:
    if told.state is None or told.about.invariant:
        return []  # the steps show what is wrong
    rows = told.state.places
    widths = [max((len(ascii_text(row[column])) for row in rows), default=0) for column in range(4)]
    lines = _heading(told.state.when)
    for row in rows:
        cells = [ascii_text(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = f"  {'  '.join(cells)}".rstrip()
        lines += [line] if len(line) <= COLUMNS else paragraph(" ".join(row), "  ", _INDENT)
    return [*lines, *(line for fact in told.state.facts for line in paragraph(fact, "  ", _INDENT))]


def _source(told: Report) -> list[str]:
    if told.code is None:
        return []
    at = told.code.at
    file = f", {at.name}" if at.file else ""
    lines = _heading(f"{printable(at.function)}(), and the line that {told.code_does}{file}")
    shown = _without_end(excerpt(told.code.lines, (at.line,), _AROUND))
    return [*lines, *_listing(told.code, shown, {at.line: "*"}, "")]


def _without_end(shown: list[int]) -> list[int]:
    """The numbers without a gap at the end."""
    return shown if shown[-1] else shown[:-1]


def _listing(found: Code, shown: list[int], marks: dict[int, str], before: str) -> list[str]:
    """The lines with these numbers; 0 marks a gap."""
    lines: list[str] = []
    for number in shown:
        if not number:
            lines.append(f"{before}{'':7}...")
            continue
        text = found.lines[number - 1]
        indent = " " * (len(text) - len(text.lstrip()))
        head = f"{before}{marks.get(number, ' ')}{found.at.first + number - 1:>4}  "
        lines += code(text.strip(), head + indent, " " * len(head) + indent + "    ")
    return lines


def _change(told: Report) -> list[str]:
    if not told.change or told.about.design is None:
        return []
    lines = _heading(f"What {name_of(told.about.design)} changes")
    for one in told.change:
        shown = printable(one, 200)
        indent = shown[:1] + " " * (len(shown[1:]) - len(shown[1:].lstrip()))
        lines += code(shown[1:].lstrip(), f"  {indent}", f"  {indent}    ")
    return lines


def _legend(told: Report) -> list[str]:
    found = legend(told)
    if not found:
        return []
    lines = _heading("The words")
    for word, meaning in found:
        lines += paragraph(f"{meaning}.", f"  {word:<{_WORD}}", " " * (_WORD + 2))
    return lines


def _again(told: Report) -> list[str]:
    if not told.commands:
        return []
    saved = f"the schedule saved as {FILE}" if told.about.scenario else "the recording itself"
    lines = _heading(f"To reproduce, with {saved}")
    for command, what in told.commands:
        line = f"{_INDENT}{ascii_text(command)}  # {what}"
        fits = len(line) <= COLUMNS
        lines += [line] if fits else [*_command(command), *paragraph(what, _INDENT + "  # ")]
    return lines


def _command(command: str) -> list[str]:
    r"""A shell command, continued after a ``\`` if it is too long."""
    lines, line = [], _INDENT
    for word in re.split(r" (?=--)", ascii_text(command)):  # an option stays with its value
        if len(line) + len(word) + 2 > COLUMNS and line.strip():
            lines.append(line + "\\")
            line = _INDENT + "  "
        line += word + " "
    return [*lines, line.rstrip()]


def _heading(text: str) -> list[str]:
    return paragraph(text)
