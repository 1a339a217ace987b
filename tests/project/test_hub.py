"""A class on a real JupyterHub: what ``deploy/student-server`` starts, and the program that measures it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MISSING_HUB

ROOT = Path(__file__).parents[2]


def test_two_students_on_a_hub_open_the_course_and_toggle():
    if importlib.util.find_spec("jupyterhub") is None or not shutil.which("configurable-http-proxy"):
        pytest.skip(MISSING_HUB)
    program = [sys.executable, str(ROOT / "benchmarks" / "hub_of_students.py"), "--students=2", "--toggles=2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 servers at once" in done.stdout and "all toggle at once" in done.stdout
    assert 50 < int(re.search(r"memory: (\d+) MB a student", done.stdout)[1]) < 1000


def test_without_a_hub_the_program_says_that_it_measured_nothing(tmp_path):
    program = [sys.executable, str(ROOT / "benchmarks" / "hub_of_students.py")]
    done = subprocess.run(program, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("not measured: ")


def test_a_students_server_starts_on_a_working_copy_even_where_it_cannot_be_made(tmp_path):
    """The script starts what is on PATH: here one that says what it was given."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    for name, line in (
        ("vmxsim", f'exec {sys.executable} -m vmxsim.cli "$@"'),
        ("jupyterhub-singleuser", 'echo started "$@"'),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    env = {**os.environ, "HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def start():
        script = [str(ROOT / "deploy" / "student-server"), "--allow-root", "a b"]
        done = subprocess.run(script, env=env, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "started --allow-root a b\n"), done.stderr
        return done.stderr

    assert "copied" in start()
    first = home / "vmxsim-course" / "00-start-here.ipynb"
    assert first.is_file()
    first.write_text("mine")
    start()
    assert first.read_text() == "mine"
    shutil.rmtree(home / "vmxsim-course")
    (home / "vmxsim-course").write_text("a file in the way")
    assert "is a file" in start()
