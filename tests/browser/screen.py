"""What of a player is visible at once, without scrolling, on the screens that the course is made for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: (width, height, whether the file browser is open)
SCREENS = ((1440, 900, True), (1366, 768, False))

#: What of a cell's output, with its beginning at the top, is below the window or cut; texts of the picture of
#: less than 11 px, values of less than 14 px, a source of less than four lines, and what a question's card
#: does not show.
_HIDDEN = """output => {
  output.scrollIntoView({ block: 'start' });
  const player = output.querySelector('.vmxsim-player');
  const end = document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect().bottom;
  const all = (what) => [...player.querySelectorAll(what)];
  const shown = (e) => e.getClientRects().length && getComputedStyle(e).visibility === 'visible';
  const name = (e) => [...e.classList].join('.');
  const found = [];
  for (const e of all('.vp-transport, .vp-timeline, .vp-picture, .vp-listing, .vp-part.step, .vp-gates')) {
    const under = Math.round(e.getBoundingClientRect().bottom - end);
    if (under > 0) found.push(`${name(e)} ends ${under} px below the window`);
  }
  const texts = all('svg text').filter((text) => text.textContent.trim() && shown(text));
  const size = (text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a;
  for (const text of texts) {
    const least = text.classList.contains('cell-value') ? 14 : 11;
    if (size(text) < least - .1) found.push(`"${text.textContent}" has ${size(text).toFixed(1)} px`);
  }
  for (const e of all('.vp-picture')) {
    const [wide, tall] = [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight];
    if (wide > 1) found.push(`the picture is cut by ${wide} px`);
    const frame = e.getBoundingClientRect();
    const svg = e.querySelector('svg')?.getBoundingClientRect();
    const below = Math.max(tall, svg ? svg.bottom - frame.bottom : 0);
    if (below > 1) found.push(`the picture is cut below by ${below} px`);
  }
  for (const e of all('.one .vp-listing'))
    if (e.clientHeight < 76) found.push(`the source has ${e.clientHeight} px`);
  const card = player.querySelector('.vp-gate.shown:not(.vp-waits)');
  if (card) {
    const frame = card.getBoundingClientRect();
    for (const e of card.querySelectorAll('.vp-ask, .vp-entry, .vp-options, .vp-foot')) {
      const under = Math.round(e.getBoundingClientRect().bottom - frame.bottom);
      if (under > 0) found.push(`${name(e)} ends ${under} px below its card`);
    }
  }
  return found;
}"""

#: Answer the question that is shown, right or wrong; false if there is none, or an audience votes on it.
_ANSWER = """player => {
  const press = (at, key) =>
    at.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const card = player.querySelector('.vp-gate.shown:not(.answered, .vp-waits, :has(.vp-votes))');
  if (!card) return false;
  const typed = card.querySelector('.vp-typed');
  if (typed) {
    typed.value = '123456';
    press(typed, 'Enter');
  } else if (card.querySelector('.vp-markstep')) {
    press(player, 'ArrowRight');
    press(player, 'm');
  } else press(player, '1');
  return true;
}"""

_GO_ON = """player => {
  const next = player.querySelector('.vp-gate.shown .vp-next');
  if (next && !next.hidden) next.click();
}"""

#: Steps whose sentence does not fit into the place that it has, and by how many pixels.
_SENTENCES = """player => {
  const slider = player.querySelector('.vp-transport input[type=range]');
  const at = slider.value, found = [];
  for (let slot = 0; slot <= Number(slider.max); slot++) {
    slider.value = slot;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    for (const part of player.querySelectorAll('.vp-part:is(.step, .wrong)')) {
      const cut = part.scrollHeight - part.clientHeight;
      if (cut > 1) found.push([slot, part.classList[1], cut]);
    }
  }
  slider.value = at;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  return found;
}"""


def on_each_screen(page: Any) -> Iterator[str]:
    """The screens by their size, each once the page has it."""
    for width, height, files in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        if files == page.evaluate("jupyterapp.shell.leftCollapsed"):
            page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        page.wait_for_timeout(600)
        yield f"{width}x{height}"


def hidden(output: Any) -> list[str]:
    """What of a cell's output with a player cannot be seen at once, or cannot be read."""
    found: list[str] = output.evaluate(_HIDDEN)
    return found


def answer(player: Any) -> bool:
    """Answer the question that is shown; False if there is none."""
    return bool(player.evaluate(_ANSWER))


def go_on(player: Any) -> None:
    """Leave a question that is answered for the next one."""
    player.evaluate(_GO_ON)


def cut_sentences(player: Any) -> list[list[Any]]:
    """[slot, ``step`` or ``wrong``, pixels] of each sentence that is longer than its place."""
    found: list[list[Any]] = player.evaluate(_SENTENCES)
    return found
