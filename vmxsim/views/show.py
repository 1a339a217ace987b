"""A picture of one step, for a notebook's cell: ``vmxsim.picture(trace, step)``."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vmxsim.trace import Trace
from vmxsim.views.film import still
from vmxsim.views.render import GraphvizMissing
from vmxsim.views.table import html_table
from vmxsim.views.words import now_words, step_words


@frozen
class Picture:
    """Scene ``index`` of ``trace``. A notebook shows it as SVG (or as a table with what to install), a
    terminal as words; ``svg`` is the file's text."""

    trace: Trace
    index: int

    @property
    def svg(self) -> str:
        """The picture as a file of its own. Raises GraphvizMissing where nothing can draw it."""
        return still(self.trace, self.index)

    def save(self, path: Any) -> None:
        """Write :attr:`svg` to a file."""
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.svg)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        try:
            html = self.svg
        except GraphvizMissing as error:
            html = html_table(self.trace.scene(self.index), "picture", str(error))
        return {"text/html": html, "text/plain": str(self)}

    def __str__(self) -> str:
        return f"{step_words(self.trace, self.index)}\n{now_words(self.trace, self.index)}"

    __repr__ = __str__


def picture(trace: Trace, step: int = -1) -> Picture:
    """The machine after ``step`` steps (0: the start; -1: the end, and so on backwards) as a picture.

    Raises IndexError for a step that the run does not have.
    """
    last = len(trace.steps)
    index = step + last + 1 if step < 0 else step
    if not 0 <= index <= last:
        raise IndexError(f"no step {step}: this run has steps 0 (its start) to {last} (its end)")
    return Picture(trace, index)
