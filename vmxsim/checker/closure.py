"""All states that one thread can reach: with numpy where it is installed, else without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define

from vmxsim.checker.control import Control
from vmxsim.checker.data import make_doers
from vmxsim.checker.state import CONSTANTS, DATA_MASK

#: Called now and then with (states found, states of the last layer); may raise to end the search.
Watch = Callable[[int, int], None]


class CutShort(Exception):  # noqa: N818 (an end, not an error)
    """A search was ended by one of its limits. ``str()`` says which."""


@define(eq=False)
class Closure:
    """What a search of one thread's states found.

    ``layers`` are packed states by distance from the start. ``transitions`` counts those
    taken, ``broken`` has the bits of every breach met, ``taken`` says of each edge of the
    control table whether it was taken with any data. ``cut`` says why the search ended
    before it was complete, '' if it was.
    """

    control: Control
    layers: list[Any]
    transitions: int
    broken: int
    taken: Sequence[bool]
    cut: str = ""

    @property
    def states(self) -> int:
        """How many states were found."""
        return sum(map(len, self.layers))


def closure(
    control: Control, *, ignore: int = 0, watch: Watch | None = None, plain: bool = False
) -> Closure:
    """Every state that a thread can reach without going on behind a broken invariant.

    Breaches in ``ignore`` (bits of BROKEN) do not end a path. ``plain`` keeps to plain Python.
    """
    if not plain:
        try:
            from vmxsim.checker.closure_numpy import closure as with_numpy
        except ModuleNotFoundError:
            pass
        else:
            return with_numpy(control, ignore, watch)
    return _in_plain_python(control, ignore, watch)


def _in_plain_python(control: Control, ignore: int, watch: Watch | None) -> Closure:
    doers = [doer.done for doer in make_doers(control)]
    rows = [
        [
            (n, e.leaf.mask, e.leaf.bits, doers[e.effect], e.target << CONSTANTS if e.target >= 0 else -1)
            for n, e in enumerate(control.edges[first:last], first)
        ]
        for first, last in zip(control.first, control.first[1:], strict=False)
    ]
    layer = list({(number << CONSTANTS) | data for number, data in control.initial})
    found = Closure(control, [layer], 0, 0, bytearray(len(control.edges)))
    seen, taken = set(layer), found.taken
    count = len(layer)
    assert isinstance(taken, bytearray)
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
                    if broken & ~ignore:
                        continue
                if target >= 0 and (to := target | after) not in seen:
                    seen.add(to)
                    following.append(to)
        layer = following
        if layer:
            found.layers.append(layer)
            count += len(layer)
        if watch:
            try:
                watch(count, len(layer))
            except CutShort as cut:
                found.cut = str(cut)
                break
    return found
