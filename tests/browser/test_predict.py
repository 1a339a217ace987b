"""The predict gate and the stage in real JupyterLab, by keyboard and by mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Notebook

_RUN = (
    'import vmxsim\nrun = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")\n'
)
_GATE = _RUN + 'vmxsim.predict(run, [("owner", {"action": 1}), ("value", {"action": 2})])'
_STAGE = 'import vmxsim\nvmxsim.present("host-from-thread", "dedicated-accessors", votes=2)'


@pytest.fixture
def book(browser: Any, lab: Any, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """A notebook of its own for each test: the kernel of one remembers what was answered."""
    found = Notebook(browser, lab, request.node.name, [_GATE, "vmxsim.answers()"])
    yield found
    found.close()


def card(book: Notebook) -> Any:
    return book.player.locator(".vp-gate.shown")


def number(book: Notebook, text: str) -> str:
    """The key that chooses the option that begins so."""
    texts = card(book).locator(".vp-option > span:last-child").all_inner_texts()
    return str(next(i for i, told in enumerate(texts, 1) if told.startswith(text)))


def height(book: Notebook) -> float:
    return float(book.player.evaluate("e => e.getBoundingClientRect().height"))


def test_nothing_is_shown_before_the_answer_and_nothing_jumps(book: Notebook) -> None:
    page, before, tall = book.page, book.step(), height(book)
    assert "Whose value does KERNEL_GS_BASE" in card(book).inner_text()
    book.player.focus()
    for key in ("ArrowRight", "End", "PageDown"):
        page.keyboard.press(key)
    page.keyboard.press(" ")  # play
    page.wait_for_timeout(1500)
    assert book.step() == before
    assert "Answer first" in card(book).inner_text()
    assert book.player.locator(".vp-reason:visible").count() == 0
    assert book.player.locator(".vp-veil:visible").count() == 2
    signs = book.player.locator(".vp-sign.violation:visible")
    assert signs.count() == 0, "no sign tells what comes next"

    page.keyboard.press(number(book, "guest 0's"))
    book.at(before + 34)
    assert signs.count() == 2
    told = card(book).inner_text()
    assert "✖ Not so." in told and "The right answer: vCPU thread 0's." in told
    assert "Guest 0's is in msr_guest_kernel_gs_base of vCPU 0" in told, "why the answer given is wrong"
    assert card(book).locator(".wrong").count() == card(book).locator(".right").count() == 1
    assert height(book) == tall

    page.keyboard.press("Enter")  # goes on, as the button says
    assert "What does it return?" in card(book).inner_text()
    verdict = book.player.locator(".vp-part.wrong")
    assert "broken: guest-value" in verdict.inner_text() and "0x" not in verdict.inner_text(), "no answer"
    card(book).get_by_role("button", name=": 0x7f0000001000").click()
    book.at(before + 35)
    assert "✔ Right." in card(book).inner_text()
    assert "broken: guest-value" in verdict.inner_text() and "0x" in verdict.inner_text()
    assert height(book) == tall
    assert book.player.locator(".vp-veil:visible").count() == 0

    card(book).get_by_role("button", name="Ask me again").click()
    book.at(before + 34)
    assert "What does it return?" in card(book).inner_text()


def test_answers_survive_running_the_cell_again(book: Notebook) -> None:
    page, before = book.page, book.step()
    book.player.focus()
    page.keyboard.press(number(book, "vCPU thread 0's"))
    book.at(before + 34)
    book.settle()
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.get_by_text("1 of 2 questions answered, 1 right on the first try.").wait_for()
    page.locator(".vp-gate.shown .vp-ask", has_text="What does it return?").wait_for()


def test_the_stage_is_locked_until_the_audience_has_voted(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "stage", [_STAGE], width=1600)
    page = book.page
    assert "hidden until the question is answered" in book.player.locator(".vp-divergence").inner_text()
    page.bring_to_front()  # another test's page may be there
    book.player.focus()
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement?.classList.contains('presenting')")
    for _ in range(40):
        page.keyboard.press("PageDown")  # what a clicker sends
        if book.player.locator(".vp-gates.asking").count():
            break
    asked = book.step()
    page.keyboard.press("r")
    assert "Locked until the audience has voted. 0 of 2 voted." in card(book).inner_text()
    page.keyboard.press("1")
    page.keyboard.press("PageDown")
    assert book.step() == asked
    page.keyboard.press("2")
    assert [c.inner_text() for c in card(book).locator(".vp-count").all()][:2] == ["1", "1"]
    page.keyboard.press("v")
    page.keyboard.type("0 3")
    page.keyboard.press("Enter")
    assert [c.inner_text() for c in card(book).locator(".vp-count").all()][:2] == ["0", "3"]
    page.keyboard.press("t")
    assert book.player.locator(".vp-clock.runs").inner_text() in ("1:00 (T)", "0:59 (T)")
    with page.expect_popup() as notes:
        page.keyboard.press("p")
    right = (
        "[...document.querySelectorAll('h2')].find((h) => h.textContent === 'Question')?.nextElementSibling"
    )
    assert "In dedicated-accessors:" in notes.value.evaluate(f"{right}.textContent")
    notes.value.close()
    page.bring_to_front()
    book.player.focus()
    page.keyboard.press("r")
    assert "The right answer: " in card(book).locator(".vp-told").inner_text()
    assert "In dedicated-accessors:" in card(book).inner_text()
    assert book.step() == asked, "an audience is led there, step by step"
    page.keyboard.press("PageDown")
    assert book.step() > asked
    page.keyboard.press("w")
    assert book.player.locator(".vp-part:visible").count() == 0
    page.keyboard.press("w")
    assert book.player.locator(".vp-part:visible").count() == 4
    fits = "document.querySelector('.vmxsim-player').scrollHeight <= window.innerHeight + 1"
    assert page.evaluate(fits), "all on one page"
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")
    book.close()


def test_code_that_has_not_run_yet_is_called_so_and_a_promise_names_its_question(
    browser: Any, lab: Any
) -> None:
    cell = (
        'import vmxsim\nrun = vmxsim.run(["run", "guest wrmsr 0xA000", "exit", "run"],'
        ' "never-trap", long_mode=True)\n'
        'vmxsim.predict(run, [("owner", {"action": 2}), ("count", {"action": 3, "of": "msr"})])'
    )
    book = Notebook(browser, lab, "coming", [cell], 1440)
    try:
        assert "Code, coming" in book.player.locator(".vp-stack").get_attribute("data-of")
        assert book.texts(".vp-stack") == ["vmx_prepare_switch_to_host"]
        wrong = book.player.locator(".vp-part.wrong").inner_text()
        assert "not checked yet: host-value" in wrong and "once you have answered question 1" in wrong
        told = book.player.locator(".vp-part.step").inner_text()
        assert (
            "is now 0xa000" in told
            and "true value: 0xa000" in book.player.locator(".vp-picture").text_content()
        )
        places = book.player.locator(".vp-typed").evaluate_all("all => all.map((e) => e.placeholder)")
        assert len(places) == 1 and not any(c.isdigit() for c in places[0])
        numbered = book.player.locator(".vp-gate:has(.vp-reason[data-option])")
        assert numbered.count() == 1 and not numbered.locator(".vp-typed").count(), (
            "a reason has the number of an option that can be pressed"
        )
    finally:
        book.close()
