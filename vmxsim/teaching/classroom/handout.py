"""The labs' sources, and the student versions made from them in a temporary nbgrader course.

Nothing of the course is left where the teacher works.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import frozen

from vmxsim.errors import InputError, cannot_write, printable, refuse_overwriting, unknown, write_file
from vmxsim.progress import counting
from vmxsim.teaching.course import find_course


@frozen
class Lab:
    """A lab. ``name`` is its file's name without ``.ipynb``: number and id, ``1-one-tick``."""

    name: str
    id: str
    title: str
    points: float
    path: Path

    @property
    def number(self) -> str:
        """What stands before the id in its name."""
        return self.name.removesuffix(f"-{self.id}")


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
        book = json.loads(path.read_text("utf-8"))
        cells, id_ = book["cells"], book["metadata"]["vmxsim"]["lab"]
        heading = "".join(cells[0]["source"]).splitlines()[0]
        points = sum(_points(cell) for cell in cells)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"is not a lab: {type(error).__name__} {printable(error)}", str(path)) from None
    return Lab(path.stem, id_, heading.lstrip("# ").partition(": ")[2] or heading, points, path)


def _points(cell: Any) -> float:
    marks = cell["metadata"].get("nbgrader", {})
    return float(marks.get("points", 0)) if marks.get("grade") else 0.0


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


def require_nbgrader() -> None:
    """Raises InputError, with what to install, where nbgrader is missing."""
    if find_spec("nbgrader") is None:
        here = ".venv/bin/python -m pip install --editable '.[classroom]'"
        if not find_course()[1]:  # not a checkout
            here = f"{sys.executable} -m pip install 'vmxsim[classroom]'"
        raise InputError(f"handing out and grading needs nbgrader, which is not installed: {here}")


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


#: The only student of a course: every submission has a course of its own.
STUDENT = "student"
DATABASE = "gradebook.db"


@frozen
class Course:
    """A course in ``root`` in which the student versions of the labs were made."""

    root: Path

    def student_version(self, lab: Lab) -> Path:
        """The notebook that a student gets."""
        return self.root / "release" / lab.name / f"{lab.name}.ipynb"

    @property
    def database(self) -> Path:
        """nbgrader's record of every cell, hidden tests included."""
        return self.root / DATABASE


def make_course(
    root: Path, labs: Iterable[Lab], starts: Mapping[str, str], *, database: bool = True
) -> Course:
    """Make the student versions of the labs in ``root``: an empty folder.

    ``starts`` has, by id, the text that takes the solution's place. The ``database`` is needed
    for grading. Raises InputError if nbgrader is missing or a source is damaged.
    """
    require_nbgrader()
    from nbgrader.converters import GenerateAssignment  # type: ignore[import-untyped]
    from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
    from nbgrader.preprocessors import SaveCells  # type: ignore[import-untyped]

    if database:
        root.mkdir(parents=True, exist_ok=True)
        _make_tables(root / DATABASE)
    for lab in counting("lab", list(labs)):
        folder = root / "source" / lab.name
        folder.mkdir(parents=True)
        shutil.copyfile(lab.path, folder / lab.path.name)
        options = {"ClearSolutions": {"code_stub": {"python": starts[lab.id].rstrip()}}}
        converter = GenerateAssignment(**course_arguments(root, lab.name, ".", options))
        if not database:
            converter.no_database = True
            converter.preprocessors = [p for p in converter.preprocessors if p is not SaveCells]
        try:
            converter.start()
        except NbGraderException:
            raise InputError("nbgrader cannot make a student version of it", str(lab.path)) from None
    return Course(root)


def _make_tables(database: Path) -> None:
    """nbgrader's tables. Left to itself it makes them too, and starts ``alembic`` for a version number
    that only lasting databases need: slow, and not on PATH unless .venv is activated."""
    from nbgrader.api import Base  # type: ignore[import-untyped]
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(bind=engine)
    engine.dispose()


def course_arguments(root: Path, lab: str, student: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What an nbgrader converter takes to work on one lab of one student in ``root``."""
    from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
    from traitlets.config import Config

    log = logging.getLogger("vmxsim.teaching.classroom")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    config = Config({"CourseDirectory": {"root": str(root), "course_id": "labs"}, **options})
    courses = CourseDirectory(config=config, log=log)
    courses.assignment_id, courses.student_id = lab, student
    return {"coursedir": courses, "config": config, "log": log}


def student_versions(labs: Iterable[Lab], starts: Mapping[str, str]) -> dict[str, str]:
    """The student version of each lab as text, by the lab's name. Raises InputError."""
    labs = list(labs)
    with tempfile.TemporaryDirectory(prefix="vmxsim-labs-") as folder:
        course = make_course(Path(folder), labs, starts, database=False)
        return {lab.name: course.student_version(lab).read_text("utf-8") for lab in labs}


def hand_out(folder: Path, labs: Iterable[Lab], starts: Mapping[str, str], force: bool = False) -> list[Path]:
    """Write the student versions into ``folder``; returns the files.

    Raises InputError if a file is there already and differs, unless ``force``.
    """
    require_nbgrader()
    labs = list(labs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        versions = student_versions(labs, starts)
        files = {folder / f"{name}.ipynb": text for name, text in versions.items()}
        taken = [path for path, text in files.items() if path.exists() and path.read_bytes() != text.encode()]
        if taken and not force:
            names = ", ".join(path.name for path in taken)
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
