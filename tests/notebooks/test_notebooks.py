"""Every notebook runs from top to bottom, and nothing in it says that something failed.

Where there is a Chromium, JupyterLab runs the notebooks, and the same is checked of them there
(tests/browser/test_course.py): they need not run twice.
"""

from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.browser.lab import find_chromium
from tests.notebooks.checks import SECONDS, every_figure_has_words, nothing_on_standard_error

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb")) if find_chromium() is None else []


def widget_states(notebook):
    """State of every widget model: a failed callback's traceback ends in an Output's ``outputs``."""
    saved = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    return [model["state"] for model in saved.get("state", {}).values()]


def no_widget_holds_an_error(notebook):
    """nbclient (like nbmake) passes when a callback fails inside an Output widget: look inside."""
    states = widget_states(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert states or not code, "no widget was shown"
    for state in states:
        assert not [o for o in state.get("outputs", ()) if o.get("output_type") == "error"]
        assert 'role="alert"' not in str(state.get("value", "")), state["value"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    nothing_on_standard_error(notebook)
    no_widget_holds_an_error(notebook)
    every_figure_has_words(notebook)
