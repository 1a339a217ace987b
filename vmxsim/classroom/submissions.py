"""What students handed in: whose it is and which lab, whatever the files are called."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vmxsim.classroom.labs import Lab
from vmxsim.errors import InputError, printable

MAX_BYTES = 20_000_000


@frozen
class Submission:
    """A notebook of a student; ``lab`` is None where it is none of the labs'."""

    student: str
    lab: Lab | None
    path: Path
    remarks: tuple[str, ...] = field(default=())


def find_submissions(folder: Path, labs: Sequence[Lab]) -> tuple[list[str], list[Submission]]:
    """All students, and all that they handed in: of each lab a student's newest notebook.

    A folder a student, with notebooks at any depth; or notebooks named by student. The lab is
    known by what nbgrader's marks in the notebook say, else by the file's name.
    Raises InputError where there is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InputError(
            "is no folder; one with a folder for each student was expected", printable(folder, 200)
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
            "holds no notebook; DIR/STUDENT/LAB.ipynb was expected, or DIR/STUDENT.ipynb",
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
