"""What of the course's players cannot be seen at once, in real JupyterLab, on the screens it is made for.

``python benchmarks/one_screen.py 03 04`` looks at these notebooks only.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from in_browser import lab_and_page, open_notebook

from tests.browser.lab import ROOT
from tests.browser.learner import run_all
from tests.browser.screen import answer, cut_sentences, go_on, hidden, on_each_screen

_CELL = """output => {
  const cells = jupyterapp.shell.currentWidget.content.widgets;
  return cells.findIndex((cell) => cell.node.contains(output));
}"""

#: Ask every question of the page again.
_AGAIN = """() => {
  for (const again of document.querySelectorAll('.vp-gate .vp-again')) if (!again.hidden) again.click();
}"""


def _told(page: Any) -> Iterator[str]:
    """Each thing that cannot be seen in an open notebook, with its cell, on the screen that the page has."""
    for output in page.locator(".jp-Cell-outputWrapper:has(.vmxsim-player)").element_handles():
        output.scroll_into_view_if_needed()
        page.wait_for_timeout(150)
        player, where = output.query_selector(".vmxsim-player"), f"cell {output.evaluate(_CELL)}"
        found = dict.fromkeys(hidden(output), "")
        for question in range(1, 1000):
            if not answer(player):
                break
            found |= dict.fromkeys(hidden(output), f", question {question}, answered")
            go_on(player)
            found |= dict.fromkeys(hidden(output), f", after question {question}")
        yield from (f"{where}{when}: {words}" for words, when in found.items())
        for kind in ("step", "wrong"):
            cut = [(slot, pixels) for slot, part, pixels in cut_sentences(player) if part == kind]
            if cut:
                worst = max(pixels for _, pixels in cut)
                yield f"{where}: {kind}: {len(cut)} cut, by up to {worst} px, the first at step {cut[0][0]}"


def main(names: list[str]) -> None:
    found = players = 0
    with lab_and_page() as (lab, page):
        shutil.copy(ROOT / "notebooks/vmx-in-our-words.c", lab.notebooks)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            if names and not path.name.startswith(tuple(names)):
                continue
            code = sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"])
            shutil.copy(path, lab.notebooks)
            open_notebook(page, lab, path.name)
            run_all(page, code)
            players += page.locator(".vmxsim-player").count()
            for screen in on_each_screen(page):
                for words in _told(page):
                    found += 1
                    print(f"{path.stem}, {screen}, {words}", flush=True)
                page.evaluate(_AGAIN)
            page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    print(f"one screen: {found} findings in {players} players (target 0)")


if __name__ == "__main__":
    main(sys.argv[1:])
