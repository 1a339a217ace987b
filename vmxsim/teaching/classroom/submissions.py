"""What students handed in, whatever the files are called."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from vmxsim.errors import InputError, printable
from vmxsim.teaching.classroom.handout import Lab, marks, source_of

MAX_BYTES = 20_000_000
#: The most text of a student's own cells that is looked at, in characters.
MAX_CELLS = 200_000
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}


@frozen
class Submission:
    """A file of a student. ``lab`` is None if it is none of the labs'; ``problem`` says why it is not even
    read, '' if it is. ``number`` is what the learning platform calls the student, '' if it does not say."""

    student: str
    lab: Lab | None
    path: Path
    remarks: tuple[str, ...] = field(default=())
    problem: str = ""
    number: str = ""


def find_submissions(folder: Path, labs: Sequence[Lab]) -> tuple[list[str], list[Submission]]:
    """All students, and all that they handed in: of each lab a student's newest notebook.

    A folder a student, with notebooks at any depth; or notebooks named by student; both as Moodle and Canvas
    name them. The lab is known by what nbgrader's marks in the notebook say, else by the file's name.
    Raises InputError if there is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InputError(
            "is not a folder; expected one with a folder for each student", printable(folder, 200)
        )
    students: list[tuple[str, str]] = []
    found: list[Submission] = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.casefold(), path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            students.append(_person(path.name))
            found += [_submission(*students[-1], book, labs) for book in _files(path)]
        elif _handed_in(path):
            lab = lab_of(path, labs)
            name, number = _person(_besides(path, lab))
            students.append((name or folder.resolve().name, number))
            found.append(_submission(*students[-1], path, labs))
    if not found:
        raise InputError(
            "holds no notebook; expected DIR/STUDENT/LAB.ipynb or DIR/STUDENT.ipynb",
            printable(folder, 200),
        )
    names = _told_apart(students)
    found = [evolve(one, student=names[one.student, one.number]) for one in found]
    return sorted(set(names.values()), key=lambda name: (name.casefold(), name)), _newest(found)


#: ``Ada Lovelace_1234_assignsubmission_file_1-one-tick``: Moodle's name, and its number of the participant.
_MOODLE = re.compile(r"(.+?)_(\d+)_assignsubmission_(?:file|onlinetext)_?.*", re.DOTALL)
#: ``lovelaceada_LATE_1234_56789``: Canvas's name, its number of the user and of the submission.
_CANVAS = re.compile(r"([^_]+)(?:_LATE)?_(\d+)_\d+(?:[ _-].*)?", re.DOTALL)


def _person(text: str) -> tuple[str, str]:
    """A student's name, and what a learning platform calls the student."""
    found = _MOODLE.fullmatch(text) or _CANVAS.fullmatch(text)
    return (found[1].strip(), found[2]) if found else (text, "")


def _told_apart(people: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each, with the number where two have the same."""
    same = Counter(name for name, _ in set(people))
    return {(name, n): f"{name} {n}".strip() if same[name] > 1 else name for name, n in people}


def _handed_in(path: Path) -> bool:
    return path.suffix.lower() == ".ipynb" or path.suffix.lower() in _ARCHIVES


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif _handed_in(path):
            yield path


def _submission(student: str, number: str, path: Path, labs: Sequence[Lab]) -> Submission:
    problem = ""
    if path.is_symlink():
        problem = "is a link, which is not followed: hand in the notebook itself"
    elif path.suffix.lower() in _ARCHIVES:
        problem = "is an archive, which is not opened: unpack it first"
    elif not path.is_file():
        problem = "is not a file"
    lab = lab_of(path, labs, by_name=bool(problem))
    return Submission(student, lab, path, problem=problem, number=number)


def lab_of(path: Path, labs: Sequence[Lab], by_name: bool = False) -> Lab | None:
    """The lab that a notebook is of; None if it is of none. ``by_name``: the file is not read."""
    told = set() if by_name or path.is_symlink() else _told_by_notebook(path)
    for lab in labs:
        if lab.id in told:
            return lab
    for lab in sorted(labs, key=lambda lab: -len(lab.id)):
        if lab.id in path.stem:
            return lab
    return None


def _told_by_notebook(path: Path) -> set[str]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return set()
        book: Any = json.loads(path.read_text("utf-8"))
        metadata = book["metadata"].get("vmxsim")
        if isinstance(metadata, dict) and isinstance(metadata.get("lab"), str):
            return {metadata["lab"]}
        names = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in book["cells"]]
        return {re.sub(r"-(setup|answer|test-\d+)$", "", str(name)) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _besides(path: Path, lab: Lab | None) -> str:
    """What the name of a file says besides the lab."""
    name = path.stem
    for part in (lab.name, lab.id) if lab else ():
        name = name.replace(part, "")
    return name.strip(" _-.()")


def _newest(found: list[Submission]) -> list[Submission]:
    kept: dict[tuple[str, str], Submission] = {}
    for one in sorted(found, key=lambda s: s.path.lstat().st_mtime):
        key = (one.student, one.lab.name if one.lab else str(one.path))
        if key in kept:
            remark = f"{one.path.name} was graded, the newer one; {kept[key].path.name} was not"
            one = evolve(one, remarks=(remark,))
        kept[key] = one
    order = {id(one): n for n, one in enumerate(found)}
    return sorted(
        kept.values(),
        key=lambda s: (s.student.casefold(), s.student, s.lab.name if s.lab else "~", order.get(id(s), 0)),
    )


def read_notebook(path: Path) -> list[Any]:
    """The cells of a student's notebook. Raises InputError if it is not one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES // 1_000_000} MB: clear its outputs")
        text = path.read_text("utf-8-sig")
        if not text.strip():
            raise InputError("is empty")
        book = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # json's errors are ValueErrors
        raise InputError(f"is not a notebook: {printable(str(error) or type(error).__name__, 120)}") from None
    if not isinstance(book, dict) or "cells" not in book:
        old = isinstance(book, dict) and "worksheets" in book
        why = "it has an old format: save it with JupyterLab" if old else "it has no cells"
        raise InputError(f"is not a notebook: {why}")
    cells = book["cells"]
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        raise InputError("is a damaged notebook: a cell is not what one looks like")
    ids = Counter(cell["id"] for cell in cells if isinstance(cell.get("id"), str))
    if twice := [id_ for id_, count in ids.items() if count > 1]:
        raise InputError(f"is a damaged notebook: several cells have the id '{printable(twice[0])}'")
    return cells


def _is_cell(cell: Any) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return False
    source = cell.get("source")
    lines = isinstance(source, list) and all(isinstance(line, str) for line in source)
    return (isinstance(source, str) or lines) and isinstance(cell.setdefault("metadata", {}), dict)


@frozen
class Handed:
    """What a notebook holds: the ``answer``, other ``cells`` that the student wrote, and what was noticed."""

    answer: str
    cells: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read_answer_of(cells: Sequence[Any], lab: Lab) -> Handed:
    """The answer in a notebook's cells: the text of those with the answer's mark, wherever they stand; their
    outputs say nothing. Raises InputError if there is none."""
    answers, own, changed = [], [], []
    missing = {mark for _, mark, _ in lab.given if mark}
    for cell in cells:
        mark, id_, text = str(marks(cell).get("grade_id", "")), cell.get("id"), source_of(cell)
        if mark == f"{lab.id}-answer" or (not mark and id_ == lab.answer_id):
            answers.append(cell)
            continue
        known = next((one for one in lab.given if (mark and mark == one[1]) or id_ == one[0]), None)
        if known:
            missing.discard(known[1])
        if cell["cell_type"] != "code" or (known and _plain(text) == _plain(known[2])):
            continue
        own.append(text)
        if known and known[1]:
            changed.append(known[1])
    if not answers:
        raise InputError(
            "the answer's cell is not in it: write the answer into the cell that was made for it"
            if len(missing) < sum(bool(mark) for _, mark, _ in lab.given)
            else "no cell of the lab is in it: is it another notebook?"
        )
    if any(cell["cell_type"] != "code" for cell in answers):
        raise InputError("the answer's cell is not a code cell any more")
    remarks = []
    if len(answers) > 1:
        remarks.append(f"the answer stands in {len(answers)} cells, which were read one after the other")
    if changed:
        remarks.append(f"changed, which changes nothing: {', '.join(changed[:9])}")
    if missing:
        remarks.append(f"missing, which changes nothing: {', '.join(sorted(missing))}")
    text = "\n\n".join(source_of(cell) for cell in answers)
    return Handed(text, tuple(own) if sum(map(len, own)) <= MAX_CELLS else (), tuple(remarks))


def _plain(text: str) -> list[str]:
    """A cell's text without its version and without spaces."""
    return re.sub(r', variant="\w*"', "", text).split()
