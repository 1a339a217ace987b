"""A submission made fit for grading: cells that were deleted or lost their marks are put back.

nbgrader itself restores the text of changed test cells, and the hidden tests.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat

from vmxsim.classroom.submissions import MAX_BYTES
from vmxsim.errors import InputError, printable

_reads: Any = nbformat.reads  # it has no types


def read_notebook(path: Path) -> Any:
    """A student's notebook, in the current format. Raises InputError for what is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES // 1_000_000} MB: clear its outputs")
        text = path.read_text("utf-8-sig")
        if not text.strip():
            raise InputError("is empty")
        book = _reads(text, as_version=4)
        nbformat.validate(book)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        # json's errors are ValueErrors, nbformat's own are too
        what = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
        raise InputError(f"is no notebook: {what}") from None
    except nbformat.ValidationError as error:
        raise InputError(f"is a damaged notebook: {printable(str(error).splitlines()[0], 120)}") from None
    return book


def mend(book: Any, release: Any) -> tuple[Any, list[str]]:
    """The student's notebook with every cell of the student version that is marked for grading,
    and what had to be done for that. Raises InputError where not one of them is left."""
    marked = [cell for cell in release.cells if "nbgrader" in cell.metadata]
    by_mark = {cell.metadata.nbgrader.grade_id: cell for cell in marked}
    by_id = {cell.id: cell.metadata.nbgrader.grade_id for cell in marked}
    found: dict[str, Any] = {}
    for cell in book.cells:
        name = _mark(cell) if _mark(cell) in by_mark else by_id.get(cell.get("id"))
        cell.metadata.pop("nbgrader", None)
        if name is not None and name not in found:
            found[name] = cell
            cell.metadata["nbgrader"] = deepcopy(by_mark[name].metadata.nbgrader)
    if not found:
        raise InputError("no cell of the lab is in it: is it another notebook?")
    told = _changed(found, by_mark)
    at = 0
    for name, cell in by_mark.items():
        if name in found:
            at = next(n for n, one in enumerate(book.cells) if one is found[name]) + 1
            continue
        kind = "the answer's cell" if cell.metadata.nbgrader.solution else f"the cell {name}"
        told.append(f"{kind} was missing and was put back")
        book.cells.insert(at, deepcopy(cell))
        at += 1
    book.metadata = deepcopy(release.metadata)
    _own_ids(book)
    return book, told


def _mark(cell: Any) -> Any:
    marks = cell.metadata.get("nbgrader")
    return marks.get("grade_id") if isinstance(marks, dict) else None


def _changed(found: dict[str, Any], by_mark: dict[str, Any]) -> list[str]:
    """Which cells are not as they were given, though the student was not to change them."""
    names = [
        name
        for name, cell in found.items()
        if not by_mark[name].metadata.nbgrader.solution
        and cell.source.strip() != by_mark[name].source.strip()
    ]
    return [f"changed and restored: {', '.join(names)}"] if names else []


def _own_ids(book: Any) -> None:
    """Cells copied with their ids get new ones: nbformat wants each once."""
    seen: set[str] = set()
    for number, cell in enumerate(book.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell["id"] = f"copy-{number}"
        seen.add(cell["id"])
    book.nbformat_minor = max(book.nbformat_minor, 5)


def as_json(book: Any) -> str:
    """The notebook as text."""
    return json.dumps(book, indent=1)
