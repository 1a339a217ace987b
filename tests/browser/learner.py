"""A learner in the browser: runs a notebook, answers what it asks, right or wrong."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe

#: What is ours on the page: what cells put out, and what they say.
_OURS = {"include": [[".jp-OutputArea-output"], [".jp-RenderedMarkdown"]]}


def run_all(page: Any, cells: int) -> None:
    """Wait until every code cell has run and every widget is drawn."""
    page.wait_for_function(
        """cells => {
          const content = jupyterapp.shell.currentWidget.content;
          const code = content.widgets.filter((cell) => cell.model.type === 'code');
          return code.length === cells && code.every((cell) => cell.model.executionCount);
        }""",
        arg=cells,
        timeout=90_000,
    )
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    page.wait_for_timeout(600)


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


def answer_all(page: Any, right: bool) -> tuple[int, int]:
    """Answer every open question of every player by keyboard, each right or each wrong.

    Those that an audience votes on are not a learner's. Returns how many there were, and at how
    many the feedback was of that kind.
    """
    asked = told = 0
    players = page.locator(".vmxsim-player:has(.vp-gate:not(.vp-waits)):not(:has(.vp-votes))")
    for number in range(players.count()):
        player = players.nth(number)
        player.scroll_into_view_if_needed()
        for again in player.locator(".vp-again").all():  # asked before, in this session
            if again.evaluate("e => !e.hidden"):
                again.evaluate("e => e.click()")
        player.focus()
        page.keyboard.press("Home")
        for _ in range(player.locator(".vp-gate:not(.vp-waits)").count()):
            page.keyboard.press("End")  # as far as the next question
            card = player.locator(".vp-gate.shown")
            reasons = card.locator(".vp-reason").all_text_contents()
            wanted = "Right." if right else "No."
            choice = next(i for i, reason in enumerate(reasons) if reason.startswith(wanted))
            page.keyboard.press(str(choice + 1))
            asked += 1
            told += ("✔ Right" if right else "✖ Not so") in card.locator(".vp-told").inner_text()
            assert card.locator(".vp-reason:visible").count() == len(reasons)
            page.keyboard.press("ArrowRight")
    return asked, told


def serious(page: Any) -> list[str]:
    """What axe-core finds serious or critical in what is ours."""
    results = Axe().run(page, context=_OURS, options={"resultTypes": ["violations"]})
    return [
        f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:200]}"
        for v in results.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]
