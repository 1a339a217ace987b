"""Kernel code that comes back to where it was, with nobody else acting: it never ends.

Where no value decides, a loop shows in the control table, and the transition that closes it
fails. Where a design looks at a value, the table shows only that a loop is possible
(*suspects*); whether it ends is found by following the states themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmxsim.checker.choices import STEP
from vmxsim.checker.data import Doer, transitions
from vmxsim.checker.state import CONSTANTS
from vmxsim.errors import SimulationError

if TYPE_CHECKING:
    from vmxsim.checker.control import Control, Edge

_WORDS = "comes back to where it was: the design loops for ever"


def refuse_loops(control: Control) -> None:
    """Make the transitions fail that close a loop whatever the values."""
    steps = (e for e in control.edges if e.leaf.choice is STEP and not e.leaf.mask and e.target >= 0)
    after = {edge.source: edge for edge in steps}
    done: set[int] = set()
    for start in after:
        path: dict[int, Edge] = {}
        at = start
        while at in after and at not in done and at not in path:
            path[at] = after[at]
            at = after[at].target
        if at in path:
            last = path[list(path)[-1]]
            control.fail(last, SimulationError(_WORDS, control.function_of(last.source)))
        done.update(path)


def suspects(control: Control) -> frozenset[int]:
    """Control states from which kernel code may loop, as far as the table tells. None where no
    design looks at a value."""
    steps = [e for e in control.edges if e.leaf.choice is STEP and e.target >= 0]
    if not any(edge.leaf.mask for edge in steps):
        return frozenset()
    into: dict[int, list[int]] = {}
    out: dict[int, int] = {}
    for edge in steps:
        into.setdefault(edge.target, []).append(edge.source)
        out[edge.source] = out.get(edge.source, 0) + 1
    ends = [number for number in into if number not in out]
    while ends:  # what only leads to an end ends
        for source in into.get(ends.pop(), ()):
            out[source] -= 1
            if not out[source]:
                ends.append(source)
    return frozenset(number for number, left in out.items() if left)


def endless(control: Control, doers: list[Doer], state: int) -> Edge | None:
    """The transition, marked as failed, from which a state's kernel code comes back to the state
    itself; None if it does not."""
    at, first, seen = state, None, set()
    while at >> CONSTANTS in control.suspects and at not in seen:
        seen.add(at)
        steps = (t for t in transitions(control, doers, at) if t[0].leaf.choice is STEP)
        edge, to, _ = next(steps, (None, -1, 0))
        if edge is None or to < 0:
            return None
        first, at = first or edge, to
    if at != state or first is None or at not in seen:
        return None
    error = SimulationError(_WORDS, control.function_of(state >> CONSTANTS))
    return evolve(first, target=-1, leaf=evolve(first.leaf, error=error))
