"""Submissions as students make them: a student's version, its answer filled in, and worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.exercises.solutions import LABS, solution_text

FOLDER = Path(__file__).parents[2] / "notebooks" / "labs"


def given(lab: str) -> dict[str, Any]:
    """The notebook that a student got."""
    book: dict[str, Any] = json.loads((FOLDER / f"{LABS[lab].name}.ipynb").read_text("utf-8"))
    return book


def cell(book: dict[str, Any], mark: str) -> dict[str, Any]:
    """The cell with this mark of nbgrader's at its end."""
    found: dict[str, Any] = next(
        c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id", "").endswith(mark)
    )
    return found


def answered(lab: str, answer: str | None = None) -> dict[str, Any]:
    """The notebook with an answer: the reference solution, or this text."""
    book = given(lab)
    cell(book, "-answer")["source"] = solution_text(lab) if answer is None else answer
    return book


def submit(
    folder: Path, student: str, lab: str, book: Any, change: Callable[[Any], None] | None = None
) -> Path:
    """Write it where a teacher finds it: a folder a student."""
    if change:
        change(book)
    path = folder / student / f"{LABS[lab].name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(book if isinstance(book, str) else json.dumps(book), encoding="utf-8")
    return path
