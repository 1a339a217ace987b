"""What students handed in, whatever the files are called, and what grading found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from vmxsim.errors import InputError, printable
from vmxsim.teaching.classroom.handout import Lab

#: A remark.
UNANSWERED = "not answered: the answer's cell is as it was given"


@frozen
class TestResult:
    """A test cell: what it asks for, its points, and if it failed why, in ``words`` and as the data of the
    answer's ``grade`` (:meth:`~vmxsim.teaching.exercises.grade.Grade.as_data`), if it came to one."""

    __test__ = False  # pytest: this is no test

    name: str
    goal: str
    points: float
    most: float
    words: str = ""
    grade: dict[str, Any] | None = None


@frozen
class LabResult:
    """A student's lab. ``status`` is ``graded``, ``problem`` (``problem`` says which) or
    ``missing``. ``answer`` is what the student wrote."""

    student: str
    lab: str
    status: str
    points: float
    most: float
    tests: tuple[TestResult, ...] = field(default=())
    problem: str = ""
    remarks: tuple[str, ...] = field(default=())
    answer: str = ""
    file: str = ""

    def as_data(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self, filter=lambda field, _: field.name not in ("answer", "grade"))


MAX_BYTES = 20_000_000


@frozen
class Submission:
    """A notebook of a student; ``lab`` is None if it is not one of the labs'."""

    student: str
    lab: Lab | None
    path: Path
    remarks: tuple[str, ...] = field(default=())


def find_submissions(folder: Path, labs: Sequence[Lab]) -> tuple[list[str], list[Submission]]:
    """All students, and all that they handed in: of each lab a student's newest notebook.

    A folder a student, with notebooks at any depth; or notebooks named by student. The lab is
    known by what nbgrader's marks in the notebook say, else by the file's name.
    Raises InputError if there is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InputError(
            "is not a folder; expected one with a folder for each student", printable(folder, 200)
        )
    students: list[str] = []
    found: list[Submission] = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.casefold(), path.name)):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            students.append(path.name)
            found += [Submission(path.name, lab_of(book, labs), book) for book in _notebooks(path)]
        elif path.suffix == ".ipynb":
            lab = lab_of(path, labs)
            student = _student(path, lab) or folder.resolve().name
            students.append(student)
            found.append(Submission(student, lab, path))
    if not found:
        raise InputError(
            "holds no notebook; expected DIR/STUDENT/LAB.ipynb or DIR/STUDENT.ipynb",
            printable(folder, 200),
        )
    return sorted(set(students), key=lambda name: (name.casefold(), name)), _newest(found)


def _notebooks(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")) or path.is_symlink():
            continue
        if path.is_dir():
            yield from _notebooks(path)
        elif path.suffix == ".ipynb":
            yield path


def lab_of(path: Path, labs: Sequence[Lab]) -> Lab | None:
    """The lab that a notebook is of; None if it is of none."""
    told = _told_by_notebook(path)
    for lab in labs:
        if lab.id in told:
            return lab
    for lab in sorted(labs, key=lambda lab: -len(lab.id)):
        if lab.id in path.stem:
            return lab
    return None


def _told_by_notebook(path: Path) -> set[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return set()
        book: Any = json.loads(path.read_text("utf-8"))
        metadata = book["metadata"].get("vmxsim")
        if isinstance(metadata, dict) and isinstance(metadata.get("lab"), str):
            return {metadata["lab"]}
        marks = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in book["cells"]]
        return {re.sub(r"-(setup|answer|test-\d+)$", "", str(mark)) for mark in marks}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _student(path: Path, lab: Lab | None) -> str:
    """What the name of a file says besides the lab."""
    name = path.stem
    for part in (lab.name, lab.id) if lab else ():
        name = name.replace(part, "")
    return name.strip(" _-.()")


def _newest(found: list[Submission]) -> list[Submission]:
    kept: dict[tuple[str, str], Submission] = {}
    for one in sorted(found, key=lambda s: s.path.stat().st_mtime):
        key = (one.student, one.lab.name if one.lab else str(one.path))
        if key in kept:
            remark = f"{one.path.name} was graded, the newer one; {kept[key].path.name} was not"
            one = Submission(one.student, one.lab, one.path, (remark,))
        kept[key] = one
    order = {id(one): n for n, one in enumerate(found)}
    return sorted(
        kept.values(),
        key=lambda s: (s.student.casefold(), s.student, s.lab.name if s.lab else "~", order.get(id(s), 0)),
    )


def read_notebook(path: Path) -> Any:
    """A student's notebook, in the current format. Raises InputError if it is not one."""
    import nbformat  # takes seconds to load: not at the start of every command

    reads: Any = nbformat.reads  # it has no types
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES // 1_000_000} MB: clear its outputs")
        text = path.read_text("utf-8-sig")
        if not text.strip():
            raise InputError("is empty")
        book = reads(text, as_version=4)
        nbformat.validate(book)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        # json's errors are ValueErrors, nbformat's own are too
        what = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
        raise InputError(f"is not a notebook: {what}") from None
    except nbformat.ValidationError as error:
        raise InputError(f"is a damaged notebook: {printable(str(error).splitlines()[0], 120)}") from None
    return book


def mend(book: Any, release: Any) -> tuple[Any, list[str]]:
    """The student's notebook with every cell of the student version that is marked for grading,
    and what had to be done for that. Raises InputError if not one of them is left."""
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
    changed = [
        name
        for name, cell in found.items()
        if not by_mark[name].metadata.nbgrader.solution
        and cell.source.strip() != by_mark[name].source.strip()
    ]
    told = [f"changed and restored: {', '.join(changed)}"] if changed else []
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


def _own_ids(book: Any) -> None:
    """Cells copied with their ids get new ones: nbformat wants each once."""
    seen: set[str] = set()
    for number, cell in enumerate(book.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell["id"] = f"copy-{number}"
        seen.add(cell["id"])
    book.nbformat_minor = max(book.nbformat_minor, 5)
