"""Every notebook, from top to bottom, as a learner goes through it: once all wrong, once all right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab import ROOT, Errors, open_notebook
from tests.browser.learner import answer_all, failures, run_all, serious

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_learner_goes_through_it(browser: Any, lab: Any, path: Path) -> None:
    """Dark theme for every other notebook: both are held against axe-core."""
    lab.theme(f"JupyterLab {('Light', 'Dark')[NOTEBOOKS.index(path) % 2]}")
    shutil.copy(path, lab.notebooks)
    code = sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"])
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    page.set_default_timeout(30_000)
    outside: list[str] = []
    page.on("request", lambda r: r.url.startswith((lab.url, "data:", "blob:")) or outside.append(r.url))
    errors = Errors(page)
    open_notebook(page, lab, path.name)
    run_all(page, code)
    assert not failures(page)
    asked, told = answer_all(page, right=False)
    assert told == asked
    assert asked or "vmxsim.predict(" not in path.read_text(), "its questions were not found on the page"
    again, told = answer_all(page, right=True)
    assert (again, told) == (asked, asked)
    assert not serious(page)
    assert not [url for url in outside if not url.startswith("ws")], "nothing needs the network"
    page.close()
    assert not errors.found
    lab.theme("JupyterLab Light")
