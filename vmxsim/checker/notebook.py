"""Progress of a check in a notebook: one line below the cell, for searches that take a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from vmxsim.checker.limits import Progress

#: Seconds before the line appears, and between two updates of it.
PATIENCE, EVERY = 0.7, 0.25


@contextmanager
def notebook_progress() -> Iterator[Progress | None]:
    """A Progress that writes below the cell that runs; None outside a notebook."""
    if not _in_notebook():
        yield None
        return
    line = _Line()
    try:
        yield line.tell
    finally:
        line.take_away()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class _Line:
    def __init__(self) -> None:
        self._handle: Any = None
        self._told = 0.0

    def tell(self, states: int, seconds: float) -> None:
        """Called by the search."""
        if seconds < PATIENCE or seconds - self._told < EVERY:
            return
        self._told = seconds
        text = (
            f"{states:,} states, {states / seconds:,.0f} a second. To end the search, interrupt the kernel."
        )
        data = {"text/plain": text}
        display: Any = import_module("IPython.display").display
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def take_away(self) -> None:
        """The result tells the rest."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)
