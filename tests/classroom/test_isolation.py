"""Workers import nothing from the teacher's directory; where they cannot start, no student is blamed."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest

from tests.classroom.submitting import answered, submit
from vmxsim.errors import InputError
from vmxsim.teaching.classroom.grading import LimitedExecute, grade, without_current_directory
from vmxsim.teaching.classroom.handout import choose_labs, read_labs
from vmxsim.teaching.classroom.submissions import find_submissions
from vmxsim.teaching.exercises import EXERCISES


def dies(job):
    """In the place of a worker: it does not come to anything."""
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


def test_a_worker_that_cannot_start_is_no_students_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("vmxsim.teaching.classroom.grading.work", dies)
    submit(tmp_path, "ada", "one-tick", answered("one-tick"))
    labs = choose_labs(["1"], read_labs())
    students, submissions = find_submissions(tmp_path, labs)
    with pytest.raises(InputError, match="^grading itself failed: "):
        grade(submissions, students, labs, {lab.id: EXERCISES[lab.id].source() for lab in labs})


def test_a_kernel_that_cannot_start_is_remembered(monkeypatch):
    monkeypatch.setattr(LimitedExecute, "no_kernel", "")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    with pytest.raises(Exception, match="nope"):
        LimitedExecute(kernel_name="nope").preprocess(book, {})
    assert "nope" in LimitedExecute.no_kernel
