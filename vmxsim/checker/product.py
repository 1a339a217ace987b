"""Every interleaving of two threads' transitions.

A state is a pair of states of the threads' graphs. All that the threads share is the CPUs:
a thread cannot be switched in where the other one runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from vmxsim.checker.cut import Cut, Watch, until_cut
from vmxsim.checker.reach import ReachableStates, SortedSet, edges_of
from vmxsim.checker.states import CONSTANTS

try:
    import numpy as np
except ModuleNotFoundError:  # the plain Python search is used instead
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vmxsim.checker.reach import Numbers


#: Largest product of states for which an array of flags is used (five bytes for each pair).
MOST = 1 << 27


class DenseSet:
    """A growing set of numbers below ``size`` as an array of flags; used like a SortedSet."""

    def __init__(self, first: Numbers, size: int) -> None:
        self._in = np.zeros(size, np.bool_)
        self._first_at: NDArray[np.int32] = np.empty(size, np.int32)
        self._in[first] = True

    def add(self, candidates: Numbers) -> Numbers:
        """Add ``candidates`` and return the new ones, sorted and without duplicates."""
        new = candidates[~self._in[candidates]]
        # of several equal candidates, only the one written last finds its own position
        position = np.arange(len(new), dtype=np.int32)
        self._first_at[new] = position
        new = new[self._first_at[new] == position]
        self._in[new] = True
        new.sort()
        return new


#: A transition that breaks an invariant or fails leads here.
NOWHERE = -1


@frozen
class Counts:
    """States and transitions of one thread on its CPUs."""

    states: int
    transitions: int


def counts(found: ReachableStates, cpus: int, moves: bool) -> Counts:
    """The states and transitions of a single thread on ``cpus`` CPUs.

    If it ``moves``, every state in which it holds a CPU is reachable on each CPU: preemption
    in user space changes nothing else. Only a ``thread.gsbase`` that was never saved is lost with it: such
    states exist on the first CPU alone.
    """
    if not moves or cpus == 1:
        return Counts(found.states, found.transitions)
    waiting = waiting_states(found)
    total = Counts((found.states - waiting) * cpus + waiting, found.transitions * cpus)
    if not found.table.host.starts_unsaved:
        return total
    states, transitions = _before_a_switch(found)
    return Counts(total.states - states * (cpus - 1), total.transitions - transitions * (cpus - 1))


def _before_a_switch(found: ReachableStates) -> tuple[int, int]:
    """The states that are reachable only before the first context switch, and the transitions from them."""
    table = found.table
    states = [int(state) for layer in found.layers for state in layer]
    todo = [s for s in states if table.get(table.states[s >> CONSTANTS], "thread0", "waiting")]
    after = set(todo)
    while todo:
        for _, to, broken in table.successors(todo.pop()):
            if not broken and to >= 0 and to not in after:
                after.add(to)
                todo.append(to)
    before = [state for state in states if state not in after]
    return len(before), sum(1 for state in before for _ in table.successors(state))


def waiting_states(found: ReachableStates) -> int:
    """In how many states the thread waits for a CPU."""
    table = found.table
    waits = [bool(table.get(state, "thread0", "waiting")) for state in table.states]
    if np is None:
        return sum(waits[state >> CONSTANTS] for layer in found.layers for state in layer)
    flags = np.array(waits)
    shift = np.uint64(CONSTANTS)
    return sum(int(flags[(np.asarray(x, np.uint64) >> shift).astype(int)].sum()) for x in found.layers)


@define(eq=False)
class ThreadGraph:
    """One thread's states on its CPUs as a graph.

    ``first`` and ``target`` are the edges, grouped by source; ``cpu`` is the CPU that a state
    holds (the number of CPUs if none); ``broken`` the bits that transitions from a state
    break; ``start`` the initial states, one for each mode.
    """

    first: list[int]
    target: list[int]
    cpu: list[int]
    broken: list[int]
    start: list[int]


def thread_graph(found: ReachableStates, cpus: int, moves: bool, starts_on: int | None) -> ThreadGraph:
    """The graph of a complete search. ``starts_on`` is None for a thread that starts without a CPU."""
    table = found.table
    states = [int(state) for layer in found.layers for state in layer]
    waits = [bool(table.get(state, "thread0", "waiting")) for state in table.states]
    base: dict[int, int] = {}
    cpu: list[int] = []
    for state in states:
        base[state] = len(cpu)
        holds = not waits[state >> CONSTANTS]
        if holds or not moves:
            cpu += range(cpus) if holds else [cpus] * cpus
        else:
            cpu.append(cpus)
    graph = ThreadGraph([0], [], cpu, [], [])
    for state in states:
        going, bits = [], 0
        for edge, to, broken in table.successors(state):
            bits |= broken
            going.append((NOWHERE if broken or to < 0 else to, to >= 0 and not waits[edge.target]))
        here_waits = waits[state >> CONSTANTS]
        for c in range(1 if here_waits and moves else cpus):
            for to, holds in going:
                if to == NOWHERE:
                    graph.target.append(NOWHERE)
                elif here_waits and moves and holds:
                    graph.target += range(base[to], base[to] + cpus)
                else:
                    graph.target.append(base[to] + (c if holds or not moves else 0))
            graph.first.append(len(graph.target))
            graph.broken.append(bits)
    initial = table.initial_waiting if starts_on is None else table.initial
    graph.start = [base[(number << CONSTANTS) | data] + (starts_on or 0) for number, data in initial]
    return graph


@define(eq=False)
class Product:
    """What a search of two threads' states found.

    ``layers`` counts the states at each distance from the start; ``broken`` has the bits of
    all breaches met; ``cut`` says why an incomplete search ended.
    """

    layers: list[int]
    transitions: int
    broken: int
    cut: Cut | None = None

    @property
    def states(self) -> int:
        """How many states were found."""
        return sum(self.layers)


def product(
    a: ThreadGraph, b: ThreadGraph, cpus: int, *, watch: Watch | None = None, plain: bool = False
) -> Product:
    """Every state that two threads can reach together."""
    if plain or np is None:
        return _in_plain_python(a, b, cpus, watch)
    return _with_numpy(a, b, cpus, watch)


def _in_plain_python(a: ThreadGraph, b: ThreadGraph, cpus: int, watch: Watch | None) -> Product:
    width = len(b.cpu)
    rows_a, rows_b = _rows(a, cpus), _rows(b, cpus)
    layer = list({x * width + y for x, y in zip(a.start, b.start, strict=True)})
    # a byte for each pair if that is affordable
    seen: Any = bytearray(len(a.cpu) * width) if len(a.cpu) * width < 1 << 28 else _Seen()
    for state in layer:
        seen[state] = 1
    found = Product([len(layer)], 0, 0)
    count = len(layer)
    with until_cut(found, watch):
        while layer:
            following: list[int] = []
            put = following.append
            transitions = 0
            for state in layer:
                x, y = divmod(state, width)
                row_a, row_b = rows_a[x], rows_b[y]
                for (broken, held, free, going), taken, scale, rest in (
                    (row_a, row_b[1], width, y),
                    (row_b, row_a[1], 1, state - y),
                ):
                    found.broken |= broken
                    transitions += free
                    for to, cpu in going:
                        if cpu != taken or cpu == held:
                            transitions += 1
                            pair = to * scale + rest
                            if not seen[pair]:
                                seen[pair] = 1
                                put(pair)
            found.transitions += transitions
            layer = following
            count += len(layer)
            if layer:
                found.layers.append(len(layer))
            if watch:
                watch(count, len(layer))
    return found


class _Seen(dict[int, int]):
    def __missing__(self, state: int) -> int:
        return 0


def _rows(graph: ThreadGraph, cpus: int) -> list[tuple[int, int, int, list[tuple[int, int]]]]:
    """For each state: what it can break, the CPU that it holds (-1: none), how many transitions
    lead nowhere, and for the others (state, CPU held there; -2: none)."""
    rows = []
    for state, holds in enumerate(graph.cpu):
        targets = graph.target[graph.first[state] : graph.first[state + 1]]
        going = [(to, graph.cpu[to] if graph.cpu[to] < cpus else -2) for to in targets if to != NOWHERE]
        rows.append((graph.broken[state], holds if holds < cpus else -1, len(targets) - len(going), going))
    return rows


#: States of a layer that are followed at a time, to bound the temporary arrays.
BLOCK = 1 << 20


def _with_numpy(a: ThreadGraph, b: ThreadGraph, cpus: int, watch: Watch | None) -> Product:
    height, width = len(a.cpu), len(b.cpu)
    dense = height * width <= MOST
    number = np.dtype(np.int32 if dense else np.uint64)
    left, right = _Graph(a, cpus), _Graph(b, cpus)
    start = np.array([x * width + y for x, y in zip(a.start, b.start, strict=True)], number)
    layer = np.unique(start)
    seen: Any = DenseSet(layer, height * width) if dense else SortedSet(layer)
    found = Product([len(layer)], 0, 0)
    count = len(layer)
    with until_cut(found, watch):
        while len(layer):
            new = []
            for first in range(0, len(layer), BLOCK):
                block = layer[first : first + BLOCK]
                x = (block // number.type(width)).astype(np.int32)
                y = (block - x.astype(number) * number.type(width)).astype(np.int32)
                moved_x, stays_y = left.follow(x, right, y, found)
                moved_y, stays_x = right.follow(y, left, x, found)
                pairs = np.concatenate((moved_x, stays_x)).astype(number)
                pairs *= number.type(width)
                pairs += np.concatenate((stays_y, moved_y)).astype(number)
                new.append(seen.add(pairs))
            layer = np.concatenate(new)
            count += len(layer)
            if len(layer):
                found.layers.append(len(layer))
            if watch:
                watch(count, len(layer))
    return found


class _Graph:
    """A thread's graph as arrays. ``takes`` is the CPU that an edge takes, -1 for none."""

    def __init__(self, graph: ThreadGraph, cpus: int) -> None:
        self.first = np.array(graph.first, np.int32)
        self.target = np.array(graph.target, np.int32)
        self.cpu = np.array(graph.cpu, np.int8)
        self.broken = np.array(graph.broken, np.uint8)
        self.breaks = bool(self.broken.any())
        source = np.repeat(np.arange(len(self.cpu)), np.diff(self.first))
        taken = self.cpu[self.target]
        takes = (self.cpu[source] == cpus) & (self.target != NOWHERE) & (taken != cpus)
        self.takes = np.where(takes, taken, np.int8(-1))

    def follow(self, here: Any, other: _Graph, there: Any, found: Product) -> tuple[Any, Any]:
        """Where this thread can go from ``here`` while the other one stays ``there``."""
        edge, source = edges_of(self.first, here)
        stays = there[source]
        free = self.takes[edge] != other.cpu[stays]
        to, stays = self.target[edge[free]], stays[free]
        found.transitions += len(to)
        if self.breaks:
            found.broken |= int(np.bitwise_or.reduce(self.broken[here]))
            on = to != NOWHERE
            to, stays = to[on], stays[on]
        return to, stays
