"""The exported page in a real browser, from a file, with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vmxsim
from tests.browser.lab import Errors
from tests.browser.learner import serious
from tests.csource.retell import retold
from tests.exports.cases import checked, named
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree

_LIGHT = "() => getComputedStyle(document.body).backgroundColor"


class Page:
    """A page from a file: nothing but the file itself may be asked for, and nothing may go wrong."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 1000}, offline=True, reduced_motion="reduce", **options
        )
        self.page = self.context.new_page()
        self.errors = Errors(self.page)
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.file = file

    @property
    def step(self) -> str:
        return str(self.page.locator(".vmxsim-player").get_attribute("data-step"))

    def close(self) -> None:
        assert self.asked == [self.file.as_uri()]
        assert self.errors.found == []
        self.context.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages = []

    def open_page(what: Any, traits: dict[str, Any] | None = None, **options: Any) -> Page:
        file = vmxsim.export(what, "html", tmp_path / f"page{len(pages)}.html", **(traits or {}))
        pages.append(Page(browser, file, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def test_it_steps_by_keyboard_from_a_file_without_network(opened: Any) -> None:
    example = checked("dedicated-accessors", "64-bit").counterexample
    assert example is not None
    shown = opened(example)
    last = len(example.trace.steps)
    assert shown.step == str(example.trace.violations[0].step + 1) == str(last)
    assert "broken: guest-value" in shown.page.locator(".vp-part.wrong").inner_text()
    keyboard = shown.page.keyboard  # the player has the focus
    keyboard.press("ArrowLeft")
    assert 1 < int(shown.step) < last
    keyboard.press("Home")
    assert shown.step == "0"
    keyboard.press("PageDown")
    keyboard.press("ArrowRight")
    assert int(shown.step) > 1
    keyboard.press("End")
    assert shown.step == str(last)
    shown.page.get_by_label("skip quiet steps").uncheck()
    shown.page.get_by_role("button", name="One step back (left arrow)").click()
    assert shown.step == str(last - 1)
    assert not shown.page.locator(".vp-tick").is_visible()


def test_the_button_changes_the_colours_and_the_browser_s_wish_comes_first(opened: Any) -> None:
    run = vmxsim.run(["run"], "never-trap")
    light, dark = opened(run, color_scheme="light"), opened(run, color_scheme="dark")
    grounds = [one.page.evaluate(_LIGHT) for one in (light, dark)]
    assert grounds[0] != grounds[1]
    light.page.get_by_role("button", name="Dark colours").click()
    assert light.page.evaluate(_LIGHT) == grounds[1]
    canvas = "() => getComputedStyle(document.querySelector('.vmxsim-picture .canvas')).fill"
    assert light.page.evaluate(canvas) == dark.page.evaluate(canvas)
    light.page.get_by_role("button", name="Light colours").click()
    assert light.page.evaluate(_LIGHT) == grounds[0]


def test_on_paper_there_is_nothing_to_press(opened: Any) -> None:
    example = checked("dedicated-accessors", "64-bit").counterexample
    shown = opened(example)
    shown.page.emulate_media(media="print")
    pressed = shown.page.locator(":is(button, input, select, kbd):visible")
    names = "found => found.filter((e) => !e.closest('.vp-stack')).map((e) => e.outerHTML)"
    assert pressed.evaluate_all(names) == [], "but the names of the functions that run"
    assert shown.page.locator(".vp-part.wrong").is_visible()
    lines = shown.page.locator(".vp-line:visible").evaluate_all("all => all.map((e) => e.className)")
    assert len(lines) == 5 and "ran" in lines[2], "of the source, what surrounds the line that ran"


def test_a_run_is_printed_on_one_page(opened: Any) -> None:
    example = checked("dedicated-accessors", "64-bit").counterexample
    shown = opened(example)
    assert shown.page.pdf(format="A4").count(b"/Type /Page\n") == 1


def test_two_designs_step_together(opened: Any) -> None:
    runs = [vmxsim.run(["run", "guest long-mode on"], d) for d in ("host-from-thread", "dedicated-accessors")]
    shown = opened(runs)
    assert shown.page.locator(".vp-pane").count() == 2
    shown.page.get_by_role("button", name="Go to it").click()
    before = shown.step
    shown.page.locator(".vmxsim-player").press("ArrowRight")
    assert int(shown.step) > int(before)


def test_a_recording_plays(opened: Any) -> None:
    shown = opened(named("s1.dedicated-accessors"))
    assert shown.step == "45"
    shown.page.keyboard.press("ArrowRight")
    assert "kvm_exit" in shown.page.locator(".vp-part.step").inner_text()


def test_questions_bar_the_steps_behind_them_without_a_kernel(opened: Any) -> None:
    trace = checked("dedicated-accessors", "64-bit").counterexample.trace  # type: ignore[union-attr]
    shown = opened(trace, {"gates": vmxsim.predict(trace, "owner", action=1).gates})
    assert shown.step == "0"
    shown.page.keyboard.press("End")
    barred = shown.step
    assert int(barred) < len(trace.steps)
    shown.page.locator(".vp-gate button:visible").first.click()
    shown.page.locator(".vmxsim-player").press("End")
    shown.page.wait_for_function(f"document.querySelector('.vmxsim-player').dataset.step > {barred}")
    assert shown.step == str(len(trace.steps))


def test_other_traits_can_be_given_as_data(opened: Any) -> None:
    """Whatever the player learns to ask for: the model's stand-in holds it and hears of changes."""
    shown = opened(vmxsim.run(["run"], "never-trap"), {"skip_quiet": True, "start": 6, "unheard_of": 1})
    assert shown.step == "6"
    box = shown.page.get_by_role("checkbox")
    assert box.is_checked()
    shown.page.locator(".vmxsim-player").press("ArrowRight")
    assert shown.step == "10", "quiet steps are passed over"


def test_without_scripts_it_can_be_read(opened: Any) -> None:
    shown = opened(checked("dedicated-accessors", "64-bit"), java_script_enabled=False)
    assert shown.page.locator("noscript svg").is_visible()
    table = shown.page.locator(".vx-plain")
    assert "✖ guest-value" in table.inner_text()
    assert not shown.page.locator("#vx-theme").is_visible()


def test_hostile_text_does_nothing(opened: Any) -> None:
    shown = opened(named("hostile"))
    assert shown.page.locator("script").count() == 2
    assert "<script>" in shown.page.locator("h1").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", ["one", "two"])
def test_axe_finds_nothing_serious(opened: Any, scheme: str, what: str) -> None:
    example = checked("dedicated-accessors", "64-bit").counterexample
    assert example is not None
    runs = [example.trace, vmxsim.run(example.scenario, "never-trap")]
    shown = opened(example if what == "one" else runs, color_scheme=scheme)
    shown.page.wait_for_timeout(300)
    assert serious(shown.page) == []


def test_the_moving_picture_plays_and_stands_still(browser: Any) -> None:
    image = Path(__file__).parents[2] / "images" / "seed-counterexample.svg"
    moving = browser.new_page(viewport={"width": 800, "height": 950}, reduced_motion="no-preference")
    moving.goto(image.as_uri())
    shots = []
    for share in (0.02, 0.4, 0.97):
        moving.evaluate(
            """share => document.getAnimations().forEach((a) => {
                 a.pause(); a.currentTime = share * a.effect.getTiming().duration; })""",
            share,
        )
        shots.append(moving.screenshot())
    assert len(set(shots)) == 3
    moving.close()
    still = browser.new_page(viewport={"width": 800, "height": 950}, reduced_motion="reduce")
    still.goto(image.as_uri())
    assert still.evaluate("document.getAnimations().length") == 0
    seen = still.evaluate(
        """() => [...document.querySelectorAll('.t.end text')].map((e) => e.textContent).join(' ')"""
    )
    assert "the guest reads 0x7f0000001000" in seen
    still.close()


_LIT_IS_IN_VIEW = """() => {
  const [row, list] = ['.ran', '.vp-listing'].map((at) => document.querySelector(at).getBoundingClientRect());
  return row.top >= list.top && row.bottom <= list.bottom;
}"""


def _long_function() -> Any:
    """A run on C whose read accessor has forty more lines that do not matter."""
    tree = retold("never-trap")
    (path,) = (path for path, text in tree.files.items() if "preempt_disable();" in text)
    begin, mark, rest = tree.files[path].partition("\tpreempt_disable();\n")
    unused = "".join(f"\tvmx->unused.word{n} = {n};\n" for n in range(40))
    longer = {**tree.files, path: f"{begin}{unused}{mark}{rest}"}
    design = from_tree(Tree("longer", longer)).design
    return vmxsim.run(["run", "emulate rdmsr"], design, long_mode=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_function_of_c_is_dimmed_and_folded_with_the_numbers_of_its_file(opened: Any, scheme: str) -> None:
    run = _long_function()
    step = next(s for s in run.steps if s.source == "preempt_disable();" and s.file)
    shown = opened(run, {"start": step.index + 1}, color_scheme=scheme)
    listing = shown.page.locator(".vp-listing")
    lit = listing.locator(".vp-line.ran")
    assert lit.locator(".vp-number").inner_text() == str(step.at.number)
    assert shown.page.locator(".vp-stack [aria-current]").inner_text() == f"{step.function} {step.at.name}"
    fold = listing.locator("[data-fold]")
    assert "40 lines left out" in fold.inner_text() and listing.locator(".vp-dropped").count() == 0
    top, height = (listing.evaluate(f"e => e.{name}") for name in ("offsetTop", "offsetHeight"))
    fold.click()
    dimmed = listing.locator(".vp-dropped")
    assert dimmed.count() == 40
    assert "left out" in str(dimmed.first.get_attribute("title")).lower()
    assert "left out" in str(dimmed.first.text_content()) and "–" in dimmed.first.inner_text()
    ground = "e => getComputedStyle(e).color"
    assert dimmed.first.evaluate(ground) != listing.locator(".vp-line").first.evaluate(ground)
    assert [listing.evaluate(f"e => e.{name}") for name in ("offsetTop", "offsetHeight")] == [top, height]
    listing.press("Enter")  # the fold is still chosen
    assert dimmed.count() == 0
    shown.page.locator(".vmxsim-player").press("ArrowRight")
    shown.page.wait_for_function(_LIT_IS_IN_VIEW)
    assert serious(shown.page) == []
