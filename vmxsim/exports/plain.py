"""Text for a mailing list: ASCII, no line longer than 75 columns."""

from __future__ import annotations

import re
from textwrap import wrap
from unicodedata import combining, normalize

from vmxsim.scenario import Scenario
from vmxsim.scenariotext import scenario_yaml

COLUMNS = 75

_ASCII = {
    "→": "->", "←": "<-", "↔": "<->", "⇄": "<->", "★": "*", "✖": "x", "✕": "x", "✔": "ok", "≠": "!=",
    "–": "-", "—": "-", "−": "-", "…": "...", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "·": "-",
    "×": "x", "\N{NO-BREAK SPACE}": " ", "▶": ">", "▷": ">",
}  # fmt: skip


def ascii_text(text: str) -> str:
    """Any text in ASCII: arrows and quotes by their ASCII cousins, letters without their accents, all else
    as an escape."""
    spelled = "".join(_ASCII.get(c, c) for c in text)
    bare = "".join(c for c in normalize("NFKD", spelled) if not combining(c))
    return bare.encode("ascii", "backslashreplace").decode()


#: What belongs on one line with its number or its value.
_TIED = re.compile(r"\b(CPU|vCPU|guest|thread|line|step|base|value|commit|Linux) (?=[\dx])")
_TIE = "\0"


def paragraph(text: str, first: str = "", rest: str | None = None, width: int = COLUMNS) -> list[str]:
    """``text`` in lines of at most ``width`` columns; ``first`` stands before the first line and ``rest``
    before the others (as many spaces, unless said). A word that is too long is broken."""
    indent = " " * len(first) if rest is None else rest
    tied = _TIED.sub(rf"\1{_TIE}", ascii_text(text).replace(_TIE, " "))
    lines = wrap(tied, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(_TIE, " ").rstrip() for line in lines]


def code(text: str, first: str, rest: str, width: int = COLUMNS) -> list[str]:
    """A line of source: whole if there is room, else broken behind a comma, a bracket or an operator."""
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
    """A scenario as YAML in lines of at most ``width`` columns, to be read and run by vmxsim.

    A preemption point is written on several lines where one is too long. A title that cannot be
    broken is left out.
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
