"""The labs: their sources, what their tests ask for, and the versions that students get."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vmxsim.errors import InputError, cannot_write, printable, refuse_overwriting, unknown, write_file
from vmxsim.teaching.course import find_course
from vmxsim.teaching.exercises.variants import variant_of


@frozen
class LabTest:
    """A test cell of a lab: its name, what it asks for in ``words``, its ``points``, and the numbers of the
    ``goals`` that it asks for."""

    name: str
    words: str
    points: float
    goals: tuple[int, ...]


@frozen
class Lab:
    """A lab. ``name`` is its file's name without ``.ipynb``: number and id, ``1-one-tick``. ``answer_id`` is
    the id of the answer's cell; ``given`` are the other code cells: id, mark ('' for none), text."""

    name: str
    id: str
    title: str
    path: Path
    tests: tuple[LabTest, ...] = ()
    answer_id: str = ""
    given: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)

    @property
    def number(self) -> str:
        """What stands before the id in its name."""
        return self.name.removesuffix(f"-{self.id}")

    @property
    def points(self) -> float:
        """The points of all tests."""
        return sum(test.points for test in self.tests)


def find_sources() -> Path:
    """The folder of the labs' sources, in the course. Raises InputError if it has none."""
    folder = find_course()[0] / "labs" / "source"
    if any(folder.glob("*.ipynb")):
        return folder
    raise InputError(f"there are no labs in {folder}: run this in a folder that holds notebooks/labs/source")


def read_labs(folder: Path | None = None) -> list[Lab]:
    """All labs, in the order of their numbers. Raises InputError."""
    return [_read(path) for path in sorted((folder or find_sources()).glob("*.ipynb"))]


def _read(path: Path) -> Lab:
    try:
        cells, id_ = (book := json.loads(path.read_text("utf-8")))["cells"], book["metadata"]["vmxsim"]["lab"]
        heading = source_of(cells[0]).splitlines()[0]
        tests = tuple(_test(cell) for cell in cells if marks(cell).get("grade"))
        answers = [cell for cell in cells if marks(cell).get("solution")]
        others = [cell for cell in cells if cell["cell_type"] == "code" and cell not in answers]
        given = tuple((cell["id"], marks(cell).get("grade_id", ""), source_of(cell)) for cell in others)
        if not tests or len(answers) != 1:
            raise InputError("needs one cell for the answer, and a test")
    except (OSError, ValueError, KeyError, IndexError, TypeError, InputError) as error:
        what = error.message if isinstance(error, InputError) else type(error).__name__
        raise InputError(f"is not a lab: {what} {printable(error)}".strip(), str(path)) from None
    title = heading.lstrip("# ").partition(": ")[2] or heading
    return Lab(path.stem, id_, title, path, tests, answers[0]["id"], given)


def source_of(cell: Any) -> str:
    """A cell's text, which a file may have as one text or as its lines."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def marks(cell: Any) -> dict[str, Any]:
    """nbgrader's marks of a cell: ``grade``, ``solution``, ``points``, ``grade_id``."""
    found = cell["metadata"].get("nbgrader", {})
    return found if isinstance(found, dict) else {}


_CHECK = re.compile(r"vmxsim\.exercise\(\"([\w-]+)\"\)\.check\(\w+, ([\d, ]+)\)")


def _test(cell: Any) -> LabTest:
    """What a test cell asks for: a comment, and a call that names the goals. Answers are judged from their
    text, so a test cannot run anything else on them."""
    comment, _, call = source_of(cell).strip().partition("\n")
    found, mark = _CHECK.fullmatch(call), marks(cell)
    if not comment.startswith("#") or not found:
        raise InputError(
            f"{mark['grade_id']}: a test is a comment, and vmxsim.exercise(...).check(Mine, 1, 2)"
        )
    goals = tuple(map(int, found[2].split(",")))
    return LabTest(mark["grade_id"], comment.lstrip("# "), float(mark["points"]), goals)


def choose_labs(names: Iterable[str], labs: Sequence[Lab]) -> list[Lab]:
    """The labs of these numbers, ids or names; all, if none is given. Raises InputError."""
    known = {key: lab for lab in labs for key in (lab.number, lab.id, lab.name, f"{lab.name}.ipynb")}
    chosen = []
    for name in names:
        if name not in known:
            ids = [lab.id for lab in labs]
            raise unknown("lab", name, ids)
        chosen.append(known[name])
    return [lab for lab in labs if lab in chosen] if chosen else list(labs)


def require_file(path: Path, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Raises InputError if the file could not be written; makes none. For a check before long work."""
    refuse_overwriting(path, force, inputs)
    try:
        with path.open("a") if path.exists() else tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise cannot_write(path, error) from None


def require_folder(path: Path, force: bool = False) -> None:
    """Raises InputError if the folder could not be made, or no file written into it; makes none. A folder
    that holds anything is refused unless ``force``."""
    if not force and path.is_dir() and any(path.iterdir()):
        raise InputError("is not empty: choose another folder, or write into it with --force", path)
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise cannot_write(path, error) from None


#: What stands where, in the notebook of a lab, its exercise is named.
_EXERCISE = 'vmxsim.exercise("{}")'


def student_version(lab: Lab, variant: str = "") -> str:
    """The notebook that a student gets, as text: the answer's cell holds what to start from. ``variant`` is
    the code of a student's own version of the exercise."""
    exercise = variant_of(lab.id, variant)
    book = json.loads(lab.path.read_text("utf-8"))
    plain = _EXERCISE.format(lab.id)
    own = f'{plain[:-1]}, variant="{variant}")' if variant else plain
    for cell in book["cells"]:
        mark, text = marks(cell), source_of(cell)
        if mark.get("solution"):
            text = exercise.source().rstrip()
        elif cell["cell_type"] == "code":
            text = text.replace(plain, own)
        if mark:
            cell["metadata"]["deletable"] = False
        if mark.get("locked"):
            cell["metadata"]["editable"] = False
        cell["source"] = text.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return f"{json.dumps(book, indent=1, sort_keys=True, ensure_ascii=False)}\n"


def hand_out(
    folder: Path, labs: Iterable[Lab], variants: dict[str, str] | None = None, force: bool = False
) -> list[Path]:
    """Write the student versions into ``folder``; returns the files. ``variants`` has a code for each
    student, who then gets a folder with versions of their own.

    Raises InputError if a file is there already and differs, unless ``force``.
    """
    labs = list(labs)
    places = {"": ""} if variants is None else variants
    files = {
        folder / student / f"{lab.name}.ipynb": student_version(lab, code)
        for student, code in places.items()
        for lab in labs
    }
    try:
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        taken = [path for path, text in files.items() if path.exists() and path.read_bytes() != text.encode()]
        if taken and not force:
            names = ", ".join(str(path.relative_to(folder)) for path in taken[:9])
            raise InputError(
                f"holds other versions of {names}, maybe somebody's work: choose an empty folder, or --force",
                printable(folder, 200),
            )
        for path in files:
            refuse_overwriting(path, True, [lab.path for lab in labs])
        for path, text in files.items():
            write_file(path, text, overwrite=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return list(files)
