"""Every notebook, from top to bottom, as a learner goes through it: each question first wrong, then right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab import ROOT, lab_page
from tests.browser.learner import OURS, answer_all, failures, run_all, save, serious
from tests.notebooks.checks import every_figure_has_words, nothing_on_standard_error

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_learner_goes_through_it(browser: Any, lab: Any, path: Path) -> None:
    """Dark theme for every other notebook: both are held against axe-core."""
    shutil.copy(path, lab.notebooks)
    shutil.copy(ROOT / "notebooks/vmx-in-our-words.c", lab.notebooks)
    code = sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"])
    shown = lab_page(browser, lab, path.name, dark=bool(NOTEBOOKS.index(path) % 2))
    page = shown.page
    run_all(page, code)
    assert not failures(page)
    if code:
        assert page.locator(".jp-OutputArea-output .jupyter-widgets, .vmxsim-player").count(), (
            "no widget was shown"
        )
    saved = save(page, lab.notebooks / path.name)
    nothing_on_standard_error(saved)
    every_figure_has_words(saved)
    asked, wrong, right = answer_all(page)
    assert asked or "vmxsim.predict(" not in path.read_text(), "its questions were not found on the page"
    assert (wrong, right) == (asked, asked)
    assert not serious(page, *OURS)
    assert not shown.outside, "nothing needs the network"
    shown.close()
