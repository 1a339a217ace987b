"""The browser's fixtures. Without a Chromium these tests are skipped, and the summary says so loudly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab import Lab, chromium, find_chromium, lab_page
from tests.conftest import MISSING_CHROMIUM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if find_chromium() is None:
                item.add_marker(pytest.mark.skip(reason=MISSING_CHROMIUM))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as found:
        found.new_context(reduced_motion="reduce")  # JupyterLab's, see LabPage
        yield found


class Notebook:
    """A notebook that has run; complains at the end of errors in the console."""

    def __init__(self, browser: Any, lab: Lab, name: str, cells: list[str], width: int = 1280, **how: Any):
        self._shown = lab_page(browser, lab, lab.write(f"{name}.ipynb", cells), width, **how)
        self.page = self._shown.page
        self.player = self.page.locator(".vmxsim-player[data-step]").first
        self.player.wait_for()
        self.player.scroll_into_view_if_needed()

    def step(self) -> int:
        return int(self.player.get_attribute("data-step") or -1)

    def at(self, step: int) -> None:
        """Wait until this step is shown."""
        self.page.wait_for_function(
            "step => document.querySelector('.vmxsim-player').dataset.step === String(step)", arg=step
        )

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression holds; ``p`` is the first player."""
        self.page.wait_for_function(
            f"() => {{ const p = document.querySelector('.vmxsim-player'); return {expression}; }}"
        )

    def settle(self) -> None:
        """Wait until the kernel has answered everything that was asked so far."""
        self.page.wait_for_timeout(150)
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )
        self.page.wait_for_timeout(100)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.player.locator(selector).all_text_contents()
        return found

    def picture(self) -> str:
        """All that the picture says now, and how."""
        state: str = self.page.evaluate(
            """() => JSON.stringify([...document.querySelectorAll('.vmxsim-player [data-place]')]
                 .map((c) => [c.dataset.place, c.textContent, [...c.classList].sort().join(' ')]))"""
        )
        return state

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).first.select_option(label=option)

    def forgive(self, words: str) -> None:
        """Forget errors in the console with these words, which are JupyterLab's own."""
        errors = self._shown.errors
        errors.found = [error for error in errors.found if words not in error]

    def close(self) -> None:
        self._shown.close()
