"""A class of nine: perfect, untouched, wrong, tampered with, broken. Each gets the right points."""

from __future__ import annotations

import csv
import json
import re

import pytest

from tests.classroom.submitting import answered, cell, given, submit
from vmxsim.teaching.classroom.feedback import write_feedback
from vmxsim.teaching.classroom.gradebooks import why, write_csv
from vmxsim.teaching.classroom.grading import LabResult, grade
from vmxsim.teaching.classroom.handout import choose_labs, read_labs
from vmxsim.teaching.classroom.submissions import find_submissions

ONE, TWO = "1-one-tick", "2-careful-write"
INSIDE_ONLY = """\
class Mine(ex.start):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            preempt_disable()
            wrmsr(MSR_KERNEL_GS_BASE, data)
            preempt_enable()
        vmx.msr_guest_kernel_gs_base = data
"""
REFUSED = """\
class Mine(ex.start):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        for i in range(2):
            wrmsr(MSR_KERNEL_GS_BASE, data)
"""


def make_tests_easy(book):
    """Tests that pass, and are worth more; one test gone, another moved."""
    cell(book, "-test-1")["source"] = "pass"
    cell(book, "-test-1")["metadata"]["nbgrader"]["points"] = 100
    book["cells"].remove(cell(book, "-test-2"))


def strip_marks(book):
    """As some editors do. The setup is changed, too."""
    cell(book, "-setup")["source"] += "\nprint('mine')"
    for one in book["cells"]:
        one["metadata"] = {}
    book["metadata"] = {}


def rebind_in_own_cells(book):
    """No answer, but a cell that would make every test pass, and outputs that say so."""
    text = "vmxsim.exercise = lambda *a, **k: __import__('unittest').mock.MagicMock()"
    shown = {
        "output_type": "execute_result",
        "data": {"text/plain": "3"},
        "metadata": {},
        "execution_count": 1,
    }
    cell(book, "-test-1")["outputs"] = [shown]
    own = {"cell_type": "code", "id": "own", "metadata": {}, "outputs": [shown], "execution_count": 1}
    book["cells"].insert(1, {**own, "source": text})


def make_class(folder):
    submit(folder, "ada", "one-tick", answered("one-tick"))
    submit(folder, "ada", "careful-write", answered("careful-write"))
    submit(folder, "bob", "one-tick", given("one-tick"))
    submit(folder, "cyd", "careful-write", answered("careful-write", INSIDE_ONLY))
    submit(folder, "dan", "one-tick", given("one-tick"), make_tests_easy)
    submit(folder, "eve", "one-tick", "this is not a notebook")
    submit(folder, "fay", "one-tick", answered("one-tick", "import os\nos._exit(1)"))
    submit(folder, "gus", "one-tick", answered("one-tick", "import time\nwhile True:\n    time.sleep(0.1)"))
    submit(folder, "kim", "one-tick", answered("one-tick", " \n"))
    submit(folder, "lea", "one-tick", given("one-tick"), rebind_in_own_cells)
    submit(folder, "hal", "careful-write", answered("careful-write", REFUSED))
    submit(folder, "ivy", "one-tick", answered("one-tick"), strip_marks)
    submit(folder, "Jo", "one-tick", answered("one-tick", "schedule = [\n]\nif 1\n    pass"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    make_class(folder)
    before = sorted(folder.rglob("*"))
    stray = tmp_path_factory.mktemp("stray")
    (stray / "html.py").write_text("raise RuntimeError('imported')")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(stray)
    monkeypatch.syspath_prepend(str(stray))
    labs = choose_labs(["1", "2"], read_labs())
    students, submissions = find_submissions(folder, labs)
    found = grade(submissions, students, labs, seconds=12)
    monkeypatch.undo()
    assert sorted(folder.rglob("*")) == before, "nothing is left where the teacher works"
    return {(result.student, result.lab): result for result in found}


@pytest.mark.parametrize(
    ("student", "lab", "status", "points"),
    [
        ("ada", ONE, "graded", 3),
        ("ada", TWO, "graded", 4),
        ("bob", ONE, "graded", 0),
        ("bob", TWO, "missing", 0),
        ("cyd", TWO, "graded", 0),
        ("dan", ONE, "graded", 0),
        ("eve", ONE, "problem", 0),
        ("fay", ONE, "graded", 0),
        ("gus", ONE, "graded", 0),
        ("hal", TWO, "graded", 0),
        ("ivy", ONE, "graded", 3),
        ("Jo", ONE, "graded", 0),
        ("kim", ONE, "graded", 0),
        ("lea", ONE, "graded", 0),
    ],
)
def test_points(results, student, lab, status, points):
    result = results[student, lab]
    assert (result.status, result.points) == (status, points), result
    assert result.most == {ONE: 3, TWO: 4}[lab]


@pytest.mark.parametrize(
    ("student", "lab", "says"),
    [
        ("bob", ONE, "not answered"),
        ("cyd", TWO, "Mechanism: Preempted between the test and the access"),
        ("dan", ONE, "not answered"),
        ("eve", ONE, "is not a notebook"),
        ("fay", ONE, "line 1 of your answer: 'import os': an answer imports nothing"),
        ("gus", ONE, "line 1 of your answer: 'import time': an answer imports nothing"),
        ("kim", ONE, "the answer's cell is empty"),
        ("lea", ONE, "not answered"),
        ("Jo", ONE, "line 3 of your answer: expected ':'"),
        ("hal", TWO, "kernel functions cannot use"),
    ],
)
def test_reasons(results, student, lab, says):
    told = why(results[student, lab])
    assert any(says in line for line in told), told
    assert len(told) == 1, "nothing is told twice"
    assert not any("Traceback" in line for line in told)


def test_what_was_tampered_with_is_told(results):
    told = " ".join(results["dan", ONE].remarks)
    assert "changed, which changes nothing: one-tick-test-1" in told
    assert "missing, which changes nothing: one-tick-test-2" in told
    assert "one-tick-setup" in " ".join(results["ivy", ONE].remarks)
    assert not results["ada", ONE].remarks


def test_what_looks_like_a_cheat_is_flagged(results):
    assert "changes vmxsim.exercise" in " ".join(results["lea", ONE].flags)
    assert "imports os" in " ".join(results["fay", ONE].flags)
    assert not any(results[student, lab].flags for student, lab in results if student not in ("lea", "fay"))


def test_feedback_is_a_page_a_student_says_what_failed_and_runs_nothing(results, tmp_path):
    pages = write_feedback(tmp_path, results.values(), read_labs())
    assert pages == len({r.student for r in results.values() if r.status != "missing"})
    wrong = (tmp_path / "cyd.html").read_text("utf-8")
    assert "<pre>ex.submit(Mine)</pre>" in wrong and "<p>✖ Goal 2 not met: as told above.</p>" in wrong
    assert wrong.count("Mechanism: ") == 1
    assert "emulate wrmsr" in wrong and "0 of 4 points" in wrong
    assert "preempt_disable()" in wrong, "the answer"
    both = (tmp_path / "ada.html").read_text("utf-8")
    assert ONE in both and TWO in both and "7 of 7 points" in both
    refused = (tmp_path / "fay.html").read_text("utf-8")
    assert refused.count("an answer imports nothing") == 1
    index = (tmp_path / "index.html").read_text("utf-8")
    assert '<a href="cyd.html">cyd</a>' in index and f"{TWO}: 0 of 4 points" in index
    assert index.count("⚑") == 3 and "Have a look at 2 students" in index
    assert "⚑" not in (tmp_path / "lea.html").read_text("utf-8"), "flags are for the teacher"
    for page in tmp_path.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "<script" not in text and "http" not in re.sub(r"<!DOCTYPE.*", "", text)
        assert '<html lang="en">' in text


def test_a_spreadsheet_gets_a_row_for_each(results, tmp_path):
    write_csv(tmp_path / "grades.csv", results.values())
    rows = list(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8")))
    assert len(rows) == len(results)
    assert next(r for r in rows if r["student"] == "ada" and r["lab"] == TWO)["points"] == "4"
    assert json.dumps([r.as_data() for r in results.values()])


def test_no_name_and_no_text_of_one_student_costs_the_others_their_feedback(tmp_path):
    odd = LabResult("é" * 120, ONE, "graded", 0, 3, answer="half a character: \ud800", refused="\udcff")
    page = LabResult("index", ONE, "graded", 3, 3, answer="<script>alert(1)</script>")
    assert write_feedback(tmp_path / "f", [odd, page], read_labs()) == 2
    write_csv(tmp_path / "grades.csv", [odd, page])
    names = [path.name for path in (tmp_path / "f").iterdir()]
    assert len(names) == 3 and "index_.html" in names
    assert "<script" not in (tmp_path / "f" / "index_.html").read_text("utf-8")
