"""How the player looks: nothing jumps, nothing overlaps, in both themes, wide and narrow, side by side."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Notebook

#: Elements that must keep clear of each other, and whose text must stay inside them.
_REGIONS = ".vp-transport > *, .vp-preempt > *, .vp-title, .vp-timeline, .vp-picture, .vp-source, .vp-part"

_OVERLAPS = f"""() => {{
  const player = document.querySelector('.vmxsim-player');
  const shown = [...player.querySelectorAll('{_REGIONS}')].filter((e) => e.offsetParent);
  const boxes = shown.map((e) => [e, e.getBoundingClientRect()]);
  const found = [];
  for (const [a, p] of boxes) for (const [b, q] of boxes) {{
    if (a === b || a.contains(b) || b.contains(a)) continue;
    if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
      found.push(`${{a.className || a.tagName}} / ${{b.className || b.tagName}}`);
  }}
  const texts = [...player.querySelectorAll('svg text')].filter((t) => t.textContent.trim()
    && t.getClientRects().length && getComputedStyle(t).visibility === 'visible' && !t.closest('.move'));
  const rects = texts.map((t) => [t, t.getBoundingClientRect()]);
  for (let i = 0; i < rects.length; i++) for (let j = i + 1; j < rects.length; j++) {{
    const [[s, p], [t, q]] = [rects[i], rects[j]];
    if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2)
      found.push(`"${{s.textContent}}" / "${{t.textContent}}"`);
  }}
  return found;
}}"""

#: Every label, in the page and in the picture, 1.4 times as long.
_LENGTHEN = """() => {
  const longer = (text) => text + 'm'.repeat(Math.ceil(text.length * 0.4));
  const player = document.querySelector('.vmxsim-player');
  const labels = 'button, .vp-label, h3, h4, .vp-title p, .vp-lane-name, .vp-counter';
  for (const e of player.querySelectorAll(labels))
    for (const n of e.childNodes)
      if (n.nodeType === 3 && n.textContent.trim()) n.textContent = longer(n.textContent);
  for (const e of player.querySelectorAll('svg text.cell-label')) e.textContent = longer(e.textContent);
}"""

#: The same for the controls above the player.
_CONTROLS = """() => {
  const found = [];
  const wide = document.querySelector('.jp-OutputArea-output:has(.vmxsim-player)').getBoundingClientRect();
  const controls = [...document.querySelectorAll('.widget-dropdown, .widget-checkbox, .widget-text')]
    .filter((e) => e.offsetParent && !e.closest('.vmxsim-player'));
  for (const e of controls) for (const n of e.querySelectorAll('label, span'))
    for (const t of n.childNodes) if (t.nodeType === 3 && t.textContent.trim())
      t.textContent += 'm'.repeat(Math.ceil(t.textContent.length * 0.4));
  const boxes = controls.map((e) => e.getBoundingClientRect());
  boxes.forEach((p, i) => boxes.forEach((q, j) => {
    if (i < j && p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
      found.push(`${controls[i].textContent} / ${controls[j].textContent}`);
  }));
  const out = controls.filter((_, i) => boxes[i].right > wide.right + 1);
  found.push(...out.map((e) => `${e.textContent} sticks out`));
  return found;
}"""

_PLACES = """() => [...document.querySelectorAll(
    '.vp-panes section, .vp-transport > *, .vp-picture, .vp-track, .vp-preempt > *')]
  .map((e) => { const b = e.getBoundingClientRect(); const r = (x) => Math.round(x * 2) / 2;
                return [e.className, r(b.x), r(b.y), r(b.width), r(b.height)].join(' '); })"""

EXPLORE = "import vmxsim\nvmxsim.explore()"
COMPARE = "import vmxsim\nvmxsim.compare('host-from-thread', 'dedicated-accessors')"


@pytest.mark.parametrize("width", [1280, 700])
def test_nothing_overlaps_and_nothing_jumps(browser: Any, lab: Any, width: int) -> None:
    book = Notebook(browser, lab, f"layout{width}", [EXPLORE], width)
    if width < 1000:
        book.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        book.page.wait_for_timeout(500)
    book.player.focus()  # this scrolls
    assert book.page.evaluate(_OVERLAPS) == []
    places = book.page.evaluate(_PLACES)
    assert book.player.evaluate("player => player.scrollWidth <= player.clientWidth")
    for _ in range(25):
        book.player.press("ArrowRight")
        assert book.page.evaluate(_PLACES) == places
    assert book.page.evaluate("document.getAnimations().length") == 0, "less motion was asked for"
    book.page.evaluate(_LENGTHEN)
    assert book.page.evaluate(_OVERLAPS) == []
    assert book.page.evaluate(_CONTROLS) == []
    book.close()


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_both_themes(browser: Any, lab: Any, dark: bool) -> None:
    book = Notebook(browser, lab, f"theme{int(dark)}", [EXPLORE], dark=dark)
    lights = book.page.evaluate(
        """() => ['color', 'backgroundColor'].map((name) => {
             const style = getComputedStyle(document.querySelector('.vmxsim-player'));
             const [r, g, b] = style[name].match(/\\d+/g).map(Number);
             return (r + g + b) / 3; })"""
    )
    assert (lights[0] > lights[1]) == dark
    assert abs(lights[0] - lights[1]) > 150
    book.close()


@pytest.mark.parametrize("width", [1440, 1700])
def test_two_designs_side_by_side(browser: Any, lab: Any, width: int) -> None:
    book = Notebook(browser, lab, f"compare{width}", [COMPARE], width)
    assert book.player.locator(".vp-pane").count() == 2
    assert "First divergence" in book.texts(".vp-divergence")[0]
    assert book.player.locator(".vp-sign.divergence").count() == 2
    book.player.get_by_role("button", name="Go to it").click()
    book.until("p.dataset.step !== '0'")
    places = book.page.evaluate(_PLACES)
    book.player.focus()
    seen = set()
    for _ in range(40):
        book.player.press("ArrowRight")
        seen |= set(book.texts(".vp-divergence .vp-dim"))
    assert any(text.startswith("Different now") for text in seen)
    assert book.page.evaluate(_PLACES) == places
    assert book.page.evaluate(_OVERLAPS) == []
    boxes = [book.player.locator(".vp-source").nth(i).bounding_box() for i in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    book.close()


def test_a_recording_plays(browser: Any, lab: Any) -> None:
    book = Notebook(browser, lab, "replay", ["import vmxsim\nvmxsim.replay('s1.dedicated-accessors')"])
    assert "an invariant is violated" in book.page.locator(".vmxsim-verdict").inner_text()
    assert "broken: guest-value" in book.texts(".vp-part.wrong")[0]
    assert book.player.locator(".vp-line.ran").is_visible()
    assert not book.player.locator(".vp-tick").is_visible()
    before = book.picture()
    book.player.focus()
    for _ in range(10):
        book.player.press("ArrowLeft")
    assert book.picture() != before
    book.close()
