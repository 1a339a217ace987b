"""A stretch of a long trace as a trace of its own."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from vmxsim.trace import Scene, Step, Trace, Violation

#: Steps that the browser gets at once: a film of more is slow to send and hard to aim at.
LENGTH = 400


class Window:
    """Steps ``first`` (from 0) up to ``last`` of a trace; scenes are those around them."""

    def __init__(self, trace: Trace, first: int, last: int) -> None:
        steps = trace.steps[first:last]
        self._trace = trace
        self._first = first
        action = steps[0].action if steps else 0
        self.title = trace.title
        self.subtitle = trace.subtitle
        self.actions: Sequence[str] = trace.actions[action : steps[-1].action + 1] if steps else ()
        self.steps: Sequence[Step] = [
            evolve(step, index=index, action=step.action - action) for index, step in enumerate(steps)
        ]
        self.violations: Sequence[Violation] = [v for step in steps for v in step.violations]
        self.notes = trace.notes

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps of this window."""
        return self._trace.scene(self._first + index)

    def listing(self, function: str) -> Sequence[str]:
        """The function's source lines."""
        return self._trace.listing(function)


def windows(trace: Trace, length: int = LENGTH) -> list[tuple[int, int]]:
    """(first, last) of the stretches that make up the trace; at least one."""
    total = len(trace.steps)
    return [(first, min(first + length, total)) for first in range(0, total, length)] or [(0, 0)]
