"""A review as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from vmxsim.csource.findings import Encounter, Findings
from vmxsim.errors import printable
from vmxsim.exports.review_words import (
    broken_words,
    changed_lines,
    changed_words,
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
from vmxsim.simulation.run import RunTrace

#: Signs of the marks in the first column.
_SIGNS = {"runs": ">", "ran": "x", "same": "=", "": " "}
#: What a line is: of these a terminal shows some in bold or in colour.
TEXT, HEADING = "text", "heading"
Told = Iterator[tuple[str, str]]


def review_lines(findings: Findings, note: str = "") -> list[tuple[str, str]]:
    """The lines of the text, each with what it is: a verdict, ``heading`` or ``text``."""
    told = [(kind, line.expandtabs(8)) for kind, line in _lines(findings, note)]
    return [at for n, at in enumerate(told) if at[1] or (n and told[n - 1][1])]


def _lines(findings: Findings, note: str) -> Told:
    yield HEADING, f"Review of {title(findings)}"
    if note:
        yield TEXT, printable(note, 400)
    for applied in findings.applied:
        for change in applied.changes:
            yield TEXT, file_words(change)
        yield from ((TEXT, printable(one, 400)) for one in applied.notes)
    if not findings.sides:
        yield from _without_tree(findings)
        return
    yield TEXT, ""
    for side in findings.sides:
        yield side.verdict, side_words(side)
        yield from ((TEXT, f"  {words}") for _, words in widths(side))
    for old, new in pairwise(findings.sides):
        if words := broken_words(old, new):
            yield HEADING, f"{words}{'' if len(findings.sides) == 2 else f' ({new.name})'}."
    yield from _changes(findings)
    if findings.encounter:
        yield from _met(findings, findings.encounter)
    yield from _grounds(findings)


def _without_tree(findings: Findings) -> Told:
    yield TEXT, ""
    if findings.pieces:
        yield HEADING, "Functions that stand whole in the patch:"
    else:
        yield TEXT, "No function stands whole in the patch."
    for piece in findings.pieces:
        yield TEXT, f"  {piece.path}: {piece.name}()"
        yield from ((TEXT, f"    {printable(line.expandtabs(8), 200)}") for line in piece.text.splitlines())
    yield "not understood", f"{needed()}."


def _changes(findings: Findings) -> Told:
    yield TEXT, ""
    if findings.changed:
        yield HEADING, "What changes that matters to the register:"
        for changed in findings.changed:
            yield TEXT, f"  {changed_words(changed)}"
            for sign, where, text in changed_lines(changed):
                yield TEXT, f"    {sign} {where:<12} {text}"
    elif all(side.carried for side in (findings.sides[0], findings.sides[-1])):
        yield TEXT, "Nothing changes in the lines that matter to the register."
    if words := interception_words(findings):
        yield TEXT, f"{words}."


def _met(findings: Findings, met: Encounter) -> Told:
    yield TEXT, ""
    first, *rest = example_words(met)
    yield HEADING, first
    yield from ((TEXT, line) for line in rest)
    if not met.traces:
        return
    yield TEXT, split_words(met)
    for n, trace in enumerate(met.traces):
        patched = bool(n) if len(met.traces) == 2 else bool(met.broken)
        yield TEXT, ""
        yield HEADING, f"{'With' if patched else 'Without'} the patch:"
        yield from ((TEXT, f"  {line}") for line in run_lines(trace))
    yield from _hunks(findings)


def run_lines(trace: RunTrace) -> Iterator[str]:
    """The telling steps of a run, by action."""
    rows = told_rows(trace)
    for number, action in enumerate(trace.actions):
        yield f"[{number + 1}] {action}"
        for row in (row for row in rows if row.action == number):
            mark = "!" if row.broken else "*" if row.lost else " "
            broken = f"   BREAKS {', '.join(row.broken)}" if row.broken else ""
            yield f"  {mark} CPU {row.cpu}  {row.where + ': ' if row.where else ''}{row.source}{broken}"


def _hunks(findings: Findings) -> Told:
    found = [marked for marked in marked_hunks(findings) if marked.telling]
    if not found:
        yield TEXT, ""
        yield TEXT, "No line that the patch changes runs on this schedule."
        return
    yield TEXT, ""
    yield HEADING, "The patch's lines on this schedule (> runs now, x ran before):"
    for marked in found:
        yield TEXT, f"  {marked.path} {printable(marked.hunk.header, 120)}"
        for mark, line in marked.telling:
            number = line.after or line.before
            yield TEXT, f"  {_SIGNS[mark]} {number:>5} {line.kind}{printable(line.text.expandtabs(8), 200)}"


def _grounds(findings: Findings) -> Told:
    """What the verdicts rest on: of the side after the patch all, of the one before what is different."""
    last, first = findings.sides[-1], findings.sides[0]
    told = rests_on(last)
    full = [f"{title}{': ' * bool(rows)}{'; '.join(rows)}." for title, rows in rests_on_in_full(last)]
    yield from _told(f"What the verdict {last.name} rests on:", told)
    yield from _told("In full:", full)
    yield from _told(
        f"What the verdict {first.name} rests on, where that is something else:",
        [line for line in rests_on(first) if line not in told],
    )


def _told(head: str, lines: list[str]) -> Told:
    if lines:
        yield TEXT, ""
        yield HEADING, head
        yield from ((TEXT, f"  {line}") for line in lines)
