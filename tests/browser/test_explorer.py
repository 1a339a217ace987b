"""The explorer in real JupyterLab: toggles, stepping, keys, preempt here, a bad scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Notebook


@pytest.fixture(scope="module")
def book(browser: Any, lab: Any) -> Iterator[Notebook]:
    found = Notebook(browser, lab, "explorer", ["import vmxsim\nexplorer = vmxsim.explore()\nexplorer"])
    yield found
    found.close()


@pytest.fixture(autouse=True)
def fresh(book: Notebook) -> None:
    """Every test starts from the read operation, with long mode, guest state loaded and no tick."""
    page = book.page
    page.get_by_label("Preemption", exact=True).first.select_option(label="off")
    book.choose("Operation", "Read: KVM reads the guest's value")
    page.get_by_label("Long mode").check()
    page.get_by_label("Guest state loaded").check()
    book.choose("Host", "64-bit")
    book.until("p.textContent.includes('64-bit host') && p.textContent.includes('emulate rdmsr')")
    book.player.get_by_label("skip quiet steps").uncheck()
    book.settle()
    book.player.focus()
    book.player.press("Home")
    book.at(0)


def last_step(book: Notebook) -> int:
    return int(re.search(r"of (\d+)", book.texts(".vp-counter")[0])[1])  # type: ignore[index]


def test_it_starts_at_the_operation_and_steps_both_ways(book: Notebook) -> None:
    pictures = []
    for _ in range(60):
        pictures.append(book.picture())
        book.player.press("ArrowRight")
    book.at(60)
    assert len(set(pictures)) > 4
    for expected in reversed(pictures):
        book.player.press("ArrowLeft")
        assert book.picture() == expected
    book.at(0)


def test_keys_buttons_and_slider(book: Notebook) -> None:
    end = last_step(book)
    book.player.press("End")
    book.at(end)
    book.player.press("ArrowRight")
    book.at(end)
    book.player.press("PageUp")
    assert 0 < book.step() < end
    book.player.press("Home")
    book.at(0)
    for label, step in (("forward", 1), ("To the end", end), ("back", end - 1), ("To the start", 0)):
        book.player.get_by_role("button", name=re.compile(label)).click()
        book.at(step)
    book.player.get_by_role("slider", name="Step").fill("7")
    book.at(7)
    assert book.texts(".vp-counter") == [f"step 7 of {end}"]


def test_play_and_pause(book: Notebook) -> None:
    book.player.get_by_label("Speed").select_option("fast")
    book.player.focus()
    book.player.press(" ")
    book.until("Number(p.dataset.step) >= 2")
    book.player.press(" ")
    stopped = book.step()
    book.page.wait_for_timeout(900)
    assert book.step() == stopped


def test_keys_stay_in_the_player(book: Notebook) -> None:
    """The notebook's own shortcuts (arrows change the cell, space scrolls) do not hear them."""
    before = book.page.evaluate("document.querySelector('.jp-Notebook').scrollTop")
    for key in ("ArrowRight", "ArrowDown", "End", " ", " "):
        book.player.press(key)
    assert book.page.evaluate("document.querySelector('.jp-Notebook').scrollTop") == before


def test_a_click_on_a_source_line_goes_to_its_next_run(book: Notebook) -> None:
    book.player.press("End")
    book.player.get_by_role("slider", name="Step").fill("9")
    book.at(9)
    lines = book.player.locator(".vp-line[data-line]:not(.ran)")
    number = lines.first.get_attribute("data-line")
    lines.first.click()
    book.until(f"p.querySelector('.vp-line.ran')?.dataset.line === '{number}'")
    assert book.step() != 9


def test_the_source_by_keyboard(book: Notebook) -> None:
    book.player.get_by_role("slider", name="Step").fill("9")
    book.at(9)
    listing = book.player.locator(".vp-listing")
    listing.focus()
    listing.press("ArrowUp")
    listing.press("Enter")
    book.until("p.dataset.step !== '9'")


def test_the_call_stack_shows_the_callers(book: Notebook) -> None:
    book.player.get_by_role("slider", name="Step").fill("9")
    book.at(9)
    outermost = book.player.locator(".vp-stack button").first
    name = outermost.inner_text().split(":")[0]
    outermost.click()
    book.until(f"p.querySelector('.vp-listing').textContent.includes('def {name}')")


def test_a_click_on_the_timeline(book: Notebook) -> None:
    track = book.player.locator(".vp-track").nth(1)
    box = track.bounding_box()
    assert box
    track.click(position={"x": box["width"] * 0.5, "y": 10}, force=True)
    middle = book.step()
    assert abs(middle - last_step(book) / 2) <= 1.5


def test_quiet_steps_can_be_skipped(book: Notebook) -> None:
    every = last_step(book)
    box = book.player.get_by_label("skip quiet steps")
    box.check()
    (count,) = book.texts(".vp-counter")
    fewer = int(count.removeprefix("step 0 · 0 of "))
    assert 3 < fewer < every
    said = str(book.player.locator(".vp-counter").get_attribute("title"))
    assert "if quiet steps are skipped" in said, "the two numbers beside each other are explained"
    book.player.focus()
    for _ in range(fewer):
        book.player.press("ArrowRight")
    assert book.texts(".vp-counter")[0].endswith(f"· {fewer} of {fewer}")
    box.uncheck()
    book.player.press("End")
    assert book.texts(".vp-counter") == [f"step {every} of {every}"]


@pytest.mark.parametrize(
    ("label", "shown"),
    [("Long mode", "emulate rdmsr"), ("Guest state loaded", "get-msr")],
)
def test_toggles_run_again(book: Notebook, label: str, shown: str) -> None:
    before = [*book.texts(".vp-counter"), book.picture()]
    book.page.get_by_label(label).uncheck()
    book.until(f"Number(p.dataset.step) > 0 && p.textContent.includes('{shown}')")
    book.settle()
    book.player.press("Home")
    assert [*book.texts(".vp-counter"), book.picture()] != before


def test_host_design_and_operation_follow(book: Notebook) -> None:
    book.choose("Host", "32-bit")
    book.until("p.textContent.includes('32-bit host')")
    book.page.get_by_label("Design", exact=True).first.select_option(index=0)
    book.until("p.textContent.includes('msr-array')")
    book.choose("Operation", "SMI and RSM, as KVM emulates them")
    book.until("p.textContent.includes('guest smi')")
    book.page.get_by_label("Design", exact=True).first.select_option(index=7)
    book.until("p.textContent.includes('dedicated-accessors')")


def _go_to(book: Notebook, button: str) -> int:
    """The next step at which the button that preempts reads ``button``."""
    while book.texts(".vp-tick") != [button]:
        book.player.press("ArrowRight")
    return book.step()


def test_preempt_here(book: Notebook) -> None:
    book.player.get_by_role("slider", name="Step").fill("60")
    book.at(60)
    book.player.focus()
    step = _go_to(book, "Preempt here")
    end = last_step(book)
    book.player.get_by_label("CPU that the thread runs on next").select_option("1")
    book.player.locator(".vp-tick").click()
    book.until("p.querySelector('.vp-sign.preempt, .vp-sign.migrate')")
    book.settle()
    assert book.step() == step
    assert last_step(book) > end
    assert book.page.get_by_label("Preemption", exact=True).first.locator(
        "option:checked"
    ).inner_text().split() == ["a", "tick", "arrives"]
    assert book.page.get_by_label("after step").first.input_value() == str(step)


def test_where_preemption_is_disabled_it_says_why_and_the_tick_is_pending(book: Notebook) -> None:
    book.player.get_by_role("slider", name="Step").fill("58")
    book.at(58)
    book.player.focus()
    step = _go_to(book, "Send a tick here")
    assert re.search(r"interrupts are off|preempt_count", book.texts(".vp-why")[0])
    book.player.locator(".vp-tick").click()
    book.until("p.querySelector('.vp-sign.pending')")
    assert book.step() == step


def test_preemption_by_the_controls(book: Notebook) -> None:
    book.choose("Preemption", "a tick arrives")
    book.until("p.querySelector('.vp-sign.preempt, .vp-sign.migrate, .vp-sign.pending')")
    at = book.page.get_by_label("after step").first
    first = int(at.input_value())
    at.fill(str(first + 3))
    at.press("Enter")
    book.at(first + 3)
    book.choose("Preemption", "off")
    book.until("!p.querySelector('.vp-sign.preempt, .vp-sign.migrate, .vp-sign.pending')")


def test_a_bad_scenario_says_where_and_loses_nothing(book: Notebook) -> None:
    book.choose("Operation", "Scenario: your own, or a file")
    area = book.page.locator(".vmxsim-scenario textarea").first
    area.wait_for(state="visible")
    bad = "long_mode: true\nsteps:\n  - run\n  - guest rdmrs\n"
    area.fill(bad)
    before = book.picture()
    area.blur()
    alert = book.page.locator(".vmxsim-explorer").get_by_role("alert").first
    alert.wait_for()
    message = alert.inner_text()
    assert ":4" in message
    assert "guest rdmrs" in message
    assert "did you mean 'guest rdmsr'?" in message
    assert "Traceback" not in message
    assert area.input_value() == bad
    assert book.picture() == before
    area.fill(bad.replace("rdmrs", "rdmsr"))
    area.blur()
    alert.wait_for(state="detached")
    book.until("p.textContent.includes('guest rdmsr')")


def test_a_file_that_is_not_there(book: Notebook) -> None:
    book.choose("Operation", "Scenario: your own, or a file")
    field = book.page.get_by_label("File", exact=True).first
    field.fill("nowhere.yaml")
    field.press("Enter")
    alert = book.page.locator(".vmxsim-explorer").get_by_role("alert").first
    alert.wait_for()
    assert "nowhere.yaml" in alert.inner_text()


def test_what_is_said_aloud(book: Notebook) -> None:
    live = book.player.locator("[aria-live=polite]")
    book.player.press("ArrowRight")
    book.until("p.querySelector('[aria-live]').textContent.startsWith('Step 1 of')")
    assert len(live.inner_text()) > 20
    unnamed = book.page.evaluate(
        """() => [...document.querySelector('.vmxsim-player').querySelectorAll('button, select, input')]
             .filter((e) => !(e.ariaLabel || e.closest('label') || e.textContent.trim())).length"""
    )
    assert unnamed == 0


def test_the_call_stack_begins_with_a_whole_level(book: Notebook) -> None:
    cut = 0
    for step in range(1, last_step(book), 3):
        book.player.get_by_role("slider", name="Step").fill(str(step))
        book.page.wait_for_timeout(60)
        found = book.player.evaluate(
            """p => { const stack = p.querySelector('.vp-stack'), box = stack.getBoundingClientRect();
              const levels = [...stack.querySelectorAll('button, span:not(.vp-spacer)')];
              const label = levels[0].offsetLeft, from = stack.scrollLeft + label;
              return [stack.classList.contains('cut'), levels.filter((l) => l.offsetLeft < from - 1
                && l.offsetLeft + l.offsetWidth > from + 1).map((l) => l.textContent)]; }"""
        )
        cut += found[0]
        assert found[1] == [], step
    assert cut, "no stack here is too long for its place"


def test_a_name_that_has_room_is_written_once(browser: Any, lab: Any) -> None:
    """A player is filled before it is on the page, where nothing has a width."""
    book = Notebook(browser, lab, "roomy", ["import vmxsim\nvmxsim.explore('never-trap', 'leave')"])
    try:
        book.settle()
        assert "3 exit" in book.texts(".vp-span.action")
        assert not book.player.locator(".vp-flag").is_visible()
    finally:
        book.close()


def test_a_short_action_has_its_number_and_while_it_is_shown_its_name(book: Notebook) -> None:
    """The guest's RDMSR takes one step in long mode, which has a few pixels of the timeline."""
    book.choose("Operation", "Guest: its own WRMSR and RDMSR")
    book.until("p.querySelector('.vp-title').textContent.includes('Guest')")
    book.settle()
    short = book.player.locator(".vp-span.action.tight").last
    number, name = (short.get_attribute("title") or "").split(" ", 1)
    assert name.startswith("guest ") and short.inner_text() in ("", number)
    timeline = book.player.get_by_role("img", name="Timeline.")
    assert f"{number} {name}, from step " in (timeline.get_attribute("aria-label") or "")
    flag, lanes = book.player.locator(".vp-flag"), timeline.bounding_box()
    assert not flag.is_visible(), "the action that is shown has room for its name"
    book.player.press("End")
    while number not in (flag.inner_text() if flag.is_visible() else "") and book.step():
        book.player.press("ArrowLeft")
    assert flag.inner_text() == f"{number} {name}"
    assert timeline.bounding_box() == lanes, "nothing moves"
    book.until(f"p.querySelector('[aria-live]').textContent.includes('Action {number}, {name}.')")


def test_nothing_is_judged_before_anything_ran(book: Notebook) -> None:
    assert "nothing has run yet" in book.texts(".vp-part.wrong")[0]
    book.player.press("ArrowRight")
    assert "nothing has run yet" not in book.texts(".vp-part.wrong")[0]
