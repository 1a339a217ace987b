"""A trace as a mail to a list: plain text, ASCII, at most 75 columns in every line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmxsim.exports.places import fact_line, places
from vmxsim.exports.plain import COLUMNS, ascii_text, block, code, paragraph
from vmxsim.exports.report import FILE, Report
from vmxsim.exports.rows import Row

_INDENT = "    "
#: Lines of a function around the one that matters.
_AROUND = 9


def mail(told: Report) -> str:
    """The whole mail, its subject first."""
    parts = [
        paragraph(told.headline, "Subject: [vmxsim] ", " "),
        paragraph(told.claim),
        _schedule(told),
        _verdict(told),
        _steps(told),
        _state(told),
        _source(told),
        _again(told),
        [line for remark in told.remarks for line in paragraph(remark, "Note: ")],
        ["-- ", *paragraph(told.footer)],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _schedule(told: Report) -> list[str]:
    scenario = told.about.scenario
    if scenario is None:
        return []
    return [_INDENT + line for line in block(scenario, COLUMNS - len(_INDENT))]


def _verdict(told: Report) -> list[str]:
    lines: list[str] = []
    said = {"Expected:": told.expected, "Found:": told.found, "Lost at:": told.lost, "Why:": told.why}
    for name, text in said.items():
        lines += paragraph(text, f"{name:<10}") if text else []
    return lines


def _steps(told: Report) -> list[str]:
    rows, trace = told.rows, told.about.trace
    if trace is None or not rows.rows:
        return []
    signs = {"*": told.about.lost, "!": told.about.broken}
    meant = {"*": "here the right value is lost", "!": "here an invariant breaks"}
    legend = "".join(f" {sign} {meant[sign]}." for sign, number in signs.items() if number)
    lines = _heading("What happens")
    lines += paragraph(f"The {len(rows.rows)} of {rows.steps} steps that matter.{legend}")
    if rows.earlier:
        lines += paragraph(f"({rows.earlier} earlier ones of this kind are left out.)")
    width = max(4, len(str(rows.rows[-1].number)))
    for number, action, group in rows.by_action(trace):
        lines += ["", *paragraph(action, f"[{number}] ")]
        lines += [line for row in group for line in _row(row, width)]
    if rows.later:
        lines += ["", *paragraph(f"({rows.later} later ones of this kind are left out.)")]
    return lines


def _row(row: Row, width: int) -> Iterator[str]:
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
    for effect in row.effects:
        yield from paragraph(effect, under + "- ")
    if row.broken:
        yield from paragraph(f"BREAKS {', '.join(row.broken)}", under + "! ")


def _state(told: Report) -> list[str]:
    about = told.about
    if about.trace is None:
        return []
    number = about.broken or len(about.trace.steps)
    scene = about.trace.scene(number)
    rows = places(scene)
    widths = [max((len(ascii_text(row[column])) for row in rows), default=0) for column in range(4)]
    when = f"When it breaks, after step {number}" if about.broken else f"At the end, after step {number}"
    lines = [*_heading(when)]
    for row in rows:
        cells = [ascii_text(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = f"  {'  '.join(cells)}".rstrip()
        lines += [line] if len(line) <= COLUMNS else paragraph(" ".join(row), "  ", _INDENT)
    for box in scene.boxes:
        if box.kind == "vcpu" and box.facts:
            lines += paragraph(fact_line(box), "  ", _INDENT)
    return lines


def _source(told: Report) -> list[str]:
    if told.code is None:
        return []
    function, listing, lost = told.code
    first, last = max(1, lost - _AROUND), min(len(listing), lost + _AROUND)
    shown = sorted({1, *range(first, last + 1)})
    lines = _heading(f"{function}(), and the line that loses the value")
    for number in shown:
        text = listing[number - 1]
        indent = " " * (len(text) - len(text.lstrip()))
        head = f"{'*' if number == lost else ' '}{number:>4}  "
        lines += code(text.strip(), head + indent, " " * len(head) + indent + "    ")
        if number == 1 and first > 2:
            lines.append(f"{'':7}    ...")
    if last < len(listing):
        lines.append(f"{'':7}    ...")
    return lines


def _again(told: Report) -> list[str]:
    if not told.commands:
        return []
    saved = "The schedule above, saved as " + FILE if told.about.scenario else "The recording itself"
    lines = [*_heading("To reproduce"), *paragraph(f"{saved}:")]
    for command, what in told.commands:
        lines += ["", *_command(command), *paragraph(what, _INDENT + "  # ")]
    return lines


def _command(command: str) -> list[str]:
    r"""A command of the shell; where it is too long it goes on behind a ``\``."""
    lines, line = [], _INDENT
    for word in re.split(r" (?=--)", ascii_text(command)):  # an option stays with its value
        if len(line) + len(word) + 2 > COLUMNS and line.strip():
            lines.append(line + "\\")
            line = _INDENT + "  "
        line += word + " "
    return [*lines, line.rstrip()]


def _heading(text: str) -> list[str]:
    found = paragraph(text)
    return [*found, "-" * len(found[-1])]
