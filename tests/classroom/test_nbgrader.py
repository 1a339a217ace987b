"""nbgrader's whole exchange, from a course to a student's feedback; and no notebook is executed."""

from __future__ import annotations

import json
import os
import sys
from contextlib import chdir, suppress
from pathlib import Path

import pytest

from tests.classroom.submitting import cell
from tests.cli.running import fails, vmxsim
from tests.exercises.solutions import solution_text
from vmxsim.teaching.exercises import EXERCISES

nbgrader = pytest.importorskip("nbgrader", reason="nbgrader is not installed: its exchange was not tested")

LAB = "2-careful-write"
#: Two students' answers: a right one, and a right one with more in its cell, which would leave a file behind.
RIGHT = solution_text("careful-write")
ANSWERS = {"ada": RIGHT, "bob": f"open('cheated', 'w')\n{RIGHT}", "cyd": None}


def app(root, name, *args, student="*"):
    """One of nbgrader's programs, as a person starts it in ``root``, but in this process."""
    from jupyter_core.application import NoStart
    from nbgrader.apps import NbGraderApp
    from traitlets.config import Config

    config = Config()
    config.Exchange.root, config.Exchange.cache = str(root.parent / "exchange"), str(root / ".cache")
    config.CourseDirectory.student_id = student
    with chdir(root):
        NbGraderApp.clear_instance()
        one = NbGraderApp.instance(config=config)
        one.initialize([name, *args])
        with suppress(NoStart):  # the program that it names has run
            one.start()
        type(one.subapp).clear_instance()
        NbGraderApp.clear_instance()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course after the whole exchange, and what each student fetched."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # alembic
    patch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
    base = tmp_path_factory.mktemp("nbgrader")
    (base / "exchange").mkdir()
    (base / "exchange").chmod(0o777)
    root = base / "course"
    assert vmxsim("labs", "nbgrader", root, "2").returncode == 0
    app(root, "generate_assignment", LAB)
    app(root, "release_assignment", LAB)
    for student, answer in ANSWERS.items():
        home = base / student
        home.mkdir()
        app(home, "fetch_assignment", LAB, "--course", "vmxsim", student=student)
        path = home / LAB / f"{LAB}.ipynb"
        book = json.loads(path.read_text("utf-8"))
        if answer is not None:
            cell(book, "-answer")["source"] = answer
            path.write_text(json.dumps(book), encoding="utf-8")
        app(home, "submit", LAB, "--course", "vmxsim", student=student)
    app(root, "collect", LAB)
    app(root, "autograde", LAB)
    app(root, "generate_feedback", LAB)
    app(root, "release_feedback", LAB)
    for student in ANSWERS:
        app(base / student, "fetch_feedback", LAB, "--course", "vmxsim", student=student)
    yield root
    patch.undo()


def test_students_get_the_labs_own_start(course):
    text = (course / "release" / LAB / f"{LAB}.ipynb").read_text("utf-8")
    book = json.loads(text)
    assert "YOUR CODE HERE" not in text and "SOLUTION" not in text
    assert "".join(cell(book, "-answer")["source"]) == EXERCISES["careful-write"].source().rstrip()


def test_points_are_those_of_the_answers_and_nothing_ran(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        scores = {one.student.id: one.score for one in book.assignment_submissions(LAB)}
    assert scores == {"ada": 4.0, "bob": 0.0, "cyd": 0.0}
    assert not list(course.parent.rglob("cheated"))
    graded = json.loads((course / "autograded" / "ada" / LAB / f"{LAB}.ipynb").read_text("utf-8"))
    assert not [one for one in graded["cells"] if one.get("outputs")]


def test_students_fetch_feedback_that_says_why(course):
    pages = {
        student: next((course.parent / student / LAB / "feedback").rglob("*.html")).read_text("utf-8")
        for student in ANSWERS
    }
    assert "is no part of an answer" in pages["bob"]
    assert "not answered" in pages["cyd"]
    assert "NotPassed" not in pages["ada"]


def test_a_course_that_is_there_is_not_touched(course):
    assert "is there already" in fails("labs", "nbgrader", course, "1")
    assert [path.name for path in (course / "source").iterdir()] == [LAB]
