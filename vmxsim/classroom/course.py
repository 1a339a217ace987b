"""A temporary nbgrader course: student versions are made in it, and what they are graded by.

Nothing of it is left where the teacher works.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from vmxsim.classroom.labs import Lab
from vmxsim.classroom.needs import require_nbgrader
from vmxsim.errors import InputError

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
    for grading. Raises InputError where nbgrader is missing or a source is damaged.
    """
    require_nbgrader()
    from nbgrader.converters import GenerateAssignment  # type: ignore[import-untyped]
    from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
    from nbgrader.preprocessors import SaveCells  # type: ignore[import-untyped]

    if database:
        root.mkdir(parents=True, exist_ok=True)
        _make_tables(root / DATABASE)
    for lab in labs:
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

    log = logging.getLogger("vmxsim.classroom")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    config = Config({"CourseDirectory": {"root": str(root), "course_id": "labs"}, **options})
    courses = CourseDirectory(config=config, log=log)
    courses.assignment_id, courses.student_id = lab, student
    return {"coursedir": courses, "config": config, "log": log}
