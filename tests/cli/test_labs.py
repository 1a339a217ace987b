"""``vmxsim labs``: the command line around the classroom."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.classroom.submitting import answered, cell, given, submit
from tests.cli.running import fails, vmxsim
from tests.exercises.solutions import solution_text
from vmxsim.teaching.classroom import grading
from vmxsim.teaching.classroom.judging import Judged, judge


@pytest.fixture(autouse=True)
def _own_data(tmp_path_factory, monkeypatch):
    """What is judged is kept among the Jupyter data of whoever grades: not of who runs the tests."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("data")))


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


def test_the_help_says_that_no_students_code_runs():
    text = " ".join(vmxsim("labs", "grade", "--help").stdout.split())
    assert "NO STUDENT'S CODE RUNS" in text


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
    assert (tmp_path / "feedback" / "bob.html").is_file()
    assert "ada.html" in (tmp_path / "feedback" / "index.html").read_text("utf-8")
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


def test_neither_handing_out_nor_grading_needs_nbgrader_or_a_kernel(tmp_path):
    submit(tmp_path / "in", "ada", "one-tick", answered("one-tick"))
    code = (
        "import sys\n"
        "for name in ('nbgrader', 'nbformat', 'nbclient', 'ipykernel'):\n    sys.modules[name] = None\n"
        "from vmxsim.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    for args in (["hand-out", tmp_path / "out"], ["grade", tmp_path / "in"]):
        command = [sys.executable, "-c", code, "labs", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert "3 of 3" in done.stdout


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails("labs", "hand-out", tmp_path / "file" / "out", "1")


def judged_here(context, task, seconds):
    return judge(task)


def test_ctrl_c_keeps_the_grades_so_far_and_says_which_notebooks_have_none(tmp_path, monkeypatch):
    answers = {"ada": None, "bob": "schedule = ['run']", "cyd": "schedule = []"}
    for student, answer in answers.items():
        submit(tmp_path / "in", student, "one-tick", answered("one-tick", answer))
    judged = []

    def interrupted(context, task, seconds):
        if judged:
            raise KeyboardInterrupt
        judged.append(task)
        return judge(task)

    monkeypatch.setattr(grading, "judge_apart", interrupted)
    files = ("--csv", tmp_path / "grades.csv", "--jobs", 1)
    done = vmxsim("labs", "grade", tmp_path / "in", *files)
    assert done.returncode == 130 and done.stdout.count("was not graded: interrupted") == 2
    rows = [line.split(",") for line in (tmp_path / "grades.csv").read_text().splitlines()[1:]]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("ada", "3", "graded"),
        ("bob", "0", "problem"),
        ("cyd", "0", "problem"),
    ]
    again = []
    monkeypatch.setattr(grading, "judge_apart", lambda _, task, __: again.append(task) or judge(task))
    done = vmxsim("labs", "grade", tmp_path / "in", "--resume", "--force", *files)
    assert done.returncode == 0 and "ada        3/3" in done.stdout
    assert len(again) == 2 and judged[0] not in again, "ada's answer is not judged again"


def test_a_table_that_cannot_be_written_loses_nothing(tmp_path, monkeypatch):
    submit(tmp_path / "in", "ada", "one-tick", answered("one-tick"))
    monkeypatch.setattr(grading, "judge_apart", judged_here)
    monkeypatch.setattr("vmxsim.commands.labs.require_file", lambda *_: None)  # it was fine at the start
    done = vmxsim("labs", "grade", tmp_path / "in", "--csv", tmp_path / "gone" / "grades.csv")
    assert done.returncode == 2 and "cannot be written" in done.stderr
    assert "3 of 3" in done.stdout
    monkeypatch.setattr(grading, "judge_apart", None)
    assert vmxsim("labs", "grade", tmp_path / "in", "--resume").returncode == 0, "nothing is judged again"


def test_the_same_answer_is_judged_once(tmp_path, monkeypatch):
    for student in ("ada", "bob", "cyd"):
        submit(tmp_path / "in", student, "one-tick", answered("one-tick"))
    judged = []
    monkeypatch.setattr(
        grading, "judge_apart", lambda _, task, __: judged.append(task) or Judged(refused="x")
    )
    done = vmxsim("labs", "grade", tmp_path / "in")
    assert done.stdout.count("0 of 3") == 3 and len(judged) == 1


ROSTER = "Full name,Identifier,Email address\nAda Lovelace,Participant 71,ada@x.org\nBob B,Participant 72,\n"


def test_a_roster_and_tables_for_moodle_and_canvas(tmp_path, monkeypatch):
    (tmp_path / "roster.csv").write_text(ROSTER)
    submit(tmp_path / "in", "Ada Lovelace_71_assignsubmission_file_", "one-tick", answered("one-tick"))
    submit(tmp_path / "in", "eve", "one-tick", given("one-tick"))
    monkeypatch.setattr(grading, "judge_apart", judged_here)
    files = ["--moodle", tmp_path / "m.csv", "--canvas", tmp_path / "c.csv"]
    done = vmxsim("labs", "grade", tmp_path / "in", "--roster", tmp_path / "roster.csv", *files)
    assert done.returncode == 0, done.stderr
    assert "Bob B" in done.stdout, "who handed in nothing is there too"
    assert "is not in the roster" in done.stdout
    assert (tmp_path / "m.csv").read_text().splitlines()[:3] == [
        "Identifier,Full name,Email address,Grade,Maximum Grade,1-one-tick,Feedback comments",
        "Participant 71,Ada Lovelace,ada@x.org,3,3,3,",
        "Participant 72,Bob B,,0,3,,",
    ]
    assert (tmp_path / "c.csv").read_text().splitlines()[:3] == [
        "Student,ID,SIS User ID,SIS Login ID,Section,1-one-tick",
        "    Points Possible,,,,,3",
        "Ada Lovelace,71,,,,3",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no column 'student'"),
        ("studnt\nada\n", "did you mean"),
        ("student\n../../etc\n", "roster.csv:2: '../../etc' can be no file's name"),
        ("student\nada\nAda\n", "names 'ada' twice"),
    ],
)
def test_a_roster_that_is_none(tmp_path, text, says):
    (tmp_path / "roster.csv").write_text(text)
    assert says in fails(
        "labs", "hand-out", tmp_path / "out", "--roster", tmp_path / "roster.csv", "--seed", "x"
    )
    assert not (tmp_path / "out").exists()


def test_versions_for_each_student_from_handing_out_to_grades(tmp_path, monkeypatch):
    (tmp_path / "roster.csv").write_text(ROSTER)
    own = ["--roster", tmp_path / "roster.csv", "--seed", "autumn"]
    assert "both --roster and --seed" in fails("labs", "hand-out", tmp_path / "out", *own[2:])
    assert vmxsim("labs", "hand-out", tmp_path / "out", "2", *own).returncode == 0
    texts = {p.parent.name: p.read_text("utf-8") for p in (tmp_path / "out").rglob("*.ipynb")}
    assert set(texts) == {"Ada Lovelace", "Bob B"} and len(set(texts.values())) == 2
    tag = re.search(r'vmcs_write\(\\"TAG\\", 0x\w+\)', texts["Ada Lovelace"])[0].replace("\\", "")
    book = json.loads(texts["Ada Lovelace"])
    right = solution_text("careful-write").replace(
        "guest_kernel_gs_base = data", f"guest_kernel_gs_base = data\n        {tag}"
    )
    cell(book, "-answer")["source"] = right
    submit(tmp_path / "in", "ada lovelace", "careful-write", book)
    submit(tmp_path / "in", "Bob B", "careful-write", book)  # a copy
    monkeypatch.setattr(grading, "judge_apart", judged_here)
    done = vmxsim("labs", "grade", tmp_path / "in", *own, "--json")
    people = {one["student"]: one for one in json.loads(done.stdout)["students"]}
    assert (people["Ada Lovelace"]["points"], people["Bob B"]["points"]) == (4, 0)
    (copied,) = people["Bob B"]["labs"]
    assert copied["flags"] == ["has what only the version of Ada Lovelace has"]
    assert people["Ada Lovelace"]["labs"][0]["flags"] == []
