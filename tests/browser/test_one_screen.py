"""What a learner sees and does without scrolling: one screen, the keyboard's focus, a kernel that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Notebook
from tests.browser.learner import serious
from tests.browser.screen import answer, cut_sentences, hidden, on_each_screen

_OUTPUT = ".jp-Cell-outputWrapper"

_GATE = (
    'import vmxsim\nrun = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")\n'
    'vmxsim.predict(run, [("owner", {"action": 1}), ("value", {"action": 2})])'
)
#: Its options are lines of code.
_LONG = (
    'read = vmxsim.run(["run", "emulate rdmsr"], "never-trap", long_mode=True)\n'
    'vmxsim.predict(read, "preempt", at="vmx_read_guest_kernel_gs_base: if vmx.loaded")'
)
#: The level with the tallest picture.
_GAME = "vmxsim.be_the_scheduler(level=1)"
_CELLS = ["import vmxsim\nvmxsim.explore()", _GATE, _GAME, _LONG, "2 + 2"]

_WHERE = """() => {
  const notebook = jupyterapp.shell.currentWidget.content;
  const at = document.activeElement;
  const kinds = ['vmxsim-player', 'jp-Cell'].filter((kind) => at.classList.contains(kind));
  return [kinds[0] ?? at.className, notebook.activeCellIndex, notebook.mode];
}"""


#: Two designs: on the shortest schedule, on one that is given, and where the thread moves to another CPU.
_COMPARED = [
    'import vmxsim\npair = ("host-from-thread", "dedicated-accessors")\nvmxsim.compare(*pair)',
    'vmxsim.compare(*pair, ["run", "guest wrmsr 0xA000", "exit", "get-msr"])',
    'vmxsim.compare(*pair, ["run", "preempt cpu1", "exit"])',
    'vmxsim.compare("lma-fix", "load-gs-index", host="32-bit")',  # one picture is larger than the other
    'vmxsim.compare("load-gs-index", "vcpu-vt", host="32-bit")',  # the longest names
    'vmxsim.compare("msr-array", "vcpu-vt", operation="preempt")',
]

_STAGED = [
    'import vmxsim\npair = ("host-from-thread", "dedicated-accessors")\nvmxsim.present(*pair, gates=[])',
    'vmxsim.present(*pair, ["run", "guest wrmsr 0xA000", "preempt cpu1", "exit"], gates=[])',
    'vmxsim.present("load-gs-index", "host-always", host="32-bit", gates=[])',  # the longest names
    # a picture that is low, one that is steep
    'vmxsim.present("dedicated-accessors", locked=True)',
    'two = ["run", "preempt cpu1", "guest rdmsr"]\n'
    'vmxsim.present("never-trap", scenario=two, long_mode=True, locked=True)',
]

#: Of a player in full screen: texts under 18 px, verdicts that are cut, and what is outside the window.
_SMALL_OR_CUT = """player => {
  const looks = (e) => getComputedStyle(e);
  const drawn = (e) => e.getClientRects().length && looks(e).visibility === 'visible';
  const seen = (e) => drawn(e) && !e.closest('.vp-hidden');
  const all = (what) => [...player.querySelectorAll(what)].filter(seen);
  const own = (e) => [...e.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const zoom = (e) => e.closest('svg') && e.getScreenCTM ? e.getScreenCTM().a : 1;
  const small = all('*:not(style, option, title, desc)')
    .filter((e) => own(e) && parseFloat(looks(e).fontSize) * zoom(e) < 17.9)
    .map((e) => `${e.className.baseVal ?? e.className}: ${e.textContent}`);
  const cut = all('.vp-part.wrong').filter((e) => e.scrollHeight > e.clientHeight + 1)
    .map((e) => `cut: ${e.textContent}`);
  const outside = all('.vp-picture svg, .vp-listing, .vp-part').filter((e) => {
    const { bottom, right } = e.getBoundingClientRect();
    return bottom > innerHeight || right > innerWidth;
  }).map((e) => `outside: ${e.className.baseVal ?? e.className}`);
  const spilled = all('.box text:not(.plate)').filter((e) => {
    const frame = e.closest('.box').querySelector('.box-frame').getBoundingClientRect();
    return e.getBoundingClientRect().right > frame.right || e.getBoundingClientRect().bottom > frame.bottom;
  }).map((e) => `spilled: ${e.textContent}`);
  return [...small, ...cut, ...outside, ...spilled];
}"""

#: Names of actions in the timelines with a sign over their letters.
_COVERED = """player => {
  const covered = (span, sign) => {
    const range = document.createRange();
    range.selectNodeContents(span);
    const [text, box, mark] = [range, span, sign].map((e) => e.getBoundingClientRect());
    const end = Math.min(text.right, box.right - parseFloat(getComputedStyle(span).paddingRight));
    return mark.left + 1 < end && mark.right - 1 > text.left;
  };
  return [...player.querySelectorAll('.vp-span.action:not(.tight)')]
    .filter((span) => [...span.parentElement.querySelectorAll('.vp-sign')].some((e) => covered(span, e)))
    .map((span) => span.textContent);
}"""

#: Whether the reason of the right answer, and each count of votes, is seen whole.
_REASON = """player => {
  const gate = player.querySelector('.vp-gates.asking .vp-gate.shown');
  const told = gate.querySelector('.vp-feedback');
  const reason = [...told.querySelectorAll('.vp-reason')].find((e) => e.textContent.startsWith('Right.'));
  const inside = (e, box) => e.getBoundingClientRect().bottom <= box.getBoundingClientRect().bottom + 1;
  const options = gate.querySelector('.vp-options');
  return inside(reason, told) && [...options.querySelectorAll('.vp-count')].every((e) => inside(e, options));
}"""


@pytest.fixture(scope="module")
def book(browser: Any, lab: Any) -> Iterator[Notebook]:
    found = Notebook(browser, lab, "one-screen", _CELLS, 1440)
    found.page.locator(".vmxsim-scheduler[data-step]").wait_for()
    yield found
    found.close()


def test_everything_is_visible_at_once(book: Notebook) -> None:
    page = book.page
    for screen in on_each_screen(page):
        for number in range(4):
            assert hidden(page.locator(_OUTPUT).nth(number)) == [], (screen, number)
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")


#: The fullest pictures, the longest options and sentences of the course.
_FULLEST = {
    "two guests": 'run = vmxsim.run("""title: Two guests, one of them moves\nvcpus: 2\nlong_mode: true\n'
    'steps: [{vcpu0: run}, {vcpu1: run}, {vcpu0: preempt cpu1}]\n""", "never-trap")\n'
    'vmxsim.predict(run, "owner", at="preempt_schedule_irq: context_switch")',
    "two CPUs": 'tick = {"emulate wrmsr 0xB000": {"preempt": {"before": "wrmsr", "cpu": 1}}}\n'
    'run = vmxsim.run(["set-msr 0xA000", "run", tick, "exit"], "never-trap", long_mode=True)\n'
    'vmxsim.predict(run, "line", after="vmx_prepare_switch_to_host: if not", nth=-1)',
    "six options": 'tick = {"emulate wrmsr 0xB000": {"preempt": {"before": "wrmsr", "cpu": 1}}}\n'
    'run = vmxsim.run(["set-msr 0xA000", "run", tick, "exit"], "never-trap", long_mode=True)\n'
    'vmxsim.predict(run, "stale", action=2)',
    "a recording": "from vmxsim.ftrace.recording import read\n"
    'vmxsim.predict(read("s1.dedicated-accessors"), "owner", step=46)',
    "a mark": 'actions = ["run", "guest long-mode on", "guest rdmsr", "exit"]\n'
    'vmxsim.predict(vmxsim.run(actions, "dedicated-accessors"), "lost")',
    "two broken": 'vmxsim.explore(scenario=["run", "guest long-mode on", "guest rdmsr"], long_mode=False)',
    "a replay": 'vmxsim.replay("s1.dedicated-accessors")',
}


def test_the_fullest_pictures_and_the_longest_words_are_visible_at_once(browser: Any, lab: Any) -> None:
    """Asked and answered: nothing is below the window, and no sentence is cut at any step."""
    cells = ["import vmxsim\n" + cell for cell in _FULLEST.values()]
    book = Notebook(browser, lab, "fullest", cells, 1440, dark=True)
    page = book.page
    page.locator(".vmxsim-player[data-step]").nth(len(cells) - 1).wait_for()
    for state in ("asked", "answered"):
        for screen in on_each_screen(page):
            for output, name in zip(page.locator(_OUTPUT).all(), _FULLEST, strict=True):
                assert hidden(output) == [], (name, screen, state)
                if state == "answered":
                    assert cut_sentences(output.locator(".vmxsim-player")) == [], (name, screen)
            assert serious(page, ".vmxsim-player") == [], (screen, state)
        for player in page.locator(".vmxsim-player").all():
            answer(player)
    page.set_viewport_size({"width": 620, "height": 900})
    page.wait_for_timeout(600)
    assert serious(page, ".vmxsim-player") == [], "narrow: what scrolls can be reached"
    book.close()


def test_two_designs_are_visible_at_once(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "two-on-one-screen", _COMPARED, 1440)
    page = book.page
    page.locator(".vmxsim-player[data-step]").nth(len(_COMPARED) - 1).wait_for()
    for screen in on_each_screen(page):
        for number in range(len(_COMPARED)):
            player = page.locator(".vmxsim-player").nth(number)
            player.focus()
            page.keyboard.press("End")
            assert hidden(page.locator(_OUTPUT).nth(number)) == [], (screen, number)
            if (screen, number) != ("1366x768", 5):  # no room: two CPUs, and the longest sentences
                assert cut_sentences(player) == [], (screen, number)
            assert player.evaluate(_COVERED) == [], (screen, number)
            sources = player.locator(".vp-source").all()
            assert len({round((source.bounding_box() or {})["y"]) for source in sources}) == 1, "in one row"
    page.locator(".vmxsim-player").nth(1).scroll_into_view_if_needed()
    schedule = page.get_by_role("button", name="▸ Schedule")
    schedule.first.click()
    assert "guest wrmsr 0xA000" in page.locator(".vmxsim-scenario textarea:visible").input_value()
    assert serious(page, ".vmxsim-explorer") == []
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    book.close()


def test_two_designs_on_the_stage_can_be_read_from_the_back_row(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "two-on-stage", _STAGED, 1280)
    page = book.page
    page.locator(".vmxsim-player[data-step]").nth(len(_STAGED) - 1).wait_for()
    page.set_viewport_size({"width": 1280, "height": 720})
    for number in range(3):
        player = page.locator(".vmxsim-player").nth(number)
        player.scroll_into_view_if_needed()
        player.focus()
        page.keyboard.press("f")
        page.wait_for_function("document.fullscreenElement?.classList.contains('presenting')")
        shown, last = -1, ""
        while last != (last := player.get_attribute("data-step") or ""):
            assert player.evaluate(_SMALL_OR_CUT) == [], (number, last)
            shown += 1
            page.keyboard.press("ArrowRight")
        assert shown > (8 if number < 2 else 4)
        if number != 1:
            assert "broken" in player.inner_text()
        page.keyboard.press("f")
        page.wait_for_function("!document.fullscreenElement")
    for number in (3, 4):
        player = page.locator(".vmxsim-player").nth(number)
        player.scroll_into_view_if_needed()
        player.focus()
        page.keyboard.press("f")
        page.wait_for_function("document.fullscreenElement?.classList.contains('presenting')")
        while not player.locator(".vp-gates.asking").count():
            page.keyboard.press("ArrowRight")
        assert player.evaluate(_SMALL_OR_CUT) == [], (number, "asked")
        page.keyboard.press("v")
        page.keyboard.type("3 1 0 6")
        page.keyboard.press("Enter")
        page.keyboard.press("r")
        player.locator(".vp-gates.asking .vp-gate.answered").wait_for()
        assert player.evaluate(_SMALL_OR_CUT) == [], (number, "answered")
        assert player.evaluate(_REASON), "why the right answer is right can be read whole"
        page.keyboard.press("f")
        page.wait_for_function("!document.fullscreenElement")
    book.close()


def test_the_focus_goes_where_the_reader_is(book: Notebook) -> None:
    page = book.page
    assert page.evaluate(_WHERE) == ["jp-Cell", 4, "command"], "after Run All it stays where that ends"
    page.evaluate(
        """() => { const notebook = jupyterapp.shell.currentWidget.content;
             notebook.activeCellIndex = 1; notebook.mode = 'command'; notebook.activate(); }"""
    )
    page.keyboard.press("Shift+Enter")
    page.wait_for_function("document.activeElement.classList.contains('vmxsim-player')")
    assert page.evaluate(_WHERE) == ["vmxsim-player", 1, "command"]
    page.keyboard.press("2")
    page.get_by_text("✔ Right.").first.wait_for()
    page.keyboard.press("Tab")
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "To the start (Home)"
    assert page.evaluate(ring) == "solid", "the focus can be seen"
    page.keyboard.press("Escape")
    assert page.evaluate(_WHERE) == ["jp-Cell", 1, "command"]
    book.player.focus()
    page.keyboard.press("Shift+Enter")
    assert page.evaluate(_WHERE) == ["jp-Cell", 1, "command"], "on to the next cell, without running this one"
    assert page.evaluate("jupyterapp.shell.currentWidget.content.widgets[0].model.executionCount") == 1


def test_a_kernel_that_is_gone_says_so(book: Notebook) -> None:
    """The last test of this notebook: nothing runs afterward."""
    page = book.page
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.get_by_text("The kernel is gone: this is the last picture.").nth(3).wait_for()
    before = book.step()
    book.player.focus()
    page.keyboard.press("ArrowLeft")
    assert book.step() < before, "it still steps"
    page.keyboard.press("p")
    assert page.get_by_label("Long mode").is_disabled() and book.player.locator(".vp-tick").is_disabled()
    board = page.locator(".vmxsim-scheduler")
    board.focus()
    page.keyboard.press("1")
    assert "Not now: the kernel is gone; run this cell again." in board.inner_text()
    assert page.locator(".jupyter-widgets-disconnected").count(), "JupyterLab's own sign is not drawn:"
    icon = "e => getComputedStyle(e, '::before').display"
    assert page.locator(".jupyter-widgets-disconnected").first.evaluate(icon) == "none"
    assert serious(page, ".vmxsim-player") == []

    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.get_by_text("What stood here needs a running kernel. Run this cell again to see it.").nth(
        2
    ).wait_for()
    assert page.get_by_text("model not found").locator("visible=true").count() == 0
    book.forgive("model not found")


def test_a_kernel_that_was_shut_down_says_so(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "shut-down", [_CELLS[0], _COMPARED[0], _GAME], 1440)
    book.page.locator(".vmxsim-scheduler[data-step]").wait_for()
    book.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    book.page.get_by_text("The kernel is gone: this is the last picture.").nth(2).wait_for()
    assert book.page.locator(".vmxsim-explorer").first.get_by_label("Long mode").is_disabled()
    assert book.picture(), "it is still there"
    book.close()
