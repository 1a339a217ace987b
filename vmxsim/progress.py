"""How far a long computation has come: a line on the terminal, below a notebook's cell, or in a widget.

Whatever can take more than two seconds says so::

    with telling() as tell:
        while left:
            tell(f"{len(left)} states left")

    for lab in counting("lab", labs):

Nothing appears before :data:`PATIENCE` is over, and nothing stays. Where one computation is part of another,
the line has what each of them has said last.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from vmxsim.errors import in_browser

Thing = TypeVar("Thing")
#: Shows a text; '' takes it away.
Show = Callable[[str], None]

#: Seconds before the line appears, and between two updates.
PATIENCE, EVERY = 0.7, 0.25


class _Line:
    """The line of this process. Only what the main thread computes appears on it."""

    def __init__(self) -> None:
        self.levels: list[list[str]] = []  # what each computation has said last, the outermost first
        self.began = self.shown = 0.0
        self.show: Show | None = None  # once the line has appeared
        self.widget: Show | None = None
        self.lock = threading.Lock()

    def update(self) -> None:
        """Show what was said last, unless that is too early."""
        now = time.perf_counter()
        if now - self.began < PATIENCE or now - self.shown < EVERY or not self.lock.acquire(blocking=False):
            return
        try:
            self.shown = now
            self.show = self.show or self.widget or _in_notebook() or _on_terminal() or (lambda text: None)
            self.show(" · ".join(text for (text,) in self.levels if text))
        finally:
            self.lock.release()


_line = _Line()


@contextmanager
def telling(text: str = "") -> Iterator[Show]:
    """Around a long computation: what to call, as often as one likes, with how far it has come."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda text: None
        return
    level = [text]
    if not _line.levels:
        _line.began = time.perf_counter()
    _line.levels.append(level)

    def tell(text: str) -> None:
        level[0] = text
        _line.update()

    try:
        yield tell
    finally:
        _line.levels.remove(level)
        if not _line.levels and _line.show is not None:
            shown, _line.show = _line.show, None
            shown("")


def counting(kind: str, things: Sequence[Thing]) -> Iterator[Thing]:
    """Each of these in turn, telling which it is: ``picture 3 of 220``."""
    with telling() as tell:
        for number, thing in enumerate(things, 1):
            tell(f"{kind} {number} of {len(things)}")
            yield thing


@contextmanager
def shown_by(widget: Show) -> Iterator[None]:
    """Meanwhile a widget shows the line."""
    before, _line.widget = _line.widget, widget
    try:
        yield
    finally:
        _line.widget = before


def _in_notebook() -> Show | None:
    """Below the cell that runs; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    display: Any = import_module("IPython.display").display
    line = display({"text/plain": ""}, raw=True, display_id=True)
    end = "Restart" if in_browser() else "Interrupt"

    def show(text: str) -> None:
        told = f"{text}. {end} the kernel to end this." if text else ""
        line.update({"text/plain": told}, raw=True)

    return show


def _on_terminal() -> Show | None:
    """On standard error; None if that is not a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console  # deferred: slow to load
    from rich.text import Text

    status = Console(stderr=True).status("")
    status.start()

    def show(text: str) -> None:
        if text:
            status.update(Text(f"{text}; Ctrl-C ends this"))
        else:
            status.stop()

    return show
