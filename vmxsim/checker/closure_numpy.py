"""The same search a layer at a time, on arrays of packed states."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from vmxsim.checker.closure import Closure, Search
from vmxsim.checker.control import Control
from vmxsim.checker.data import breach_table
from vmxsim.checker.footprints import IDENTITY, Effect
from vmxsim.checker.sorted_set import Numbers, SortedSet, edges_of
from vmxsim.checker.state import ALL_SLOTS, CONSTANT_BITS, CONSTANTS, DATA_MASK, unpack
from vmxsim.checker.values import BITS, RESET

Array = NDArray[np.uint64]

SEVEN, THREE = np.uint64(7), np.uint64(BITS)


def closure(control: Control, search: Search) -> Closure:
    """See :func:`vmxsim.checker.closure.closure`."""
    table = Table(control, search.effects)
    start = [(number << CONSTANTS) | data for number, data in search.initial]
    layer = np.unique(np.array(start, np.uint64))
    seen = SortedSet(layer)
    taken = np.zeros(len(control.edges), bool)
    found = Closure(control, [layer], 0, 0, taken)
    count = len(layer)
    while len(layer):
        went = table.from_states(layer)
        taken[went.edge] = True
        found.transitions += len(went.edge)
        found.broken |= int(np.bitwise_or.reduce(went.broken, initial=0))
        layer = seen.add(went.reached(search.ignore))
        if len(layer):
            found.layers.append(layer)
            count += len(layer)
        if search.ends(found, count, len(layer)):
            break
    return found


@frozen(eq=False)
class Transitions:
    """Transitions from many states: position of the state each starts from, number of its
    edge in the control table, state it leads to, bits of what it breaks, whether it fails."""

    source: Numbers
    edge: Numbers
    target: Array
    broken: NDArray[np.uint8]
    fails: NDArray[np.bool_]

    def reached(self, ignore: int) -> Array:
        """The states that a search goes on from."""
        return self.target[~self.fails & (self.broken & np.uint8(0xFF & ~ignore) == 0)]


class Table:
    """The control table as arrays."""

    def __init__(self, control: Control, effects: list[Effect]) -> None:
        edges = control.edges
        self.first = np.array(control.first, np.int32)
        self.target = np.array([edge.target for edge in edges], np.int64)
        self.effect = np.array([edge.effect for edge in edges], np.int64)
        self.mask = np.array([edge.leaf.mask for edge in edges], np.uint64)
        self.bits = np.array([edge.leaf.bits for edge in edges], np.uint64)
        self.looks = bool(self.mask.any())
        self.moves = np.array([effect.moves for effect in effects], np.uint64)
        self.moves_any = np.array([effect.moves != IDENTITY for effect in effects])
        self.active = moving_slots(control, effects)
        self.kept = np.uint64(DATA_MASK & ~sum(7 << (BITS * slot) for slot in self.active))
        self.to = np.array([BITS * slot for slot in self.active], np.uint64)
        self.moves = self.moves[:, self.active]
        self._take_checks(control, effects)

    def _take_checks(self, control: Control, effects: list[Effect]) -> None:
        """The n-th check of every effect side by side: where the values come from, and where
        in one long table it says what they break. Where there is none it breaks nothing."""
        breach = breach_table(control.values)
        places = {kind: n * 64 for n, kind in enumerate(breach)}
        nothing = 64 * len(breach)
        self.breach = np.array([code for codes in breach.values() for code in codes] + [0] * 64, np.uint8)
        self.always = np.array([effect.broken for effect in effects], np.uint8)
        most = max((len(effect.checks) for effect in effects), default=0)
        rows = [
            [(found, right, places[kind]) for kind, found, right in effect.checks]
            + [(0, 0, nothing)] * (most - len(effect.checks))
            for effect in effects
        ]
        self.checks = np.array(rows, np.uint64).reshape(len(effects), most, 3)
        self.checked = np.array([bool(effect.checks or effect.broken) for effect in effects])

    def from_states(self, states: Array) -> Transitions:
        """All transitions from ``states``."""
        edge, source = edges_of(self.first, (states >> np.uint64(CONSTANTS)).astype(np.int32))
        data = (states & np.uint64(DATA_MASK))[source]
        if self.looks:
            fits = (data & self.mask[edge]) == self.bits[edge]
            edge, source, data = edge[fits], source[fits], data[fits]
        effect = self.effect[edge]
        broken = self._broken(effect, data)
        to = self.target[edge]
        target = (to.astype(np.uint64) << np.uint64(CONSTANTS)) | self._moved(effect, data)
        return Transitions(source, edge, target, broken, to < 0)

    def _broken(self, effect: NDArray[np.int64], data: Array) -> NDArray[np.uint8]:
        broken = self.always[effect]
        at = np.flatnonzero(self.checked[effect])
        if len(at):
            full = (data[at] | np.uint64(CONSTANT_BITS))[:, None]
            checks = self.checks[effect[at]]
            pair = (full >> checks[:, :, 0] & SEVEN) | (full >> checks[:, :, 1] & SEVEN) << THREE
            broken[at] |= np.bitwise_or.reduce(self.breach[pair + checks[:, :, 2]], axis=1)
        return broken

    def _moved(self, effect: NDArray[np.int64], data: Array) -> Array:
        at = np.flatnonzero(self.moves_any[effect])
        full, moves = data[at] | np.uint64(CONSTANT_BITS), self.moves[effect[at]]
        values = (full[:, None] >> moves & SEVEN) << self.to
        data[at] = full & self.kept | np.bitwise_or.reduce(values, axis=1)
        return data


def moving_slots(control: Control, effects: list[Effect]) -> list[int]:
    """The slots whose value can change: not those that nothing but their first value comes to."""
    reset = CONSTANTS + BITS * RESET
    starts = [unpack(data) for _, data in (*control.initial, *control.initial_waiting)]
    found = []
    for slot in range(ALL_SLOTS):
        sources = {effect.moves[slot] for effect in effects} - {IDENTITY[slot]}
        if sources and (sources != {reset} or any(start[slot] != RESET for start in starts)):
            found.append(slot)
    return found
