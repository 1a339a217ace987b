"""One scenario on one design, or on two with the ticks at the same points of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmxsim.alignment import align
from vmxsim.kernel.kvm import Kvm
from vmxsim.runtrace import RunTrace
from vmxsim.simulation import run

Pairs = list[tuple[int, int]]


def run_together(
    scenario: Any, designs: Sequence[str | type[Kvm]], ticks: Sequence[tuple[int, int]] = (), **options: Any
) -> tuple[list[RunTrace], Pairs]:
    """Run ``scenario`` on each of one or two designs.

    ``ticks`` are (step of the first design's run, CPU), in order. Two designs take
    different numbers of steps, so a tick reaches the second one at the step that stands
    beside it once all earlier ticks have come. Pairs are empty for one design. Raises what
    ``run`` raises.
    """
    if len(designs) == 1:
        return [run(scenario, designs[0], ticks=ticks, **options)], []
    mine: list[list[tuple[int, int]]] = [[], []]
    traces, pairs = _both(scenario, designs, mine, options)
    for step, cpu in ticks:
        beside = next((pair for pair in pairs if pair[0] >= step), pairs[-1])
        for ticks_of, at in zip(mine, beside, strict=True):
            ticks_of.append((max(1, at), cpu))
        traces, pairs = _both(scenario, designs, mine, options)
    return traces, pairs


def _both(
    scenario: Any, designs: Sequence[Any], ticks: Sequence[Any], options: Any
) -> tuple[list[RunTrace], Pairs]:
    a, b = (run(scenario, design, ticks=mine, **options) for design, mine in zip(designs, ticks, strict=True))
    return [a, b], align(a, b)


def operation_start(trace: RunTrace, preparation: int, focus: Sequence[str] = ()) -> int:
    """The scene at which the view starts: all ``preparation`` actions done and, if one of
    the functions in ``focus`` is reached after them, about to run it."""
    last = len(trace.steps)
    start = next((s.index for s in trace.steps if s.action >= preparation), last)
    return next((s.index for s in trace.steps[start:] if s.function in focus), start)
