"""Every notebook runs from top to bottom, quickly, and nothing in it says that something failed."""

import time
from pathlib import Path

import nbclient
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
#: The longest wait for a whole notebook. Generous: tests share the machine with a browser.
SECONDS = 60


@pytest.fixture(scope="module", params=sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def executed(request):
    """The notebook after 'Run All', and how long that took."""
    notebook = nbformat.read(request.param, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    start = time.monotonic()
    client.execute()
    return notebook, time.monotonic() - start


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def widget_states(notebook):
    """State of every widget model: a failed callback's traceback ends in an Output's ``outputs``."""
    saved = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    return [model["state"] for model in saved.get("state", {}).values()]


def test_it_runs_in_time(executed):
    _, seconds = executed
    assert seconds < SECONDS


def test_nothing_is_written_to_standard_error(executed):
    notebook, _ = executed
    told = [o for o in outputs(notebook) if o.output_type == "stream" and o.name == "stderr"]
    assert not told
    assert not [o for o in outputs(notebook) if o.output_type == "error"]


def test_no_widget_holds_an_error(executed):
    """nbclient (like nbmake) passes when a callback fails inside an Output widget: look inside."""
    notebook, _ = executed
    states = widget_states(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert states or not code, "no widget was shown"
    for state in states:
        assert not [o for o in state.get("outputs", ()) if o.get("output_type") == "error"]
        assert 'role="alert"' not in str(state.get("value", "")), state["value"]


def test_every_figure_has_words(executed):
    """A picture is an image with a title and a description; a widget carries its words."""
    notebook, _ = executed
    for output in outputs(notebook):
        markup = output.get("data", {}).get("text/html", "") + output.get("data", {}).get("image/svg+xml", "")
        for svg in markup.split("<svg")[1:]:
            assert 'role="img"' in svg.split(">")[0]
            assert "<title" in svg
            assert "<desc" in svg
