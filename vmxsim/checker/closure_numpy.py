"""The same search a layer at a time, on arrays of packed states."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmxsim.checker.closure import Closure, CutShort, Watch
from vmxsim.checker.control import Control
from vmxsim.checker.data import breach_table
from vmxsim.checker.footprints import IDENTITY
from vmxsim.checker.sorted_set import SortedSet, edges_of
from vmxsim.checker.state import ALL_SLOTS, CONSTANT_BITS, CONSTANTS, DATA_MASK
from vmxsim.checker.values import BITS

Array = NDArray[np.uint64]


def closure(control: Control, ignore: int, watch: Watch | None) -> Closure:
    """See :func:`vmxsim.checker.closure.closure`."""
    table = _Table(control)
    layer = np.unique(np.array([(number << CONSTANTS) | data for number, data in control.initial], np.uint64))
    seen = SortedSet(layer)
    taken = np.zeros(len(control.edges), bool)
    found = Closure(control, [layer], 0, 0, taken)
    count = len(layer)
    while len(layer):
        candidates, broken, transitions = table.successors(layer, taken, ignore)
        found.transitions += transitions
        found.broken |= broken
        layer = seen.add(candidates)
        if len(layer):
            found.layers.append(layer)
            count += len(layer)
        if watch:
            try:
                watch(count, len(layer))
            except CutShort as cut:
                found.cut = str(cut)
                break
    return found


class _Table:
    """The control table as arrays."""

    def __init__(self, control: Control) -> None:
        edges, effects = control.edges, control.effects
        self.first = np.array(control.first, np.int64)
        self.target = np.array([edge.target for edge in edges], np.int64)
        self.effect = np.array([edge.effect for edge in edges], np.int64)
        self.mask = np.array([edge.leaf.mask for edge in edges], np.uint64)
        self.bits = np.array([edge.leaf.bits for edge in edges], np.uint64)
        self.looks = bool(self.mask.any())
        self.moves = np.array([effect.moves for effect in effects], np.uint64)
        self.moves_any = np.array([effect.moves != IDENTITY for effect in effects])
        breach = breach_table(control.values)
        self.breach = {kind: np.array(codes, np.uint8) for kind, codes in breach.items()}
        self.always = np.array([effect.broken for effect in effects], np.uint8)
        self.checks = [
            (kind, np.uint64(found), np.uint64(right), number)
            for number, effect in enumerate(effects)
            for kind, found, right in effect.checks
        ]
        self.checked = np.array([bool(effect.checks or effect.broken) for effect in effects])

    def successors(self, layer: Array, taken: NDArray[np.bool_], ignore: int) -> tuple[Array, int, int]:
        """The states one transition away, what was broken on the way, how many transitions."""
        edge, source = edges_of(self.first, (layer >> np.uint64(CONSTANTS)).astype(np.int64))
        data = (layer & np.uint64(DATA_MASK))[source]
        if self.looks:
            fits = (data & self.mask[edge]) == self.bits[edge]
            edge, data = edge[fits], data[fits]
        taken[edge] = True
        transitions = len(edge)
        effect = self.effect[edge]
        broken = self._broken(effect, data)
        on = (self.target[edge] >= 0) & (broken & np.uint8(0xFF & ~ignore) == 0)
        after = self._moved(effect[on], data[on])
        states = (self.target[edge[on]].astype(np.uint64) << np.uint64(CONSTANTS)) | after
        return states, int(np.bitwise_or.reduce(broken, initial=0)), transitions

    def _broken(self, effect: NDArray[np.int64], data: Array) -> NDArray[np.uint8]:
        broken = self.always[effect]
        at = np.flatnonzero(self.checked[effect])
        if len(at):
            full, mine = data[at] | np.uint64(CONSTANT_BITS), effect[at]
            seven, three = np.uint64(7), np.uint64(BITS)
            present = set(np.unique(mine).tolist())
            for kind, found, right, number in self.checks:
                if number in present:
                    these = np.flatnonzero(mine == number)
                    some = full[these]
                    pair = (some >> found & seven) | (some >> right & seven) << three
                    broken[at[these]] |= self.breach[kind][pair]
        return broken

    def _moved(self, effect: NDArray[np.int64], data: Array) -> Array:
        at = np.flatnonzero(self.moves_any[effect])
        full, moves = data[at] | np.uint64(CONSTANT_BITS), self.moves[effect[at]]
        after = np.zeros_like(full)
        for slot in range(ALL_SLOTS):
            after |= (full >> moves[:, slot] & np.uint64(7)) << np.uint64(BITS * slot)
        data[at] = after
        return data
