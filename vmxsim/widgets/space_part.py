"""The panel's lower part: the state space of the chosen design, drawn on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as w

from vmxsim.checker.statespace import MOST, TooManyStates
from vmxsim.kernel.kvm import Kvm
from vmxsim.widgets.message import Message
from vmxsim.widgets.statespace import state_space

_ABOUT = (
    "Every state of one vCPU in user space and in the guest, and where each action leads;"
    f" at most {MOST} states."
)


class SpacePart(w.VBox):
    """``chosen`` says design, host and assumptions; ``assume`` ticks other assumptions."""

    def __init__(
        self,
        chosen: Callable[[], tuple[str | type[Kvm], str, tuple[str, ...]]],
        assume: Callable[[Sequence[str]], None],
    ) -> None:
        self._chosen, self._assume = chosen, assume
        self._suggestion: tuple[str, ...] = ()
        self.draw = w.Button(description="Draw the state space", layout={"width": "auto"})
        self.fewer = w.Button(
            description="Assume these and draw", layout={"width": "auto", "display": "none"}
        )
        self.clear = w.Button(description="Take it away", layout={"width": "auto", "display": "none"})
        self.message = Message()
        self.told, self.picture = w.HTML(f'<p class="dim">{escape(_ABOUT)}</p>'), w.HTML()
        self.draw.on_click(lambda _: self.message.guard(self._draw))
        self.fewer.on_click(lambda _: self.message.guard(self._draw_fewer))
        self.clear.on_click(lambda _: self._show(""))
        row = w.Box([self.draw, self.fewer, self.clear, self.told]).add_class("vmxsim-check-row")
        super().__init__([row, self.message, self.picture])
        self.add_class("vmxsim-check-space")

    def _draw(self) -> None:
        self._suggest((), _ABOUT)
        try:
            found = state_space(*self._chosen())
        except TooManyStates as many:
            self._show("")
            self._suggest(many.suggestion, f"Not drawn: {many}.")
            return
        self._show(found.html())

    def _draw_fewer(self) -> None:
        self._assume(self._suggestion)
        self._draw()

    def _suggest(self, names: tuple[str, ...], words: str) -> None:
        self._suggestion = names
        self.fewer.layout.display = None if names else "none"
        self.told.value = f'<p class="dim" role="status">{escape(words)}</p>'

    def _show(self, html: str) -> None:
        self.picture.value = html
        self.clear.layout.display = None if html else "none"
