"""No command writes over a file that is there, unless told to; none ever over what it reads."""

import os

import pytest
from attrs import evolve

import vmxsim as api
from tests.cli.running import fails, vmxsim
from tests.cli.test_check import MINE
from vmxsim.errors import InputError, write_file
from vmxsim.ftrace.faults import inject
from vmxsim.teaching.classroom.handout import hand_out, read_labs

SCENARIO = "title: t\ndesign: never-trap\nsteps: [run]\n"

#: Commands that write OUT, and whether OUT is a folder of pictures.
COMMANDS = [
    (["check", "mine.py:Mine", "--host", "64-bit", "--save", "OUT"], False),
    (["check", "--file", "mine.py:Mine", "--host", "64-bit", "--save", "OUT"], False),
    (["export", "mine.py:Mine", "--host", "64-bit", "--to", "mail", "-o", "OUT"], False),
    (["export", "mine.py:Mine", "--to", "promela", "-o", "OUT"], False),
    (["export", "run.yaml", "--design", "mine.py:Same", "--to", "markdown", "-o", "OUT"], False),
    (["export", "run.yaml", "--beside", "mine.py:Same", "--to", "html", "-o", "OUT"], False),
    (["export", "run.yaml", "--to", "svg", "--steps", "telling", "-o", "OUT"], True),
    (["run", "run.yaml", "--svg", "OUT"], True),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "run.yaml").write_text(SCENARIO)
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("command", "pictures"), COMMANDS)
def test_a_file_that_is_there_stays_unless_forced(here, command, pictures):
    out = here / "out"
    command = [str(out) if word == "OUT" else word for word in command]
    assert vmxsim(*command).returncode in (0, 1) and out.exists()
    first = sorted(out.iterdir())[-1] if pictures else out
    first.write_text("somebody's work")
    before = contents(here)
    said = fails(*command)
    assert "already exists" in said and "--force" in said and str(out) in said
    assert contents(here) == before
    assert vmxsim(*command, "--force").returncode in (0, 1)
    assert first.read_text() != "somebody's work"


@pytest.mark.parametrize("command", [words for words, pictures in COMMANDS if not pictures])
@pytest.mark.parametrize("through", ["name", "link"])
def test_what_is_read_is_never_written_to(here, command, through):
    before = contents(here)
    for name in ("mine.py", "run.yaml"):
        out = here / name
        if through == "link":
            out = here / f"link-to-{name}"
            os.link(here / name, out)
        asked = [str(out) if word == "OUT" else word for word in command]
        if name in " ".join(asked[:-1]):
            assert "is an input" in fails(*asked, "--force")
    assert {path: kept for path, kept in contents(here).items() if path in before} == before


def test_a_new_design_does_not_replace_one(here):
    assert "already exists" in fails("new", "mine.py", "--from", "never-trap")
    assert (here / "mine.py").read_text() == MINE
    assert vmxsim("new", "mine.py", "--from", "never-trap", "--force").returncode == 0
    assert "What I change, and why" in (here / "mine.py").read_text()


def test_what_is_no_plain_file_is_written_to(here):
    assert vmxsim("export", "run.yaml", "--to", "mail", "-o", "/dev/null").returncode == 0
    os.symlink(here / "nowhere", here / "dangling")
    assert "cannot be written" in fails("export", "run.yaml", "--to", "mail", "-o", here / "dangling")


def test_public_functions_keep_what_is_there_too(here):
    trace, fault = api.run("run.yaml"), inject("migrate", seed=1)
    ways = [
        lambda **how: api.export(trace, "mail", here / "out", **how),
        lambda **how: api.export([trace, trace], "html", here / "out", **how),
        lambda **how: api.picture(trace).save(here / "out", **how),
        lambda **how: fault.write(here / "out", **how),
    ]
    for write in ways:
        (here / "out").write_text("kept")
        with pytest.raises(InputError, match=r"out: already exists.*overwrite=True"):
            write()
        assert (here / "out").read_text() == "kept"
        write(overwrite=True)
        assert (here / "out").read_text() != "kept"
    with pytest.raises(InputError, match="is an input"):
        api.export(trace, "mail", here / "run.yaml", overwrite=True)


def test_a_folder_or_a_nul_in_the_name_is_told(here):
    for name in (here, "a\0b", here / "run.yaml" / "x"):
        with pytest.raises(InputError, match="cannot be written"):
            write_file(name, "text")


def test_grades_and_labs_do_not_replace_what_is_there(here):
    (here / "in").mkdir()
    (here / "in" / "ada.ipynb").write_text("{}")
    (here / "grades.csv").write_text("old")
    assert "already exists" in fails("labs", "grade", "in", "--csv", "grades.csv")
    assert "is an input" in fails("labs", "grade", "in", "--csv", "in/ada.ipynb", "--force")
    assert "in: is not empty" in fails("labs", "grade", "in", "--feedback", "in")
    lab = read_labs()[0]
    copy = evolve(lab, path=here / lab.path.name)
    copy.path.write_bytes(before := lab.path.read_bytes())
    with pytest.raises(InputError, match="is an input"):
        hand_out(here, [copy], force=True)
    assert copy.path.read_bytes() == before
