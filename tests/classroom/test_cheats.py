"""No cheat gets a point, each is told why, and none does anything: no file, no change, nobody hurt."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import vmxsim
from tests.classroom.cheats import DESIGNS, LEFT, MODES, RIGHT, SCHEDULES
from tests.exercises.solutions import solution_text
from vmxsim.teaching.classroom.judging import Judged, Task, judge_apart, processes
from vmxsim.teaching.exercises import EXERCISES

#: What the cheats were written for.
LABS = {"careful-write": DESIGNS, "one-tick": SCHEDULES, "mode-changes": MODES}
CHEATS = [(lab, name) for lab, cheats in LABS.items() for name in cheats]


@pytest.fixture(scope="module")
def context():
    return processes()


def package():
    return {p: p.stat().st_mtime_ns for p in Path(vmxsim.__file__).parent.rglob("*.py")}


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = package()
    yield
    assert not list(tmp_path.iterdir())
    assert package() == before
    assert not Path(LEFT).exists()


def told(judged: Judged) -> str:
    unmet = [goal["line"] for goal in judged.goals if not goal["met"]]
    return " ".join([judged.refused, *unmet])


@pytest.mark.parametrize(("lab", "name"), CHEATS, ids=[name for _, name in CHEATS])
def test_no_points_and_a_reason(context, lab, name):
    text, says = LABS[lab][name]
    judged = judge_apart(context, Task(lab, text), 20)
    assert not judged.unanswered
    if judged.refused:
        assert not judged.goals
    else:
        assert not all(goal["met"] for goal in judged.goals)
    assert re.search(says if "|" in says else re.escape(says), told(judged)), told(judged)
    assert "Traceback" not in told(judged)


def test_after_all_cheats_right_answers_get_their_points(context):
    for lab in ("careful-write", "one-tick"):
        judged = judge_apart(context, Task(lab, solution_text(lab)))
        assert not judged.refused and all(goal["met"] for goal in judged.goals)
    assert EXERCISES["careful-write"].goals and RIGHT


def test_what_judges_has_no_way_to_a_file(context, monkeypatch):
    """Even if something of an answer ran, it could write nothing."""
    monkeypatch.setattr("vmxsim.teaching.classroom.judging.judge", _writes)
    if "fork" not in __import__("multiprocessing").get_all_start_methods():
        pytest.skip("no fork: the replaced function does not get into the process")
    fork = __import__("multiprocessing").get_context("fork")
    judged = judge_apart(fork, Task("one-tick", "x"))
    assert "File too large" in judged.refused
    os.unlink(LEFT)


def _writes(task):
    with open(LEFT, "w") as file:
        file.write("x")
