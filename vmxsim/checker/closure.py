"""All states that one thread can reach: with numpy where it is installed, else without."""

from __future__ import annotations

from typing import Any

from attrs import define, frozen

from vmxsim.checker.control import Control, Watch, why_cut
from vmxsim.checker.data import as_the_host_sees, data_as_the_host_sees, make_doers
from vmxsim.checker.footprints import BROKEN, Effect
from vmxsim.checker.loops import endless
from vmxsim.checker.state import CONSTANTS, DATA_MASK


@define(eq=False)
class Closure:
    """What a search of one thread's states found.

    ``layers`` are packed states by distance from the start. ``transitions`` counts those
    taken, ``broken`` has the bits of every breach met, ``taken`` says of each edge of the
    control table whether it was taken with any data. ``cut`` says why the search ended
    before it was complete, '' if it was; ``decided`` whether it ended because nothing was
    left to find.
    """

    control: Control
    layers: list[Any]
    transitions: int
    broken: int
    taken: Any
    cut: str = ""
    decided: bool = False

    @property
    def states(self) -> int:
        """How many states were found."""
        return sum(map(len, self.layers))


@frozen
class Search:
    """How a closure is searched: breaches in ``ignore`` (bits of BROKEN) do not end a path;
    with all of ``until`` met, or one of ``first``, it ends. ``effects`` are those of the control table."""

    ignore: int
    until: int
    first: int
    effects: list[Effect]
    initial: list[tuple[int, int]]
    watch: Watch | None

    def ends(self, found: Closure, count: int, layer: int) -> bool:
        """Whether the search ends after a layer; ``found`` then says why."""
        if (self.until and found.broken & self.until == self.until) or found.broken & self.first:
            found.decided = True
        else:
            found.cut = why_cut(self.watch, count, layer)
        return found.decided or bool(found.cut)


def closure(
    control: Control,
    *,
    ignore: int = 0,
    until: int = 0,
    first: int = 0,
    ghosts: bool = True,
    waiting: bool = False,
    watch: Watch | None = None,
    plain: bool = False,
) -> Closure:
    """Every state that a thread can reach without going on behind a broken invariant.

    Breaches in ``ignore`` (bits of BROKEN) do not end a path; the search ends early when
    every breach in ``until`` was met, or one in ``first``. Without ``ghosts`` only what the host
    finds is looked at: the guest's true values are left out, and its values are one.
    ``waiting``: the thread starts without a CPU. ``plain`` keeps to plain Python.
    """
    effects, initial = control.effects, control.initial_waiting if waiting else control.initial
    if not ghosts:
        looks = any(edge.leaf.mask for edge in control.edges)
        effects = [as_the_host_sees(effect, looks) for effect in effects]
        initial = [(number, data_as_the_host_sees(data, looks)) for number, data in initial]
    search = Search(ignore, until, first, effects, initial, watch)
    found = _with_numpy(control, search) if not plain else None
    if found is None:
        found = _in_plain_python(control, search)
    if control.suspects and _loops(found):
        found.broken |= BROKEN["contract"]
    return found


def _with_numpy(control: Control, search: Search) -> Closure | None:
    try:
        from vmxsim.checker.closure_numpy import closure as with_numpy
    except ModuleNotFoundError:
        return None
    return with_numpy(control, search)


def _loops(found: Closure) -> bool:
    """Whether kernel code loops for ever from a state that was found."""
    control = found.control
    doers = make_doers(control.values, control.effects)
    states = (int(state) for layer in found.layers for state in layer)
    return any(
        state >> CONSTANTS in control.suspects and endless(control, doers, state) is not None
        for state in states
    )


def _in_plain_python(control: Control, search: Search) -> Closure:
    doers = [doer.done for doer in make_doers(control.values, search.effects)]
    rows = [
        [
            (n, e.leaf.mask, e.leaf.bits, doers[e.effect], e.target << CONSTANTS if e.target >= 0 else -1)
            for n, e in enumerate(control.edges[first:last], first)
        ]
        for first, last in zip(control.first, control.first[1:], strict=False)
    ]
    layer = list({(number << CONSTANTS) | data for number, data in search.initial})
    taken = bytearray(len(control.edges))
    found = Closure(control, [layer], 0, 0, taken)
    seen = set(layer)
    while layer:
        following = []
        for state in layer:
            data = state & DATA_MASK
            for n, mask, bits, do, target in rows[state >> CONSTANTS]:
                if data & mask != bits:
                    continue
                after, broken = do(data)
                found.transitions += 1
                taken[n] = 1
                if broken:
                    found.broken |= broken
                    if broken & ~search.ignore:
                        continue
                if target >= 0 and (to := target | after) not in seen:
                    seen.add(to)
                    following.append(to)
        layer = following
        if layer:
            found.layers.append(layer)
        if search.ends(found, len(seen), len(layer)):
            break
    return found
