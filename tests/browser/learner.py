"""A learner in the browser: runs a notebook, answers what it asks, right or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from axe_playwright_python.base import AXE_SCRIPT

from tests.notebooks.checks import SECONDS

#: What is ours on the page: what cells put out, and what they say.
OURS = (".jp-OutputArea-output", ".jp-RenderedMarkdown")


def run_all(page: Any, cells: int) -> None:
    """Wait until every code cell has run and every widget is drawn."""
    page.wait_for_function(
        """cells => {
          const content = jupyterapp.shell.currentWidget.content;
          const code = content.widgets.filter((cell) => cell.model.type === 'code');
          return code.length === cells && code.every((cell) => cell.model.executionCount);
        }""",
        arg=cells,
        timeout=1000 * SECONDS,
    )
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    page.wait_for_timeout(600)


def save(page: Any, path: Path) -> Any:
    """Save the notebook as JupyterLab does, and read what was saved."""
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    saved = nbformat.read(path, as_version=4)
    assert any(cell.get("outputs") for cell in saved.cells if cell.cell_type == "code") or not [
        cell for cell in saved.cells if cell.cell_type == "code"
    ]
    return saved


def failures(page: Any) -> list[str]:
    """What cells and widgets say that went wrong."""
    found: list[str] = page.evaluate(
        """() => {
          const wrong = ['.jp-OutputArea-output[data-mime-type*="stderr"]', '[role="alert"]',
                         '.jp-RenderedText[data-mime-type*="error"]'];
          const found = [...document.querySelectorAll(wrong.join())];
          return found.map((e) => e.textContent.trim()).filter(Boolean);
        }"""
    )
    return found


def answer_all(page: Any) -> tuple[int, int, int]:
    """Answer every question of every player: first wrong, then asked again, right. The keys after the
    first are events sent by one script; pressing them for real is tests/browser/test_predict.py's part.

    Those that an audience votes on are not a learner's. Returns how many there were, and at how many the
    feedback to the wrong and to the right answer was as it should be, with a reason for every option.
    """
    asked = wrong = right = 0
    players = page.locator(".vmxsim-player:has(.vp-gate:not(.vp-waits)):not(:has(.vp-votes))")
    for player in players.element_handles():  # found once: looking for them takes a while
        player.scroll_into_view_if_needed()
        player.focus()
        page.keyboard.press("Home")  # the keyboard itself; the rest of the keys are sent in one go
        counts = player.evaluate(_ANSWER)
        asked, wrong, right = asked + counts[0], wrong + counts[1], right + counts[2]
    return asked, wrong, right


_ANSWER = """player => {
  const press = (key) =>
    player.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const told = (card, mark) => {
    const seen = [...card.querySelectorAll('.vp-reason')].map((reason) => reason.getClientRects().length > 0);
    const enough = card.querySelector('.vp-entry') ? seen.some(Boolean) : seen.every(Boolean);
    return card.querySelector('.vp-told').innerText.includes(mark) && enough;
  };
  const slider = player.querySelector('.vp-transport input[type=range]');
  const answer = (card, right) => {
    const reasons = [...card.querySelectorAll('.vp-reason')].map((reason) => reason.textContent);
    const which = reasons.findIndex((reason) => reason.startsWith(right ? 'Right.' : 'No.'));
    const text = card.querySelectorAll('.vp-option > span:last-child')[which].textContent;
    const typed = card.querySelector('.vp-typed');
    if (typed) {
      typed.value = right ? text : '123456';
      typed.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    } else if (card.querySelector('.vp-markstep')) {
      slider.value = text.match(/[0-9]+/)[0];
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      press('m');
    } else press(String(which + 1));
  };
  const counts = [0, 0, 0];
  for (const _ of player.querySelectorAll('.vp-gate:not(.vp-waits)')) {
    press('End');  // as far as the next question
    const card = player.querySelector('.vp-gate.shown');
    counts[0] += 1;
    answer(card, false);
    counts[1] += told(card, '✖ Not so');
    card.querySelector('.vp-again').click();
    answer(card, true);
    counts[2] += told(card, '✔ Right');
    press('ArrowRight');
    const next = card.querySelector('.vp-next');
    if (!next.hidden) next.click();
  }
  return counts;
}"""


#: Rules whose findings are never serious do not run.
_AXE = """async (parts) => {
  const soft = axe._audit.rules.filter((rule) => ['minor', 'moderate'].includes(rule.impact));
  const rules = Object.fromEntries(soft.map((rule) => [rule.id, { enabled: false }]));
  const context = parts.length ? { include: parts.map((part) => [part]) } : document;
  const found = await axe.run(context, { resultTypes: ['violations'], selectors: false, rules });
  return found.violations.map((one) =>
    `${one.id} (${one.impact}): ${one.nodes.map((node) => node.html.slice(0, 200)).join('; ')}`);
}"""


def serious(page: Any, *parts: str) -> list[str]:
    """What axe-core finds serious or critical in these parts of a page, or in all of it."""
    page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(_AXE, parts)
    return found
