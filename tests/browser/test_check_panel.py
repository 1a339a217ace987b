"""The panel that checks every schedule, in real JupyterLab: verdicts, the counterexample in the stepper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Notebook
from vmxsim.designs import DESIGNS
from vmxsim.kernel.kvm import release_of

#: Where the player stands: it moves if the panel above it changes its height.
_PLAYER_TOP = "document.querySelector('.vmxsim-player').getBoundingClientRect().top"


@pytest.fixture(scope="module")
def book(browser: Any, lab: Any) -> Iterator[Notebook]:
    found = Notebook(browser, lab, "check", ["import vmxsim\nvmxsim.explore()"])
    yield found
    found.close()


def opened(book: Notebook, design: str) -> Any:
    """The panel, unfolded, of an explorer of ``design``: each test may be a page's first."""
    panel = book.page.locator(".vmxsim-check")
    if panel.get_by_role("checkbox").count() == 0:
        book.page.get_by_role("button", name="Check every schedule").click()
    book.choose("Design", f"{design} · {release_of(DESIGNS[design])}")
    panel.get_by_role("button", name=f"Check {design}").wait_for()
    return panel


def test_from_a_violated_design_to_its_step_and_to_a_safe_design(book: Notebook) -> None:
    page, panel = book.page, book.page.locator(".vmxsim-check")
    assert panel.get_by_role("checkbox").count() == 0, "folded at first"
    fold = page.get_by_role("button", name="Check every schedule")
    fold.focus()
    page.keyboard.press("Enter")
    check = panel.get_by_role("button", name="Check dedicated-accessors")
    stop = panel.get_by_role("button", name="Stop")
    check.wait_for()
    assert stop.is_disabled()
    assert panel.evaluate("e => e.scrollWidth <= e.clientWidth")

    check.click()
    panel.get_by_text("dedicated-accessors is VIOLATED").wait_for()
    row = panel.get_by_role("row").filter(has_text="guest-value")
    assert row.inner_text().split() == ["guest-value", "✖", "violated", "✖", "violated"]
    panel.get_by_text("Why is this wrong?").wait_for()

    panel.get_by_role("button", name="Load into the stepper").click()
    book.until("p.textContent.includes('dedicated-accessors breaks guest-value')")
    page.wait_for_function("document.activeElement.classList.contains('vmxsim-player')")
    told = re.search(r"step (\d+) loses the value, step (\d+) breaks", panel.inner_text())
    assert told
    book.at(int(told[1]))
    book.player.get_by_role("slider", name="Step").fill(told[2])
    book.at(int(told[2]))
    assert "broken: guest-value" in book.texts(".vp-part.wrong")[0]

    book.choose("Design", f"vcpu-vt · {release_of(DESIGNS['vcpu-vt'])}")
    panel.get_by_role("button", name="Check vcpu-vt").click()
    panel.get_by_text("vcpu-vt is SAFE").wait_for()
    assert panel.get_by_text("Why is this wrong?").is_hidden()
    assert panel.get_by_role("row").filter(has_text="no-leak").inner_text().count("holds") == 2


def test_assumptions_and_the_state_space_by_keyboard(book: Notebook) -> None:
    panel = opened(book, "vcpu-vt")
    for name in ("one-value", "no-smm", "no-swapgs"):
        panel.get_by_label(re.compile(f"^{name}: ")).focus()
        book.page.keyboard.press("Space")
        assert panel.get_by_label(re.compile(f"^{name}: ")).is_checked()
    panel.get_by_role("button", name="Draw the state space").focus()
    book.page.keyboard.press("Enter")
    picture = panel.get_by_role("img", name=re.compile("State space of vcpu-vt"))
    picture.wait_for()
    assert picture.locator(".state").count() == 10
    wide = panel.get_by_role("region", name=re.compile("^State space")).evaluate(
        "e => e.getBoundingClientRect().right"
    )
    assert wide <= panel.evaluate("e => e.getBoundingClientRect().right") + 1


def test_progress_has_its_place_and_stop_stops(book: Notebook) -> None:
    page, panel = book.page, opened(book, "vcpu-vt")
    panel.get_by_role("button", name="Assume nothing").click()
    for label in ("vCPUs", "CPUs"):
        panel.get_by_label(label, exact=True).select_option("4")
    book.settle()
    before = page.evaluate(_PLAYER_TOP)
    panel.get_by_role("button", name="Check vcpu-vt").click()
    panel.get_by_role("progressbar").wait_for()
    panel.get_by_text(re.compile(r"Searching: [\d,]+ states, [\d,]+ states per second")).wait_for()
    assert page.evaluate(_PLAYER_TOP) == before, "nothing jumps while it runs"
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_text("INCOMPLETE").wait_for()
    assert panel.get_by_role("row").filter(has_text="host-value").inner_text().count("unknown") == 2
