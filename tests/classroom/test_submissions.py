"""What teachers have: folders, odd names, copies; and cells put back into what students made of them."""

from __future__ import annotations

import csv
import json
import os

import nbformat
import pytest

from tests.classroom.submitting import FOLDER, answered, cell, given, submit
from vmxsim.errors import InputError
from vmxsim.teaching.classroom.feedback import why, write_csv
from vmxsim.teaching.classroom.grading import suspicious
from vmxsim.teaching.classroom.handout import read_labs
from vmxsim.teaching.classroom.submissions import LabResult, TestResult, find_submissions, mend, read_notebook
from vmxsim.teaching.exercises.goals import Judgement
from vmxsim.teaching.exercises.grade import Grade, Outcome

LABS = read_labs()


def found(folder):
    students, submissions = find_submissions(folder, LABS)
    return students, [(s.student, s.lab.id if s.lab else None, s.path.name) for s in submissions]


def put(path, book):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def test_a_folder_for_each_student_at_any_depth(tmp_path):
    submit(tmp_path, "ada", "one-tick", given("one-tick"))
    put(tmp_path / "Bob B_123_assignsubmission_file" / "deep" / "my answer.ipynb", given("careful-write"))
    put(tmp_path / "ada" / ".ipynb_checkpoints" / "1-one-tick-checkpoint.ipynb", given("one-tick"))
    (tmp_path / "cyd").mkdir()
    students, submissions = found(tmp_path)
    assert students == ["ada", "Bob B_123_assignsubmission_file", "cyd"], "case does not matter"
    assert submissions == [
        ("ada", "one-tick", "1-one-tick.ipynb"),
        ("Bob B_123_assignsubmission_file", "careful-write", "my answer.ipynb"),
    ]


def test_notebooks_named_by_student(tmp_path):
    put(tmp_path / "ada.ipynb", given("one-tick"))
    put(tmp_path / "bob_1-one-tick.ipynb", given("one-tick"))
    put(tmp_path / "2-careful-write.ipynb", given("careful-write"))
    students, submissions = found(tmp_path)
    assert sorted(students) == sorted([tmp_path.name, "ada", "bob"])
    assert {s for s, _, _ in submissions} == set(students)


def test_of_two_copies_the_newer_one_is_graded(tmp_path):
    old = submit(tmp_path, "ada", "one-tick", given("one-tick"))
    new = put(tmp_path / "ada" / "1-one-tick (1).ipynb", answered("one-tick"))
    os.utime(old, (1, 1))
    _, (only,) = find_submissions(tmp_path, LABS)
    assert only.path == new
    assert "the newer one; 1-one-tick.ipynb was not" in only.remarks[0]


def test_what_is_no_lab_gets_its_line(tmp_path):
    put(tmp_path / "ada" / "holiday.ipynb", {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (tmp_path / "ada" / "2-careful-write.ipynb").write_text("not even JSON")
    _, submissions = found(tmp_path)
    assert submissions == [("ada", "careful-write", "2-careful-write.ipynb"), ("ada", None, "holiday.ipynb")]


def test_a_link_is_not_followed(tmp_path):
    submit(tmp_path / "class", "ada", "one-tick", given("one-tick"))
    secret = put(tmp_path / "secret.ipynb", given("one-tick"))
    (tmp_path / "class" / "ada" / "2-careful-write.ipynb").symlink_to(secret)
    assert len(found(tmp_path / "class")[1]) == 1


def test_nothing_to_grade_is_said(tmp_path):
    with pytest.raises(InputError, match="holds no notebook"):
        find_submissions(tmp_path, LABS)
    with pytest.raises(InputError, match="is not a folder"):
        find_submissions(tmp_path / "nowhere", LABS)


def release(lab="one-tick"):
    return nbformat.reads(json.dumps(given(lab)), as_version=4)


def as_notebook(book):
    return nbformat.reads(json.dumps(book), as_version=4)


def marks(book):
    return [c.metadata.nbgrader.grade_id for c in book.cells if "nbgrader" in c.metadata]


@pytest.mark.parametrize("gone", ["-setup", "-answer", "-test-1", "-test-2"])
def test_a_deleted_cell_is_put_back_in_its_place(gone):
    book = given("one-tick")
    book["cells"].remove(cell(book, gone))
    mended, told = mend(as_notebook(book), release())
    assert marks(mended) == marks(release())
    assert len(told) == 1 and "put back" in told[0]


@pytest.mark.filterwarnings("ignore:Non-unique cell id")
def test_a_cell_that_was_copied_counts_once_and_cells_of_ones_own_stay():
    book = answered("one-tick")
    book["cells"].insert(3, {**cell(book, "-test-1"), "source": "1"})
    own = {"cell_type": "code", "id": "own", "metadata": {}, "outputs": [], "execution_count": None}
    book["cells"].insert(4, {**own, "source": "helper = 1"})
    mended, _ = mend(as_notebook(book), release())
    assert sorted(marks(mended)) == sorted(marks(release()))
    assert any(c.source == "helper = 1" for c in mended.cells)
    assert len({c.id for c in mended.cells}) == len(mended.cells)


def test_another_notebook_is_refused():
    other = as_notebook({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    with pytest.raises(InputError, match="no cell of the lab is in it"):
        mend(other, release())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("{", "is not a notebook"),
        ("[]", "is not a notebook"),
        ('{"cells": 1, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "no"),
        ("[" * 100_000, "is not a notebook"),
    ],
)
def test_what_is_no_notebook_is_said(tmp_path, text, says):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_notebook(path)


def test_an_old_format_is_read(tmp_path):
    book = given("one-tick") | {"nbformat_minor": 2}
    for one in book["cells"]:
        del one["id"]
    mended, told = mend(read_notebook(put(tmp_path / "x.ipynb", book)), release())
    assert marks(mended) == marks(release()) and not told


def test_a_spreadsheet_takes_no_students_name_for_a_formula(tmp_path):
    outcomes = (
        Outcome(1, "It is f().", Judgement(False, "it is so", more="Why.")),
        Outcome(2, "Fine.", Judgement(True, "it is")),
    )
    test = TestResult("t", "Goal.", 0, 1, "words", Grade("Lab", "an answer", outcomes).as_data())
    told = ("the cell x was missing and was put back",)
    result = LabResult("=cmd()", "1-one-tick", "graded", 0, 2, (test, test), remarks=told)
    other = LabResult("=cmd()", "2-careful-write", "graded", 3, 4)
    write_csv(tmp_path / "x.csv", [result, other])
    row = next(csv.DictReader((tmp_path / "x.csv").open(encoding="utf-8")))
    assert row["student"] == "'=cmd()"
    assert why(result) == ["✖ Goal 1 not met (wanted: it is f()): it is so. Why."], "told once"
    assert row["why"] == "Goal 1 not met: it is so."
    assert row["remarks"] == "the cell x was missing and was put back"
    assert (row["student_total"], row["student_most"]) == ("3", "6")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("vmxsim.exercise = None", "changes vmxsim.exercise"),
        ("ex = 1", "changes ex"),
        ("del vmxsim.exercise", "changes vmxsim.exercise"),
        ("setattr(vmxsim, 'exercise', 1)", "calls setattr()"),
        ("import sys\nsys.modules['vmxsim'] = 1", "uses sys.modules"),
        ("class Mine(ex.start):\n    def f(self, vmx):\n        vmx.efer = 1", ""),
        ("schedule = ['run']", ""),
        ("not python", ""),
    ],
)
def test_code_that_could_fool_a_test_is_pointed_out(source, says):
    told = " ".join(suspicious([source]))
    assert bool(told) == bool(says) and says in told


def test_the_folder_of_the_labs_is_the_one_tested():
    assert LABS[0].path.parents[1] == FOLDER
