"""The labs' notebooks: sources run clean, students' versions hold no solution and match their sources."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.exercises.solutions import LABS, solution_text
from vmxsim.errors import InputError
from vmxsim.teaching.classroom.handout import choose_labs, hand_out, read_labs, student_version
from vmxsim.teaching.exercises import EXERCISES

FOLDER = Path(__file__).parents[2] / "notebooks" / "labs"
SECONDS = 60


@pytest.fixture(scope="module")
def versions():
    return {lab.name: student_version(lab) for lab in LABS.values()}


@pytest.fixture(scope="module")
def client():
    """A kernel for all labs: its start would take as long as a lab."""
    one = nbclient.NotebookClient(
        nbformat.v4.new_notebook(), timeout=SECONDS, resources={"metadata": {"path": str(FOLDER)}}
    )
    with one.setup_kernel():
        yield one


@pytest.mark.parametrize("lab", LABS.values(), ids=lambda lab: lab.name)
def test_the_source_runs_clean(client, lab):
    """Solution and all tests, hidden ones included."""
    client.nb = notebook = nbformat.read(lab.path, as_version=4)
    client.reset_execution_trackers()
    client.execute_cell(nbformat.v4.new_code_cell("%reset -f"), -1)
    for number, cell in enumerate(notebook.cells):
        client.execute_cell(cell, number)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    # nbgrader takes a value below a test for points
    graded = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert graded and not [o for c in graded for o in c.outputs if o.output_type == "execute_result"]


@pytest.mark.parametrize("lab", LABS.values(), ids=lambda lab: lab.name)
def test_the_student_version_holds_no_solution_and_no_hidden_test(versions, lab):
    book = json.loads(versions[lab.name])
    text = "\n".join("".join(cell["source"]) for cell in book["cells"])
    assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN)", text)
    lines = [line for line in solution_text(lab.id).splitlines()[2:-1] if line.strip()]
    assert "\n".join(lines) not in "\n".join(line for line in text.splitlines() if line.strip())
    assert EXERCISES[lab.id].source().strip() in text
    assert "three = vmxsim.check" not in text


@pytest.mark.parametrize("lab", LABS.values(), ids=lambda lab: lab.name)
def test_the_committed_version_is_the_one_that_is_handed_out(versions, lab):
    """vmxsim labs hand-out notebooks/labs --force"""
    committed = json.loads((FOLDER / f"{lab.name}.ipynb").read_text("utf-8"))
    for made, there in zip(json.loads(versions[lab.name])["cells"], committed["cells"], strict=True):
        assert "".join(made["source"]) == "".join(there["source"])
        marks = [cell["metadata"].get("nbgrader", {}) for cell in (made, there)]
        assert marks[0] == marks[1]


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.ipynb")), ids=lambda path: path.name)
def test_labs_are_committed_clean(path):
    book = json.loads(path.read_text("utf-8"))
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in book["metadata"]
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_readme_names_every_lab_with_its_points():
    readme = (FOLDER / "README.md").read_text("utf-8")
    for lab in LABS.values():
        row = next(line for line in readme.splitlines() if f"({lab.name}.ipynb)" in line)
        assert row.endswith(f"| {EXERCISES[lab.id].minutes} | {lab.points:g} |")


def test_handing_out_overwrites_nobodys_work(tmp_path):
    labs = choose_labs(["1"], read_labs())
    (path,) = hand_out(tmp_path, labs)
    hand_out(tmp_path, labs)  # the same again harms nobody
    path.write_text(path.read_text("utf-8").replace("emulate", "work"), encoding="utf-8")
    with pytest.raises(InputError, match="--force"):
        hand_out(tmp_path, labs)
    hand_out(tmp_path, labs, force=True)
    assert "emulate" in path.read_text("utf-8")


def test_a_lab_is_named_by_number_id_or_file():
    labs = read_labs()
    for name in ("2", "careful-write", "2-careful-write", "2-careful-write.ipynb"):
        assert [lab.id for lab in choose_labs([name], labs)] == ["careful-write"]
    assert choose_labs([], labs) == labs
    with pytest.raises(InputError, match="did you mean 'careful-write'"):
        choose_labs(["careful-rite"], labs)


def test_a_damaged_source_is_told(tmp_path):
    (tmp_path / "1-x.ipynb").write_text("{}")
    with pytest.raises(InputError, match="is not a lab"):
        read_labs(tmp_path)
