"""Text from outside in Markdown: shown as it is, never as markup."""

from __future__ import annotations

import re

from vmxsim.errors import printable

_SPECIAL = re.compile(r"([\\`*_\[\]|<>~&])")
#: Inside a word an underscore means nothing to Markdown.
_INNER = re.compile(r"(?<=[A-Za-z0-9])\\_(?=[A-Za-z0-9])")
#: What makes a heading, an item or a rule where a paragraph starts.
_START = re.compile(r"^([-+#=]|\d+(?=[.)]))")


def escaped(text: object, limit: int = 800) -> str:
    """A text in a sentence: every character that Markdown or HTML could take for markup escaped."""
    shown = _INNER.sub("_", _SPECIAL.sub(r"\\\1", printable(text, limit)))
    start = _START.match(shown)
    if start is None:
        return shown
    at = start.end() if start[0].isdecimal() else 0
    return f"{shown[:at]}\\{shown[at:]}"


def code(text: object, limit: int = 400) -> str:
    """A text as a code span; its fence is longer than any run of backticks in it."""
    shown = printable(text, limit)
    fence = "`" * (1 + _longest(shown))
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str) -> str:
    """Markdown that stands in a cell of a table: there a bar ends the cell even in a code span."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def block(lines: list[str], language: str = "") -> list[str]:
    """A fenced block; its fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((_longest(line) for line in lines), default=0))
    return [f"{fence}{language}", *lines, fence]


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
