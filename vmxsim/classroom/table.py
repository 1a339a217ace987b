"""Grades as rows: for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from vmxsim.classroom.feedback import points
from vmxsim.classroom.results import UNANSWERED, LabResult
from vmxsim.errors import InputError, printable

HEAD = ("student", "lab", "points", "most", "status", "why")


def why(result: LabResult) -> list[str]:
    """What cost points, a line each: the first of what each failed test says."""
    if result.problem:
        return [result.problem]
    if UNANSWERED in result.remarks:
        return [UNANSWERED]
    told = []
    for test in result.tests:
        if test.points < test.most:
            told.append(f"{test.goal} {_core(test.words)}".strip())
    return told


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
    """A row for each student and lab. Raises InputError where the file cannot be written."""
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(HEAD)
            for r in results:
                cells = (r.student, r.lab, points(r.points), points(r.most), r.status, " | ".join(why(r)))
                rows.writerow([_harmless(cell) for cell in cells])
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(path, 200)) from None


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
