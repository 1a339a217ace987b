"""A review as HTML: for a notebook, and as a page of its own."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from typing import Any

from attrs import frozen

import vmxsim
from vmxsim.checker.result import result_css
from vmxsim.csource.diff import Line
from vmxsim.csource.findings import RAN, RUNS, Encounter, Findings, Side
from vmxsim.errors import InputError, counted
from vmxsim.exports.report import Row
from vmxsim.exports.review_words import (
    MARKS,
    broken_words,
    changed_lines,
    changed_words,
    conclusion,
    example_words,
    file_words,
    interception_words,
    marked_hunks,
    needed,
    rests_on,
    rests_on_in_full,
    side_words,
    split_words,
    title,
    told_rows,
    widths,
)
from vmxsim.exports.subject import subject
from vmxsim.exports.template import filled
from vmxsim.simulation.run import RunTrace
from vmxsim.views.film import still
from vmxsim.views.style import theme_css

_SIGNS = {"safe": "✔", "violated": "✖", "incomplete": "?", "not understood": "?"}


@frozen
class _Pane:
    """One side of the comparison: a run of the schedule, step by step, and the picture where it ends. It
    differs from the other one from step ``split`` on."""

    head: str
    actions: list[tuple[str, list[Row]]]
    picture: str
    words: str
    split: int


def review_fragment(findings: Findings, note: str = "") -> str:
    """The review as an element for a notebook, light or dark as that is."""
    return filled("review.html", page=False, **_fields(findings, note))


def review_page(findings: Findings, note: str = "") -> str:
    """The review as a page without scripts that needs no network."""
    return filled("review.html", page=True, **_fields(findings, note))


def _fields(findings: Findings, note: str) -> dict[str, Any]:
    met = findings.encounter
    return {
        "title": title(findings),
        "conclusion": conclusion(findings),
        "style": theme_css(".vmxsim-review") + result_css() + _css(),
        "note": note,
        "notes": [
            *(file_words(change) for one in findings.applied for change in one.changes),
            *(words for one in findings.applied for words in one.notes),
        ],
        "sides": [_side(side) for side in findings.sides],
        "pieces": findings.pieces,
        "needed": needed(),
        "broken": [f"{words}." for pair in pairwise(findings.sides) if (words := broken_words(*pair))],
        "changed": [(changed_words(one), list(changed_lines(one))) for one in findings.changed],
        "understood": all(side.carried for side in findings.sides),
        "interception": interception_words(findings),
        "example": example_words(met) if met else [],
        "split": split_words(met) if met else "",
        "panes": _panes(met) if met else [],
        "hunks": [(one, list(zip(one.marks, one.hunk.lines, strict=True))) for one in marked_hunks(findings)],
        "marks": MARKS,
        "names": {RUNS: "now", RAN: "before", "same": "both", "": ""},
        "grounds": _grounds(findings),
        "full": rests_on_in_full(findings.sides[-1]) if findings.sides else [],
        "signs": _SIGNS,
        "version": vmxsim.__version__,
        "number": _number,
    }


def _css() -> str:
    return files("vmxsim.exports").joinpath("review.css").read_text("utf-8")


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "verdict": side.verdict,
        "words": side_words(side),
        "widths": [words for _, words in widths(side)],
    }


def _number(line: Line, after: bool) -> str:
    return str((line.after if after else line.before) or "")


def _panes(met: Encounter) -> list[_Pane]:
    found = []
    for n, trace in enumerate(met.traces):
        patched = bool(n) if len(met.traces) == 2 else bool(met.broken)
        split = (met.split.b_step if n else met.split.a_step) if met.split else 0
        found.append(_pane("With the patch" if patched else "Without the patch", trace, split))
    return found


def _pane(head: str, trace: RunTrace, split: int) -> _Pane:
    about = subject(trace)
    rows = told_rows(trace)
    actions = [
        (f"{number + 1}. {action}", [row for row in rows if row.action == number])
        for number, action in enumerate(trace.actions)
    ]
    at = about.broken or len(trace.steps)
    try:
        picture = still(trace, at)
        picture = picture[picture.index("<svg") :]
    except InputError:  # no Graphviz here
        picture = ""
    how = f"{about.invariant} is broken in step {about.broken}" if about.broken else "no invariant is broken"
    return _Pane(
        head, actions, picture, f"After step {at} of {counted(len(trace.steps), 'step')}: {how}.", split
    )


def _grounds(findings: Findings) -> list[tuple[str, list[str]]]:
    if not findings.sides:
        return []
    last, first = findings.sides[-1], findings.sides[0]
    told = rests_on(last)
    other = [line for line in rests_on(first) if line not in told]
    return [(side.name, lines) for side, lines in ((last, told), (first, other)) if lines]
