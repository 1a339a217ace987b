"""Files stay small, and notebooks are committed without outputs."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("vmxsim", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".js", ".css"}
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_files_are_small():
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := path.read_text().count("\n")) > 650}
    assert not long, f"over 650 lines; one file for a thing that a reader looks for: {long}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_clean(path):
    """The committed ones: JupyterLab saves outputs into a reader's own."""
    shown = subprocess.run(
        ["git", "show", f":./{path.relative_to(ROOT)}"], cwd=ROOT, capture_output=True, text=True
    )
    notebook = json.loads(shown.stdout if shown.returncode == 0 else path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"], "saved widget state"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
