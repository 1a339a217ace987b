""" "Be the scheduler" in real JupyterLab: won by keyboard, with a tick, without anything jumping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Notebook
from tests.browser.learner import serious

_SEED = ["import vmxsim\nvmxsim.be_the_scheduler()"]
_OWN = [
    "import vmxsim\nfrom vmxsim.designs.never_trap import NeverTrap\nfrom vmxsim.kernel.language import *",
    "class Careless(NeverTrap):\n"
    "    def vmx_read_guest_kernel_gs_base(self, vmx):\n"
    "        if vmx.loaded_cpu_state:\n"
    "            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)\n"
    "        return vmx.msr_guest_kernel_gs_base",
    "vmxsim.be_the_scheduler(Careless)",
]
#: How tall the game is, and where the picture stands in it.
_PLACES = (
    "['.vmxsim-scheduler', '.vp-picture', '.vp-source'].map((name) => document.querySelector(name)"
    ".getBoundingClientRect()).map((box) => [box.top, box.height])"
)
#: What the board says.
_TEXT = (
    "['.vs-head', '.vs-message', '.vs-aside', '.vs-schedule']"
    ".map((name) => document.querySelector(name).textContent).join()"
)


class Table:
    """The board of a notebook's game."""

    def __init__(self, book: Notebook) -> None:
        self.book, self.page = book, book.page
        self.root = book.page.locator(".vmxsim-scheduler")

    def press(self, key: str) -> None:
        """A key, and the board's answer to it."""
        before = self.page.evaluate(_TEXT)
        self.page.keyboard.press(key)
        self.page.wait_for_function(f"before => {_TEXT} !== before", arg=before)

    def text(self, name: str) -> str:
        return str(self.root.locator(f".vs-{name}").first.inner_text())

    def button(self, name: str) -> Any:
        return self.root.get_by_role("button", name=name, exact=False).first


@pytest.fixture(scope="module")
def seed(browser: Any, lab: Any) -> Iterator[Table]:
    book = Notebook(browser, lab, "scheduler", _SEED)
    yield Table(book)
    book.close()


def test_the_seed_is_won_in_two_moves_by_keyboard(seed: Table) -> None:
    page = seed.page
    assert seed.root.locator(".vp-stack").get_attribute("data-of") == "Code", "it is no recording"
    assert seed.text("tally") == "0 moves · par 2"
    place = page.evaluate(_PLACES)
    seed.root.focus()
    seed.press("1")
    seed.book.until("p.querySelector('.vp-counter').textContent === 'step 1 of 1'")
    assert "kvm_arch_vcpu_ioctl_run(), line 2" in seed.text("where")
    seed.press("e")
    assert seed.text("where") == "vCPU thread 0 is in the guest on CPU 0."
    seed.press("l")
    seed.press("e")
    told = seed.text("outcome")
    assert "2 moves: par" in told and "You broke guest-value" in told and "- guest long-mode on" in told
    assert "best so far: 2 (par)" in seed.text("score")
    assert page.evaluate(_PLACES) == place, "nothing jumps"
    for width in (1400, 900, 700):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(300)
        box = seed.root.locator(".vs-outcome").bounding_box()
        copy = seed.button("Copy the scenario").bounding_box()
        assert copy["y"] + copy["height"] <= box["y"] + box["height"], width
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.wait_for_timeout(300)
    said = page.evaluate("document.querySelector('.vmxsim-scheduler > .vs-hidden').textContent")
    assert ".." not in said and said.endswith("."), said
    seed.book.until("p.querySelector('.vp-counter').textContent === 'step 63 of 63'")
    assert "broken: guest-value" in seed.book.texts(".vp-part.wrong")[0]
    assert page.evaluate("document.activeElement.classList.contains('vmxsim-scheduler')")
    page.keyboard.press("ArrowLeft")
    seed.book.at(62)


def test_what_is_not_possible_says_why_and_undo_takes_back(seed: Table) -> None:
    seed.root.focus()
    seed.press("0")
    assert seed.button("rdmsr").is_disabled()
    why = seed.root.locator(".vs-why")
    assert (
        "Guest, KVM's emulator: the thread is in user space, and it must be in the guest" in why.inner_text()
    )
    assert why.evaluate("e => e.scrollHeight <= e.clientHeight"), "to be read whole"
    seed.page.keyboard.press("r")
    seed.page.wait_for_function(
        "document.querySelector('.vmxsim-scheduler > .vs-hidden').textContent"
        ".includes('Not now: the thread is in user space')"
    )
    assert seed.text("tally") == "0 moves · par 2"
    assert (
        seed.text("not-now")
        == "Not now: the thread is in user space, and it must be in the guest ('run' first)."
    )
    seed.press("h")
    assert "From here it takes 2 more moves." in seed.text("told")
    seed.button("set-msr 0xB000").click()
    seed.page.wait_for_function("document.querySelector('.vs-head').dataset.count === '1'")
    seed.book.settle()
    assert seed.page.evaluate("document.activeElement.dataset.move") == "set-msr 0xB000", "the focus stays"
    assert seed.root.locator("li").all_text_contents() == ["set-msr 0xB000"]
    seed.press("z")
    assert seed.text("tally") == "0 moves · par 2"


def test_keys_never_reach_jupyterlab(seed: Table) -> None:
    cells = seed.page.locator(".jp-Notebook .jp-Cell").count()
    seed.root.focus()
    for key in "00abxyzn":
        seed.page.keyboard.press(key)
    seed.book.settle()
    assert seed.page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert seed.page.locator(".jp-Dialog").count() == 0


def test_a_safe_design_and_another_one(seed: Table) -> None:
    seed.root.focus()
    seed.root.get_by_label("Design to break").select_option("never-trap")
    seed.page.wait_for_function("document.querySelector('.vs-tally').textContent === '0 moves · par ?'")
    seed.root.focus()
    seed.press("o")
    assert "the checker proved it" in seed.text("told")
    assert seed.button("Show the checker's").is_disabled()
    seed.press("d")
    assert seed.root.get_by_label("Design to break").input_value() == "guest-state-loaded"


def test_serious_accessibility_findings(seed: Table) -> None:
    assert serious(seed.page, ".vmxsim-scheduler") == []


def test_a_readers_own_design_is_won_with_a_tick(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "own-game", _OWN)
    table = Table(book)
    assert table.text("tally") == "0 moves · par 3"
    table.root.focus()
    for key in "1e7":
        table.press(key)
    for _ in range(40):
        if table.text("line").startswith("vmx.msr_guest_kernel_gs_base = rdmsr"):
            break
        table.press("n")
    assert "takes effect immediately, before this line" in table.text("place")
    table.press("y")
    assert "on CPU 1" in table.text("where")
    table.press("e")
    assert "3 moves: par" in table.text("outcome")
    assert "preempted between the test and the access" in table.text("outcome")
    moves = table.root.locator("li").all_text_contents()
    assert moves[-1] == "▼ tick before line 3 of vmx_read_guest_kernel_gs_base(), on to CPU 1"
    assert "before: rdmsr, in: vmx_read_guest_kernel_gs_base, cpu: 1" in table.text("outcome")
    book.close()
