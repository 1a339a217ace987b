"""The wheel is all that is needed: it carries the course, and opens it in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vmxsim.teaching.course import FIRST, MANIFEST

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "notebooks"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what an installation of the wheel would have in site-packages."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site-packages")
    return built / "site-packages"


@pytest.fixture
def ask(installed, tmp_path):
    """Runs the command line of the wheel in an empty folder."""

    def run(*arguments):
        command = [sys.executable, "-P", "-m", "vmxsim.cli", *arguments]
        env = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def test_it_opens_a_working_copy_of_the_course_in_an_empty_folder(ask, installed, tmp_path):
    done = ask("lab", "--copy-only")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "vmxsim-course")), done.stderr
    copied = {path.relative_to(tmp_path / "vmxsim-course") for path in tmp_path.rglob("*") if path.is_file()}
    own = subprocess.run(["git", "ls-files"], cwd=COURSE, capture_output=True, text=True).stdout.split()
    wanted = {Path(name) for name in own if not name.startswith("labs/source/")}
    assert not own or copied == wanted | {Path(MANIFEST)}
    carried = installed / "vmxsim" / "data" / "course" / FIRST
    assert json.loads((tmp_path / "vmxsim-course" / FIRST).read_text()) == json.loads(carried.read_text())


def test_labs_are_handed_out_from_it(ask, tmp_path):
    done = ask("labs", "hand-out", "labs")
    assert done.returncode == 0, done.stderr
    handed = sorted(path.name for path in (tmp_path / "labs").glob("*.ipynb"))
    assert handed == sorted(path.name for path in (COURSE / "labs").glob("*.ipynb"))


def test_it_runs_and_draws(ask, tmp_path):
    (tmp_path / "away.yaml").write_text("design: never-trap\nsteps: [run]\n")
    done = ask("run", "away.yaml", "--svg", "pictures")
    assert done.returncode == 0, done.stderr
    assert "</svg>" in next((tmp_path / "pictures").glob("*.svg")).read_text()


def test_it_carries_its_files_and_no_others(installed):
    """Recorded traces and JupyterLab's defaults are read from the package; tests and pictures stay out."""
    assert (installed / "vmxsim" / "data" / "lab" / "overrides.json").is_file()
    assert list((installed / "vmxsim" / "data" / "traces").iterdir())
    assert list((installed / "vmxsim" / "web").rglob("*.js")) and list(
        (installed / "vmxsim" / "web").rglob("*.css")
    )
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"vmxsim"}
    assert not list(installed.rglob(".ipynb_checkpoints"))
