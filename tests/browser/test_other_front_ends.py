"""The explorer and a gate outside JupyterLab: in Notebook 7, and in Voilà, which shows no code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import pytest
from playwright.sync_api import TimeoutError

from tests.browser.lab import Errors, Lab

_CELLS = (
    "import vmxsim\nvmxsim.explore()",
    'run = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")\n'
    'vmxsim.predict(run, [("owner", {"action": 1})])',
)


def is_ours(error: str) -> bool:
    """Without a widget of ours, Voilà's console complains of other JupyterLab extensions, and Notebook's of
    its own settings and, on a slow machine, of a command of its file browser."""
    if "(reading 'schema')" in error or "Command 'filebrowser:" in error:
        return False
    return "/labextensions/" not in error or "/anywidget/" in error


def in_notebook(page: Any, lab: Lab, name: str) -> None:
    page.goto(f"{lab.url}/notebooks/{name}?token={lab.token}")
    first = page.locator(".jp-Notebook .jp-CodeCell").first
    first.wait_for()
    page.locator("[data-status='idle']").first.wait_for()
    for _ in range(3):  # a menu that is opened while Notebook still starts runs nothing
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with suppress(TimeoutError):
            first.locator(".jp-InputPrompt").filter(has_not_text="[ ]").wait_for(timeout=15_000)
            return


def in_voila(page: Any, lab: Lab, name: str) -> None:
    page.goto(f"{lab.url}/voila/render/{name}?token={lab.token}")


@pytest.mark.parametrize(
    ("module", "show"),
    [
        pytest.param("notebook", in_notebook, id="Notebook 7"),
        pytest.param("voila", in_voila, id="Voila"),
    ],
)
def test_a_first_widget_a_toggle_and_a_gate(
    browser: Any, lab: Lab, module: str, show: Callable[[Any, Lab, str], None]
) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    page = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 1400}).new_page()
    page.set_default_timeout(60_000)
    errors = Errors(page)
    show(page, lab, lab.write(f"in-{module}.ipynb", _CELLS))

    explorer, gated = (page.locator(".vmxsim-player[data-step]").nth(i) for i in range(2))
    explorer.locator("svg [data-place]").first.wait_for()
    before = explorer.inner_text()
    page.get_by_label("Long mode").first.click()
    page.wait_for_function("([e, before]) => e.innerText !== before", arg=[explorer.element_handle(), before])

    gated.locator(".vp-gate.shown").wait_for()
    assert "Whose value does KERNEL_GS_BASE" in gated.inner_text()
    gated.focus()
    page.keyboard.press("1")
    gated.locator(".vp-reason:visible").first.wait_for()
    assert not [error for error in errors.found if is_ours(error)]
    page.context.close()
