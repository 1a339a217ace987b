"""All states that one thread can reach, computed with numpy if it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from vmxsim.checker.cut import Cut, Watch, until_cut
from vmxsim.checker.footprints import BROKEN, IDENTITY, LEFT, Effect
from vmxsim.checker.states import (
    ALL_SLOTS,
    BITS,
    CONSTANT_BITS,
    CONSTANTS,
    DATA_MASK,
    RESET,
    exchange_hosts,
    unpack,
)
from vmxsim.checker.transition_table import (
    Numbered,
    TransitionTable,
    as_the_host_sees,
    breach_table,
    data_as_the_host_sees,
    endless,
    make_doers,
)

try:
    import numpy as np
except ModuleNotFoundError:  # the plain Python search is used instead
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Bits = NDArray[np.uint8]
    Flags = NDArray[np.bool_]


class SortedSet:
    """A growing set of states: a few sorted arrays, each at least twice as long as the next.
    An element is thus merged a logarithmic number of times."""

    def __init__(self, first: Any) -> None:
        self.runs = [first]

    def add(self, candidates: Any) -> Any:
        """Add ``candidates`` and return the new ones, sorted and without duplicates."""
        new = np.sort(candidates)
        if len(new):
            new = new[np.concatenate(([True], new[1:] != new[:-1]))]
        for run in self.runs:
            if not len(new):
                return new
            at = np.searchsorted(run, new)
            at[at == len(run)] = 0
            new = new[run[at] != new]
        if len(new):
            self.runs.append(new)
        while len(self.runs) > 1 and len(self.runs[-2]) < 2 * len(self.runs[-1]):
            last = self.runs.pop()
            merged = np.concatenate((self.runs.pop(), last))
            merged.sort(kind="stable")
            self.runs.append(merged)
        return new


def edges_of(first: Any, nodes: Any) -> tuple[Any, Any]:
    """All edges of ``nodes``, and for each the position of its node in ``nodes``. The edges of
    node n are first[n] to first[n + 1]."""
    start = first[nodes]
    count = first[nodes + 1] - start
    source = np.repeat(np.arange(len(nodes), dtype=np.int32), count)
    ends = np.cumsum(count, dtype=np.int32)
    return np.arange(len(source), dtype=np.int32) + np.repeat(start - ends + count, count), source


@define(eq=False)
class ReachableStates:
    """What a search of one thread's states found.

    ``layers`` holds packed states by distance from the start. ``transitions`` counts those
    taken, ``broken`` has the bits of all breaches met, ``taken`` a flag for each edge of the
    table. ``cut`` says why an incomplete search ended; ``decided``: it ended because there was
    nothing left to find. ``left``: a context switch may find another value than the thread's own in the
    register.
    """

    table: TransitionTable
    layers: list[Any]
    transitions: int
    broken: int
    taken: Any
    cut: Cut | None = None
    decided: bool = False
    left: bool = False

    @property
    def states(self) -> int:
        """How many states were found."""
        return sum(map(len, self.layers))


@frozen
class Search:
    """How to search: see :func:`reachable`. ``effects`` are those of the table, possibly reduced."""

    ignore: int
    until: int
    first: int
    effects: list[Effect]
    initial: list[tuple[int, int]]
    watch: Watch | None

    def ends(self, found: ReachableStates, count: int, layer: int) -> bool:
        """Whether the search ends after this layer, with nothing left to find. Raises CutShort."""
        if (self.until and found.broken & self.until == self.until) or found.broken & self.first:
            found.decided = True
        elif self.watch:
            self.watch(count, layer)
        return found.decided


def reachable(
    table: TransitionTable,
    *,
    ignore: int = 0,
    until: int = 0,
    first: int = 0,
    ghosts: bool = True,
    waiting: bool = False,
    watch: Watch | None = None,
    plain: bool = False,
) -> ReachableStates:
    """Every state that a thread can reach without continuing past a broken invariant.

    Breaches in ``ignore`` (bits of BROKEN) do not end a path. The search ends early once all
    breaches in ``until`` are met, or one in ``first``. Without ``ghosts`` it follows only what
    matters for the host's value. ``waiting``: the thread starts without a CPU. ``plain``
    avoids numpy.
    """
    effects: list[Effect] = table.effects
    initial = table.initial_waiting if waiting else table.initial
    if not ghosts:
        looks = any(edge.leaf.mask for edge in table.edges)
        effects = [as_the_host_sees(effect, looks) for effect in effects]
        initial = [(number, data_as_the_host_sees(data, looks)) for number, data in initial]
    search = Search(ignore | LEFT, until, first, effects, initial, watch)
    engine = _in_plain_python if plain or np is None else _with_numpy
    found = engine(table, search)
    found.left, found.broken = bool(found.broken & LEFT), found.broken & ~LEFT
    if table.suspects and _loops(found):
        found.broken |= BROKEN["contract"]
    return found


def _loops(found: ReachableStates) -> bool:
    """Whether kernel code loops forever from a state that was found."""
    table = found.table
    states = (int(state) for layer in found.layers for state in layer)
    return any(state >> CONSTANTS in table.suspects and endless(table, state) is not None for state in states)


def _in_plain_python(table: TransitionTable, search: Search) -> ReachableStates:
    doers = [doer.done for doer in make_doers(table.values, search.effects)]
    rows = [
        [
            (n, e.leaf.mask, e.leaf.bits, doers[e.effect], e.target << CONSTANTS if e.target >= 0 else -1)
            for n, e in enumerate(table.edges[first:last], first)
        ]
        for first, last in zip(table.first, table.first[1:], strict=False)
    ]
    layer = list({(number << CONSTANTS) | data for number, data in search.initial})
    taken = bytearray(len(table.edges))
    found = ReachableStates(table, [layer], 0, 0, taken)
    seen = set(layer)
    with until_cut(found, search.watch):
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


def _with_numpy(table: TransitionTable, search: Search) -> ReachableStates:
    arrays = Arrays(table, search.effects)
    layer = np.unique(arrays.states(search.initial))
    seen = SortedSet(layer)
    taken = np.zeros(len(table.edges), bool)
    found = ReachableStates(table, [arrays.packed(layer)], 0, 0, taken)
    count = len(layer)
    with until_cut(found, search.watch):
        while len(layer):
            edge, _, broken, target, goes = arrays.follow(layer, search.ignore)
            taken[edge] = True
            found.transitions += len(edge)
            found.broken |= int(np.bitwise_or.reduce(broken, initial=0))
            layer = seen.add(target[goes])
            if len(layer):
                found.layers.append(arrays.packed(layer))
                count += len(layer)
            if search.ends(found, count, len(layer)):
                break
    return found


#: In the arrays a state is control << _CONTROL | the number of its data.
_CONTROL = 32
_NUMBER = (1 << _CONTROL) - 1


class Arrays:
    """A transition table as arrays."""

    def __init__(self, table: TransitionTable, effects: list[Effect]) -> None:
        edges = table.edges
        self.first = np.array(table.first, np.int32)
        self.target = np.array([edge.target << _CONTROL for edge in edges], np.int64)
        self.effect = np.array([edge.effect for edge in edges], np.int64)
        self.mask = np.array([edge.leaf.mask for edge in edges], np.uint64)
        self.bits = np.array([edge.leaf.bits for edge in edges], np.uint64)
        self.looks = bool(self.mask.any())
        self.effects = _Effects(table, effects)

    def states(self, packed: list[tuple[int, int]]) -> Numbers:
        """Pairs of control state and data as states."""
        controls, data = (np.array(one, np.uint64) for one in zip(*packed, strict=True))
        return self.numbered(controls, data)

    def numbered(self, controls: Array, data: Array) -> Numbers:
        """Control states and the data of each as states."""
        different, which = np.unique(data, return_inverse=True)
        return controls.astype(np.int64) << _CONTROL | self.effects.number(different.tolist())[which]

    def control(self, states: Numbers) -> Numbers:
        """The control state of each state."""
        return states >> _CONTROL

    def packed(self, states: Numbers) -> Array:
        """States as the table packs them."""
        control = (states >> _CONTROL).astype(np.uint64)
        return control << np.uint64(CONSTANTS) | self.effects.data[states & _NUMBER]

    def follow(self, states: Numbers, ignore: int) -> tuple[Numbers, Numbers, Bits, Numbers, Flags]:
        """All transitions from ``states``: their edges, the positions of their sources in ``states``, the
        bits that each breaks, their targets, and which of them do not fail and break nothing but ``ignore``.
        """
        edge, source = edges_of(self.first, states >> _CONTROL)
        number = (states & _NUMBER)[source]
        if self.looks:
            fits = (self.effects.data[number] & self.mask[edge]) == self.bits[edge]
            edge, source, number = edge[fits], source[fits], number[fits]
        after, broken = self.effects.do(self.effect[edge], number)
        target = self.target[edge]
        goes = (broken & np.uint8(0xFF & ~ignore) == 0) & (target >= 0)
        return edge, source, broken, target | after, goes


class _Effects:
    """What a table's effects do to data. Few data occur, in many control states each: they are numbered, and
    what an effect does to them is computed once."""

    #: Effects times data beyond which it is computed each time, to save memory.
    MOST = 1 << 26

    def __init__(self, table: TransitionTable, effects: list[Effect]) -> None:
        #: Data by number; longer than needed.
        self.data = np.zeros(256, np.uint64)
        self._numbers: Numbered[int] = Numbered()
        #: By effect and data: the number of the data afterward (-1: not computed yet), and the broken bits.
        self._after = np.full((len(effects), len(self.data)), -1, np.int32)
        self._broken = np.zeros(self._after.shape, np.uint8)
        active = moving_slots(table, effects)
        self._kept = np.uint64(DATA_MASK & ~sum(7 << (BITS * slot) for slot in active))
        self._to = np.array([BITS * slot for slot in active], np.uint64)
        self._moves = np.array([effect.moves for effect in effects], np.uint64)[:, active]
        self._exchanges = np.array([effect.exchanges_hosts for effect in effects])
        self._take_checks(table, effects)

    def _take_checks(self, table: TransitionTable, effects: list[Effect]) -> None:
        """The n-th checks of all effects side by side: where the two values come from, and the
        start of the check's part of one long breach table. Missing checks break nothing."""
        breach = breach_table(table.values)
        places = {kind: n * 64 for n, kind in enumerate(breach)}
        nothing = 64 * len(breach)
        self._breach = np.array([code for codes in breach.values() for code in codes] + [0] * 64, np.uint8)
        self._always = np.array([effect.broken for effect in effects], np.uint8)
        most = max((len(effect.checks) for effect in effects), default=0)
        rows = [
            [(found, right, places[kind]) for kind, found, right in effect.checks]
            + [(0, 0, nothing)] * (most - len(effect.checks))
            for effect in effects
        ]
        self._checks = np.array(rows, np.uint64).reshape(len(effects), most, 3)

    def number(self, data: list[int]) -> Numbers:
        """The numbers of data; what is new gets one."""
        known = len(self._numbers)
        numbers = np.array([self._numbers.number(one) for one in data], np.int64)
        while len(self.data) < len(self._numbers):
            self.data = np.concatenate((self.data, np.zeros_like(self.data)))
        self.data[known : len(self._numbers)] = self._numbers[known:]
        return numbers

    def do(self, effect: Numbers, number: Numbers) -> tuple[Numbers, Bits]:
        """The numbers of data after effects, and the bits of the broken invariants."""
        if self._after.size > self.MOST:
            return self._compute(effect, number)
        self._widen()
        at = effect * self._after.shape[1] + number
        after = self._after.ravel()[at]
        if (new := after < 0).any():
            self._learn(*np.divmod(np.unique(at[new]), self._after.shape[1]))
            return self.do(effect, number)
        return after, self._broken.ravel()[at]

    def _learn(self, effect: Numbers, number: Numbers) -> None:
        after, broken = self._compute(effect, number)
        self._widen()
        self._after[effect, number], self._broken[effect, number] = after, broken

    def _widen(self) -> None:
        """Make room for what effects do to new data."""
        if more := len(self.data) - self._after.shape[1]:
            self._after = np.pad(self._after, ((0, 0), (0, more)), constant_values=-1)
            self._broken = np.pad(self._broken, ((0, 0), (0, more)))

    def _compute(self, effect: Numbers, number: Numbers) -> tuple[Numbers, Bits]:
        data = self.data[number]
        exchanged = np.flatnonzero(self._exchanges[effect])
        data[exchanged] = exchange_hosts(data[exchanged])
        full, seven = (data | np.uint64(CONSTANT_BITS))[:, None], np.uint64(7)
        found, right, place = (self._checks[effect, :, n] for n in range(3))
        pair = (full >> found & seven) | (full >> right & seven) << np.uint64(BITS)
        broken = self._always[effect] | np.bitwise_or.reduce(self._breach[pair + place], axis=1)
        values = (full >> self._moves[effect] & seven) << self._to
        data = data & self._kept | np.bitwise_or.reduce(values, axis=1)
        return self.number(data.tolist()), broken


def moving_slots(table: TransitionTable, effects: list[Effect]) -> list[int]:
    """The slots whose value can change."""
    reset = CONSTANTS + BITS * RESET
    starts = [unpack(data) for _, data in (*table.initial, *table.initial_waiting)]
    found = []
    for slot in range(ALL_SLOTS):
        sources = {effect.moves[slot] for effect in effects} - {IDENTITY[slot]}
        if sources and (sources != {reset} or any(start[slot] != RESET for start in starts)):
            found.append(slot)
    return found
