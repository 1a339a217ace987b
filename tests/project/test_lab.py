"""``vmxsim lab``: JupyterLab on the first notebook, with this Python behind it."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.cli.running import fails, vmxsim
from vmxsim.commands.lab import is_free, open_lab
from vmxsim.errors import InputError
from vmxsim.teaching import course
from vmxsim.teaching.course import FIRST, MANIFEST, find_course, work_on


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_said(taken):
    assert not is_free(taken)
    with pytest.raises(InputError, match=f"--port: port {taken} is taken"):
        open_lab(find_course()[0], no_browser=True, port=taken)


def test_without_notebooks_it_says_where_they_are(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "vmxsim"
    monkeypatch.setattr(course, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not complete"):
        find_course()
    carried = package / "data" / "course"
    carried.mkdir(parents=True)
    (carried / FIRST).touch()
    assert find_course() == (carried, False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / FIRST).touch()
    assert find_course() == (tmp_path / "notebooks", True)


def book(*cells, outputs=()):
    """A notebook's text."""
    made = [{"cell_type": "code", "source": cell, "outputs": list(outputs)} for cell in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "labs" / "source").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in (FIRST, "01.ipynb", "02.ipynb", "labs/1.ipynb", "labs/source/1.ipynb"):
        (folder / name).write_text(book(name))
    (folder / ".ipynb_checkpoints" / "01.ipynb").write_text(book("old"))
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_working_copy_has_the_course_without_the_labs_answers(tmp_path, source):
    mine = tmp_path / "mine"
    done = work_on(source, mine)
    assert names(mine) == {FIRST, "01.ipynb", "02.ipynb", "labs/1.ipynb", MANIFEST}
    assert len(done.copied) == 4 and "4 files of the course copied" in str(done)
    assert not str(work_on(source, mine)), "nothing to say where nothing is new"


def test_what_a_learner_changed_is_never_overwritten(tmp_path, source):
    mine = tmp_path / "mine"
    work_on(source, mine)
    (mine / "01.ipynb").write_text(book("01.ipynb", outputs=["only run"]))
    (mine / "02.ipynb").write_text(book("my answer"))
    for name in ("01.ipynb", "02.ipynb"):
        (source / name).write_text(book(f"{name}, second edition"))
    assert work_on(source, mine).newer == ["01.ipynb", "02.ipynb"]
    assert "my answer" in (mine / "02.ipynb").read_text() and "only run" in (mine / "01.ipynb").read_text()
    done = work_on(source, mine, refresh=True)
    assert done.updated == ["01.ipynb"] and done.beside == {"02.ipynb": "02.new.ipynb"}
    assert "my answer" in (mine / "02.ipynb").read_text()
    assert "second edition" in (mine / "01.ipynb").read_text()
    assert "second edition" in (mine / "02.new.ipynb").read_text()
    (mine / "02.new.ipynb").write_text(book("worked on, too"))
    (source / "02.ipynb").write_text(book("third edition"))
    assert work_on(source, mine, refresh=True).beside == {"02.ipynb": "02.new2.ipynb"}
    assert "worked on, too" in (mine / "02.new.ipynb").read_text()
    assert not str(work_on(source, mine))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    assert "no working copy of the course" in fails("lab", "--copy-only", "--dir", tmp_path)
    assert "is a file" in fails("lab", "--copy-only", "--dir", tmp_path / "thesis.tex")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / MANIFEST).write_text("{")
    assert f"{MANIFEST} cannot be read" in fails("lab", "--copy-only", "--dir", tmp_path / "copy")
    assert names(tmp_path) == {"thesis.tex", f"copy/{MANIFEST}"}


def test_it_makes_a_copy_of_the_checkouts_course_where_asked(tmp_path):
    done = vmxsim("lab", "--copy-only", "--dir", tmp_path / "mine")
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "mine")
    assert FIRST in names(tmp_path / "mine")


def test_it_serves_the_first_notebook_with_this_python(tmp_path, monkeypatch):
    # a kernel of the user's with the same name, which must not be the one that runs
    other = tmp_path / ".local" / "share" / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    other.joinpath("kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "other"}))
    monkeypatch.setenv("HOME", str(tmp_path))
    command = [sys.executable, "-m", "vmxsim.cli", "lab", "--no-browser"]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        for line in server.stderr:
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/(\S+)\?token=(\w+)", line):
                break
        base, first, token = found.groups()
        assert first == FIRST

        def ask(what, api="api"):
            with urllib.request.urlopen(f"{base}/{api}/{what}?token={token}", timeout=20) as answer:
                return json.load(answer)

        for _ in range(100):  # it says where it will be before it listens there
            if not is_free(int(base.rsplit(":", 1)[1])):
                break
            time.sleep(0.1)
        assert ask(f"contents/{FIRST}")["type"] == "notebook"
        specs = ask("kernelspecs")
        assert specs["default"] == "python3"
        assert specs["kernelspecs"]["python3"]["spec"]["display_name"] != "other"
        notification = ask("settings/@jupyterlab/apputils-extension:notification", "lab/api")
        assert notification["schema"]["properties"]["fetchNews"]["default"] == "false", (
            "no question about news"
        )
    finally:
        server.terminate()
        server.communicate(timeout=30)
