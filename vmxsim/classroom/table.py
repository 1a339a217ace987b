"""Grades as rows: for a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from vmxsim.classroom.feedback import points
from vmxsim.classroom.results import UNANSWERED, LabResult
from vmxsim.errors import InputError, printable

HEAD = ("student", "lab", "points", "most", "status", "why", "remarks", "student_total", "student_most")

_WANTED = re.compile(r"^✖ (Goal \d+ not met) \(wanted: .*?\): (.*)$")
_FIRST = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


def why(result: LabResult) -> list[str]:
    """What cost points, a line each: the first of what each failed test says, and nothing twice."""
    if result.problem:
        return [result.problem]
    if UNANSWERED in result.remarks:
        return [UNANSWERED]
    goals: dict[str, list[str]] = {}
    for test in result.tests:
        if test.points < test.most:
            goals.setdefault(_core(test.words), []).append(test.goal)
    return [
        core if core and (core.startswith("✖") or len(asked) > 1) else f"{' '.join(asked)} {core}".strip()
        for core, asked in goals.items()
    ]


def in_short(line: str) -> str:
    """The first sentence of a line of :func:`why`, without what was wanted."""
    found = _WANTED.match(line)
    told = _FIRST.split(f"{found[1]}: {found[2]}" if found else line.removeprefix("✖ "))
    # of a test without a number, the first sentence says what it asks for
    return " ".join(told[:1] if found or not line.startswith("Goal") else told[:2])


def _core(words: str) -> str:
    """The part of a grade that says why: from the first goal that is not met."""
    lines = [line.strip() for line in words.splitlines()]
    first = next((n for n, line in enumerate(lines) if line.startswith("✖")), 0)
    kept: list[str] = []
    for line in lines[first:]:
        if line.startswith(("✔", "host:")) or (kept and line.startswith("✖")):
            break
        kept.append(line)
    return " ".join(kept)


def write_csv(path: Path, results: Iterable[LabResult]) -> None:
    """A row for each student and lab, with the student's total in each.

    Raises InputError where the file cannot be written.
    """
    results = list(results)
    totals: dict[str, list[float]] = {}
    for r in results:
        total = totals.setdefault(r.student, [0.0, 0.0])
        total[0] += r.points
        total[1] += r.most
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(HEAD)
            for r in results:
                told = " | ".join(in_short(line) for line in why(r))
                remarks = " | ".join(text for text in r.remarks if text != UNANSWERED)
                cells = (r.student, r.lab, points(r.points), points(r.most), r.status, told, remarks)
                rows.writerow([_harmless(cell) for cell in (*cells, *map(points, totals[r.student]))])
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(path, 200)) from None


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
