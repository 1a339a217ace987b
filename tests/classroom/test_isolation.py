"""Processes import nothing from the teacher's directory; where they cannot start, no student is blamed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.classroom.submitting import answered, submit
from vmxsim.errors import InputError
from vmxsim.teaching.classroom import judging
from vmxsim.teaching.classroom.grading import grade
from vmxsim.teaching.classroom.handout import choose_labs, read_labs
from vmxsim.teaching.classroom.judging import Task, judge_apart, processes, without_current_directory
from vmxsim.teaching.classroom.submissions import find_submissions


def dies(task, out):
    """In the place of a process that judges: it does not come to anything."""
    os._exit(1)


def test_the_current_directory_is_on_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(tmp_path), "/elsewhere"]))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with without_current_directory():
        assert "" not in sys.path and str(tmp_path) not in sys.path
        told = subprocess.run(
            [sys.executable, "-c", "import sys; print(sys.path)"], capture_output=True, text=True, check=True
        ).stdout
        assert "''" not in told and str(tmp_path) not in told and "/elsewhere" in told
    assert sys.path[:2] == ["", str(tmp_path)]
    assert "PYTHONSAFEPATH" not in os.environ and str(tmp_path) in os.environ["PYTHONPATH"]


def test_a_process_that_cannot_start_is_no_students_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "work", dies)
    submit(tmp_path, "ada", "one-tick", answered("one-tick"))
    labs = choose_labs(["1"], read_labs())
    students, submissions = find_submissions(tmp_path, labs)
    with pytest.raises(InputError, match="^grading itself failed: "):
        grade(submissions, students, labs)


def dies_later(task, out):
    """As if judging had ended the process."""
    out.send_bytes(judging._STARTED)
    os._exit(1)


def never_ends(task, out):
    """As if judging had no end."""
    out.send_bytes(judging._STARTED)
    while True:
        pass


@pytest.mark.parametrize(
    ("instead", "says"),
    [(dies_later, "ended the process that judged it"), (never_ends, "takes more than 1 seconds")],
)
def test_a_process_that_ends_or_does_not_costs_one_answer_its_points(monkeypatch, instead, says):
    monkeypatch.setattr(judging, "work", instead)
    judged = judge_apart(processes(), Task("one-tick", "x"), 1)
    assert says in judged.refused and not judged.goals
