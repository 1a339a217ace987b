"""``vmxsim labs``: the command line around the classroom."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.classroom.submitting import answered, given, submit
from tests.cli.running import fails, vmxsim
from vmxsim.teaching.classroom import grading
from vmxsim.teaching.classroom.submissions import LabResult


def test_list():
    done = vmxsim("labs", "list")
    assert done.returncode == 0
    assert "7-repair-the-patch" in done.stdout
    rows = [json.loads(line) for line in vmxsim("labs", "list", "--json").stdout.splitlines()]
    assert len(rows) == 8
    assert all(row["goals"] and row["points"] and row["minutes"] for row in rows)


def test_without_a_command_it_says_what_there_is():
    done = vmxsim("labs")
    assert done.returncode == 0
    for name in ("list", "hand-out", "grade"):
        assert name in done.stdout


def test_the_help_says_whose_code_runs_where():
    text = " ".join(vmxsim("labs", "grade", "--help").stdout.split())
    assert "THE STUDENTS' CODE RUNS ON THIS MACHINE" in text


def test_from_handing_out_to_grades(tmp_path):
    done = vmxsim("labs", "hand-out", tmp_path / "out", "1")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1-one-tick.ipynb"]
    submit(tmp_path / "in", "ada", "one-tick", answered("one-tick"))
    submit(tmp_path / "in", "bob", "one-tick", given("one-tick"))
    files = ["--csv", tmp_path / "grades.csv", "--feedback", tmp_path / "feedback"]
    done = vmxsim("labs", "grade", tmp_path / "in", "--json", *files)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert [lab["lab"] for lab in data["labs"]] == ["1-one-tick"], "of the others nothing was handed in"
    assert [(s["student"], s["points"], s["most"]) for s in data["students"]] == [
        ("ada", 3, 3),
        ("bob", 0, 3),
    ]
    assert (tmp_path / "grades.csv").read_text("utf-8").count("\n") == 3
    assert (tmp_path / "feedback" / "bob" / "1-one-tick.html").is_file()
    assert "ada/1-one-tick.html" in (tmp_path / "feedback" / "index.html").read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feedback", "grades.csv", "in", "out"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["labs", "grad"], "did you mean 'labs grade'"),
        (["labs", "hand-out", "OUT", "one-tik"], "did you mean 'one-tick'"),
        (["labs", "grade", "NOWHERE"], "is not a folder"),
        (["labs", "grade", "."], "holds no notebook"),
        (["labs", "grade", ".", "--timeout", "0"], "--timeout"),
        (["labs", "hand-out"], "DIR"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    assert says in fails(*args)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--csv", "--feedback"])
def test_a_place_that_cannot_be_written_is_found_before_grading(tmp_path, option):
    submit(tmp_path / "in", "ada", "one-tick", answered("one-tick", "while True: pass"))
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "deep"
    assert "cannot be written" in fails("labs", "grade", tmp_path / "in", option, place)
    assert "cannot be written" in fails("labs", "grade", tmp_path / "in", "--csv", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in"]


def test_a_stray_module_in_the_current_directory_is_not_imported(tmp_path):
    submit(tmp_path / "in", "ada", "one-tick", answered("one-tick"))
    (tmp_path / "html.py").write_text("raise RuntimeError('imported')")
    code = "import sys; sys.path.remove(''); from vmxsim.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "labs", "grade", "in"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "imported" not in done.stderr, done.stderr
    assert "3 of 3" in done.stdout


def test_without_nbgrader_it_says_what_to_install(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['nbgrader'] = None\n"
        "from importlib import util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'nbgrader' else find(name, *rest)\n"
        "from vmxsim.cli import main\n"
        f"main(['labs', 'hand-out', {str(tmp_path / 'out')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install --editable '.[classroom]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails("labs", "hand-out", tmp_path / "file" / "out", "1")


def test_ctrl_c_keeps_the_grades_so_far_and_says_which_notebooks_have_none(tmp_path, monkeypatch):
    for student in ("ada", "bob", "cyd"):
        submit(tmp_path / "in", student, "one-tick", answered("one-tick"))

    def interrupted(context, course, folder, one, seconds):
        if one.student != "ada":
            raise KeyboardInterrupt
        return LabResult("ada", one.lab.name, "graded", 3.0, 3.0)

    monkeypatch.setattr(grading, "AT_A_TIME", 1)
    monkeypatch.setattr(grading, "make_course", lambda *_: None)
    monkeypatch.setattr(grading, "_grade_one", interrupted)
    done = vmxsim("labs", "grade", tmp_path / "in", "--csv", tmp_path / "grades.csv")
    assert done.returncode == 130 and done.stdout.count("was not graded: interrupted") == 2
    rows = [line.split(",") for line in (tmp_path / "grades.csv").read_text().splitlines()[1:]]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("ada", "3", "graded"),
        ("bob", "0", "problem"),
        ("cyd", "0", "problem"),
    ]
