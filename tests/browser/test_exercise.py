"""An exercise in real JupyterLab, by keyboard: hints, hand in, verdict, play the counterexample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.lab import lab_page
from tests.browser.learner import serious

CELLS = [
    "import vmxsim\nfrom vmxsim.kernel.language import *\nex = vmxsim.exercise('careful-write')\nex",
    """class Mine(ex.start):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            preempt_disable()
            wrmsr(MSR_KERNEL_GS_BASE, data)
            preempt_enable()
        vmx.msr_guest_kernel_gs_base = data""",
    "ex.submit(Mine)",
    "vmxsim.exercise('one-tick')",
    "ex.check(Mine, 2)",
]


@pytest.fixture(scope="module")
def page(browser: Any, lab: Any) -> Iterator[Any]:
    shown = lab_page(browser, lab, lab.write("exercise.ipynb", CELLS))
    shown.page.locator(".vmxsim-exercise-form").nth(1).wait_for()
    yield shown.page
    shown.close()


def press(page: Any, part: Any, name: str) -> None:
    """A button, by keyboard."""
    part.get_by_role("button", name=name).focus()
    page.keyboard.press("Enter")


def test_hints_one_by_one(page: Any) -> None:
    form = page.locator(".vmxsim-exercise-form").first
    assert form.locator(".vmxsim-exercise-hints li").count() == 0
    for number in (1, 2, 3):
        press(page, form, f"Show hint {number} of 3")
        form.locator(".vmxsim-exercise-hints li").nth(number - 1).wait_for()
        said = form.locator(".vmxsim-said")
        page.wait_for_function(
            "n => document.querySelector('.vmxsim-said').textContent.startsWith(`Hint ${n} of 3`)", arg=number
        )
        assert said.get_attribute("aria-live") == "polite"
    assert form.get_by_role("button", name="All 3 hints are shown").is_disabled()


def test_an_answer_is_judged_in_the_form_and_below_its_cell_and_played(page: Any) -> None:
    form = page.locator(".vmxsim-exercise-form").first
    for verdict in (form, page.locator(".vmxsim-exercise-verdict:not(.vmxsim-exercise-form *)").first):
        verdict.locator("h4", has_text="Goal 2 is not met").wait_for()
        assert verdict.get_by_text("A careful write: not passed, 2 of 3 goals met").first.is_visible()
    assert [t.split()[-1] for t in form.locator("ul.goals li").all_inner_texts()] == ["met", "met", "met"]
    assert form.locator("ul.goals li.not-met").count() == 1
    for width in (700, 1400, 1280):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(200)
        assert form.evaluate("e => e.scrollWidth <= e.clientWidth"), width
        for paragraph in form.locator("p, pre").all():
            edge = paragraph.evaluate("e => e.getBoundingClientRect().right")
            assert edge <= form.evaluate("e => e.getBoundingClientRect().right"), width
    press(page, form, "Play it")
    player = form.locator(".vmxsim-player[data-step]")
    player.wait_for()
    assert int(player.get_attribute("data-step") or 0) > 0
    page.wait_for_function("document.activeElement.classList.contains('vmxsim-player')")


def test_a_better_answer_by_the_button(page: Any) -> None:
    form = page.locator(".vmxsim-exercise-form").first
    page.evaluate(
        """async () => {
          const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          await kernel.requestExecute({code: 'class Mine(ex.start):\\n    pass'}).done;
        }"""
    )
    press(page, form, "Check my answer")
    form.get_by_text("Nothing is changed yet.", exact=True).wait_for()
    assert form.locator(".vmxsim-player").count() == 0, "what was played before is put away"


def test_a_schedule_is_typed_into_the_form(page: Any) -> None:
    form = page.locator(".vmxsim-exercise-form").nth(1)
    text = form.get_by_role("textbox", name="Your schedule")
    assert text.input_value().startswith("steps:\n  - run")
    place = "{before: preempt_disable, in: vmx_read_guest_kernel_gs_base, cpu: 1}"
    text.fill(f"- run\n- guest wrmsr 0xA000\n- emulate rdmsr: {{preempt: {place}}}")
    page.keyboard.press("Tab")
    press(page, form, "Check my answer")
    form.get_by_text("Be the scheduler: one tick: passed, 2 of 2 goals met").first.wait_for()
    assert form.locator("ul.goals li.met").count() == 2


def test_a_failed_check_is_a_few_lines(page: Any) -> None:
    error = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]').last
    text = error.inner_text()
    assert text.startswith("A careful write: not passed, goal 2 is not met.")
    assert "Traceback" not in text and "--->" not in text


def test_nothing_serious_for_an_accessibility_checker(page: Any) -> None:
    assert serious(page, ".vmxsim-exercise-form") == []


#: What a form says before all that is in it, once for each of its parts that says something.
_SAID = """e => [e, ...e.querySelectorAll('.jupyter-widgets-disconnected')]
  .map((one) => getComputedStyle(one, '::before'))
  .filter((style) => style.display !== 'none' && style.content !== 'none').map((style) => style.content)"""
_GONE = ['"The kernel is gone: run this cell again."']


def test_a_kernel_that_is_gone_is_told_once(page: Any) -> None:
    """The last test of this notebook: nothing runs afterward."""
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.locator(".vmxsim-exercise-form.jupyter-widgets-disconnected").first.wait_for()
    assert page.locator(".vmxsim-exercise-form").first.evaluate(_SAID) == _GONE


def test_a_kernel_that_was_shut_down_is_told_once(browser: Any, lab: Any) -> None:
    shown = lab_page(browser, lab, lab.write("exercise-ended.ipynb", CELLS[:1]))
    form = shown.page.locator(".vmxsim-exercise-form")
    form.wait_for()
    assert form.evaluate(_SAID) == []
    shown.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    shown.page.locator(".jp-Notebook-ExecutionIndicator[data-status=unknown]").wait_for(state="attached")
    assert form.evaluate(_SAID) == _GONE
    shown.close()
