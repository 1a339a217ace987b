"""What teachers have: folders, odd names, copies; and cells put back into what students made of them."""

from __future__ import annotations

import csv
import json
import os

import pytest

from tests.classroom.submitting import FOLDER, answered, cell, given, submit
from vmxsim.errors import InputError
from vmxsim.teaching.classroom.gradebooks import why, write_csv
from vmxsim.teaching.classroom.grading import LabResult, TestResult
from vmxsim.teaching.classroom.handout import read_labs
from vmxsim.teaching.classroom.reading import suspicious
from vmxsim.teaching.classroom.submissions import find_submissions, read_answer_of, read_notebook
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
    assert students == ["ada", "Bob B", "cyd"], "case does not matter"
    assert submissions == [
        ("ada", "one-tick", "1-one-tick.ipynb"),
        ("Bob B", "careful-write", "my answer.ipynb"),
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
    _, submissions = find_submissions(tmp_path / "class", LABS)
    assert [bool(one.problem) for one in submissions] == [False, True]
    assert "is a link" in submissions[1].problem


def test_archives_and_what_is_no_file_are_named_and_not_opened(tmp_path):
    submit(tmp_path, "ada", "one-tick", given("one-tick"))
    (tmp_path / "ada" / "2-careful-write.zip").write_bytes(b"PK" + bytes(100))
    os.mkfifo(tmp_path / "ada" / "3-mode-changes.ipynb")
    _, submissions = find_submissions(tmp_path, LABS)
    problems = {one.path.name: one.problem for one in submissions}
    assert "unpack it first" in problems["2-careful-write.zip"]
    assert "is not a file" in problems["3-mode-changes.ipynb"]


def test_files_as_moodle_and_canvas_name_them(tmp_path):
    put(tmp_path / "Ada Lovelace_71_assignsubmission_file_1-one-tick.ipynb", given("one-tick"))
    put(tmp_path / "Ada Lovelace_72_assignsubmission_file_" / "1-one-tick.ipynb", given("one-tick"))
    put(tmp_path / "turingalan_LATE_1234_56789_1-one-tick-2.ipynb", given("one-tick"))
    students, submissions = find_submissions(tmp_path, LABS)
    assert students == ["Ada Lovelace 71", "Ada Lovelace 72", "turingalan"], "two of one name"
    assert [one.number for one in submissions] == ["71", "72", "1234"]


def test_nothing_to_grade_is_said(tmp_path):
    with pytest.raises(InputError, match="holds no notebook"):
        find_submissions(tmp_path, LABS)
    with pytest.raises(InputError, match="is not a folder"):
        find_submissions(tmp_path / "nowhere", LABS)


TICK = next(lab for lab in LABS if lab.id == "one-tick")


@pytest.mark.parametrize("gone", ["-setup", "-test-1", "-test-2"])
def test_a_deleted_cell_is_told_and_changes_nothing(gone):
    book = answered("one-tick")
    book["cells"].remove(cell(book, gone))
    handed = read_answer_of(book["cells"], TICK)
    assert handed.answer == cell(book, "-answer")["source"]
    assert handed.remarks == (f"missing, which changes nothing: one-tick{gone}",)


def test_an_answer_that_is_gone_is_told():
    book = answered("one-tick")
    book["cells"].remove(cell(book, "-answer"))
    with pytest.raises(InputError, match="the answer's cell is not in it"):
        read_answer_of(book["cells"], TICK)


def test_the_answer_counts_wherever_it_stands_and_cells_of_ones_own_are_looked_at():
    book = answered("one-tick")
    one = cell(book, "-answer")
    book["cells"].remove(one)
    own = {"cell_type": "code", "id": "own", "metadata": {}, "outputs": [], "execution_count": None}
    book["cells"] = [one, {**own, "source": "helper = 1"}, *book["cells"]]
    handed = read_answer_of(book["cells"], TICK)
    assert handed.answer == one["source"] and handed.cells == ("helper = 1",) and not handed.remarks


def test_an_answer_that_was_split_is_read_in_one():
    book = answered("one-tick")
    one = cell(book, "-answer")
    first, second, *rest = "".join(one["source"]).splitlines(keepends=True)
    one["source"] = [first, second]
    at = book["cells"].index(one)
    book["cells"].insert(at + 1, {**one, "id": "split", "source": "".join(rest)})
    handed = read_answer_of(book["cells"], TICK)
    assert handed.answer.split() == f"{first}{second}{''.join(rest)}".split()
    assert "stands in 2 cells" in handed.remarks[0]


def test_two_cells_with_one_id_are_no_notebook(tmp_path):
    book = answered("one-tick")
    book["cells"].append(dict(cell(book, "-answer")))
    with pytest.raises(InputError, match="several cells have the id 'one-tick-09'"):
        read_notebook(put(tmp_path / "x.ipynb", book))


def test_an_answers_cell_that_is_text_now_is_told():
    book = answered("one-tick")
    cell(book, "-answer")["cell_type"] = "markdown"
    with pytest.raises(InputError, match="not a code cell"):
        read_answer_of(book["cells"], TICK)


def test_another_notebook_is_refused():
    with pytest.raises(InputError, match="no cell of the lab is in it"):
        read_answer_of([], TICK)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("{", "is not a notebook"),
        ("[]", "is not a notebook"),
        ('{"cells": 1, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "damaged"),
        ('{"cells": [{"cell_type": "code", "source": 3}]}', "damaged"),
        ('{"worksheets": [], "nbformat": 3}', "old format"),
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
    handed = read_answer_of(read_notebook(put(tmp_path / "x.ipynb", book)), TICK)
    assert handed.answer and not handed.remarks


def test_a_spreadsheet_takes_no_students_name_for_a_formula(tmp_path):
    outcomes = (
        Outcome(1, "It is f().", Judgement(False, "it is so", more="Why.")),
        Outcome(2, "Fine.", Judgement(True, "it is")),
    )
    goals = tuple(Grade("Lab", "an answer", outcomes).as_data()["goals"])
    test = TestResult("t", "Goal.", 0, 1, "words", goals)
    told = ("the cell x was missing",)
    result = LabResult("=cmd()", "1-one-tick", "graded", 0, 2, (test, test), remarks=told)
    other = LabResult("=cmd()", "2-careful-write", "graded", 3, 4)
    write_csv(tmp_path / "x.csv", [result, other])
    row = next(csv.DictReader((tmp_path / "x.csv").open(encoding="utf-8")))
    assert row["student"] == "'=cmd()"
    assert why(result) == ["✖ Goal 1 not met (wanted: it is f()): it is so. Why."], "told once"
    assert row["why"] == "Goal 1 not met: it is so."
    assert row["remarks"] == "the cell x was missing"
    assert (row["student_total"], row["student_most"]) == ("3", "6")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("vmxsim.exercise = None", "changes vmxsim.exercise"),
        ("vmxsim = 1", "changes vmxsim"),
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
