"""What of the course's players cannot be seen at once, in real JupyterLab, on the screens it is made for.

``python benchmarks/one_screen.py 03 04`` looks at these notebooks only.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from in_browser import lab_and_page, open_notebook
from playwright.sync_api import Error as PlaywrightError

from tests.browser.lab import ROOT, Lab
from tests.browser.learner import run_all
from tests.browser.screen import answer, cut_sentences, go_on, hidden, on_each_screen

_CELL = """output => {
  const cells = jupyterapp.shell.currentWidget.content.widgets;
  return cells.findIndex((cell) => cell.node.contains(output));
}"""

#: The first code cell that has not run.
_WAITS = """() => jupyterapp.shell.currentWidget.content.widgets
  .findIndex((cell) => cell.model.type === 'code' && !cell.model.executionCount)"""

#: Ask every question of the page again.
_AGAIN = """() => {
  for (const again of document.querySelectorAll('.vp-gate .vp-again')) if (!again.hidden) again.click();
}"""


def _told(page: Any) -> Iterator[str]:
    """Each thing that cannot be seen in an open notebook, with its cell, on the screen that the page has."""
    for output in page.locator(".jp-Cell-outputWrapper:has(.vmxsim-player)").element_handles():
        where = f"cell {output.evaluate(_CELL)}"
        try:
            yield from (f"{where}{words}" for words in _told_of(page, output))
        except PlaywrightError as error:
            yield f"{where}: not looked at: {error.message.splitlines()[0]}"


def _told_of(page: Any, output: Any) -> Iterator[str]:
    output.evaluate("output => output.scrollIntoView({ block: 'start' })")
    page.wait_for_timeout(150)
    player = output.query_selector(".vmxsim-player")
    found = dict.fromkeys(hidden(output), "")
    questions = player.evaluate("player => player.querySelectorAll('.vp-gate:not(.vp-waits)').length")
    for question in range(1, questions + 1):
        if not answer(player):
            break
        found |= {words: f", question {question}, answered" for words in hidden(output) if words not in found}
        go_on(player)
        found |= {words: f", after question {question}" for words in hidden(output) if words not in found}
    yield from (f"{when}: {words}" for words, when in found.items())
    if answer(player):
        yield f": more than its {questions} questions were asked, or one was not answered"
    for kind in ("step", "wrong"):
        cut = [(slot, pixels) for slot, part, pixels in cut_sentences(player) if part == kind]
        if cut:
            worst = max(pixels for _, pixels in cut)
            yield f": {kind}: {len(cut)} cut, by up to {worst} px, the first at step {cut[0][0]}"


def _look_at(page: Any, lab: Lab, path: Path) -> Iterator[str]:
    """What cannot be seen in a notebook. A cell that does not end is named; what ran is looked at."""
    shutil.copy(path, lab.notebooks)
    open_notebook(page, lab, path.name)
    try:
        run_all(page, sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"]))
    except PlaywrightError as error:
        yield f"cell {page.evaluate(_WAITS)} has not run: {error.message.splitlines()[0]}"
    for screen in on_each_screen(page):
        yield from (f"{screen}, {words}" for words in _told(page))
        page.evaluate(_AGAIN)


def main(names: list[str]) -> None:
    found = players = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if names and not path.name.startswith(tuple(names)):
            continue
        with lab_and_page() as (lab, page):  # each anew: answers given in one notebook change the next
            shutil.copy(ROOT / "notebooks/vmx-in-our-words.c", lab.notebooks)
            for words in _look_at(page, lab, path):
                found += 1
                print(f"{path.stem}, {words}", flush=True)
            players += page.locator(".vmxsim-player").count()
        print(f"{path.stem}: looked at", file=sys.stderr, flush=True)
    print(f"one screen: {found} findings in {players} players (target 0)")


if __name__ == "__main__":
    main(sys.argv[1:])
