"""Hints that appear one by one, each when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as w


class Hints(w.VBox):
    """``say`` hears of each hint that appears."""

    def __init__(self, hints: Sequence[str], say: Callable[[str], None]) -> None:
        self._hints, self._say = list(hints), say
        self.shown = 0
        self.button = w.Button(tooltip="Show one hint more", layout={"width": "auto"})
        self.list = w.HTML()
        self.button.on_click(lambda _: self.more())
        super().__init__([self.list, self.button])
        self.add_class("vmxsim-exercise-hints")
        self._name()
        if not self._hints:
            self.layout.display = "none"

    def more(self) -> None:
        """Show the next one; nothing happens when all are shown."""
        if self.shown == len(self._hints):
            return
        self.shown += 1
        items = "".join(f"<li>{escape(hint)}</li>" for hint in self._hints[: self.shown])
        self.list.value = f"<h4>Hints</h4><ol>{items}</ol>"
        self._name()
        self._say(f"Hint {self.shown} of {len(self._hints)}: {self._hints[self.shown - 1]}")

    def _name(self) -> None:
        total = len(self._hints)
        if self.shown < total:
            self.button.description = f"Show hint {self.shown + 1} of {total}"
        else:
            self.button.description = f"All {total} hints are shown"
            self.button.disabled = True
