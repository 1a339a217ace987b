"""How far each state of one thread is from where the thread starts, and what it can do there."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, frozen

from vmxsim.checker.cut import Watch
from vmxsim.checker.footprints import LEFT
from vmxsim.checker.reach import Arrays, ReachableStates, edges_of
from vmxsim.checker.states import CONSTANTS, DATA_MASK
from vmxsim.checker.transition_table import State, TransitionTable

try:
    import numpy as np
except ModuleNotFoundError:  # the plain Python search is used instead
    np = None  # type: ignore[assignment]

#: Longer than any path: there is none.
FAR = 1 << 40


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


#: What is told of a state besides: the thread has no CPU; guest state is loaded; the guest runs.
WAITS, LOADED, IN_GUEST = 1, 2, 4


@define(eq=False)
class Graph:
    """One thread's states as a graph.

    The edges that go on, grouped by source: those of state n lead to ``target`` from ``first[n]`` to
    ``first[n + 1]``. ``ends`` counts for each state the transitions that break an invariant or fail;
    ``marks`` has some of WAITS, LOADED, IN_GUEST. ``start`` has the initial states, one for each mode. All of
    it in arrays where numpy is installed, else in lists.
    """

    first: Any
    target: Any
    ends: Any
    marks: Any
    start: list[int]


def graph_of(found: ReachableStates, waiting: bool = False) -> Graph:
    """The graph of a complete search that went past no breach. ``waiting``: of a thread that starts without a
    CPU."""
    table = found.table
    initial = table.initial_waiting if waiting else table.initial
    start = [(number << CONSTANTS) | data for number, data in initial]
    controls = [_marks(table, state) for state in table.states]
    return (_in_plain_python if np is None else _with_numpy)(found, controls, start)


def _marks(table: TransitionTable, state: State) -> int:
    waits, loaded = table.get(state, "thread0", "waiting"), table.get(state, "vcpu0", "loaded")
    runs = table.get(state, "thread0", "mode") == "guest"
    return WAITS * bool(waits) + LOADED * bool(loaded) + IN_GUEST * runs


def _in_plain_python(found: ReachableStates, controls: list[int], start: list[int]) -> Graph:
    states = [int(state) for layer in found.layers for state in layer]
    number = {state: n for n, state in enumerate(states)}
    first, target, ends = [0], [], []
    for state in states:
        steps = list(found.table.successors(state))
        going = [to for _, to, broken in steps if to >= 0 and not broken]
        target += [number[to] for to in going]
        first.append(len(target))
        ends.append(len(steps) - len(going))
    marks = [controls[state >> CONSTANTS] for state in states]
    return Graph(first, target, ends, marks, [number[state] for state in start])


def _with_numpy(found: ReachableStates, controls: list[int], start: list[int]) -> Graph:
    table = found.table
    arrays = Arrays(table, table.effects)
    packed = np.concatenate([np.asarray(layer, np.uint64) for layer in found.layers])
    states = np.sort(arrays.numbered(packed >> np.uint64(CONSTANTS), packed & np.uint64(DATA_MASK)))
    _, source, _, target, goes = arrays.follow(states, LEFT)
    count = np.bincount(source[goes], minlength=len(states))
    first = np.concatenate((np.zeros(1, np.int64), np.cumsum(count))).astype(np.int32)
    ends = np.bincount(source[~goes], minlength=len(states))
    beginning = np.array(start, np.uint64)
    starts = arrays.numbered(beginning >> np.uint64(CONSTANTS), beginning & np.uint64(DATA_MASK))
    return Graph(
        first,
        np.searchsorted(states, target[goes]).astype(np.int32),
        ends,
        np.array(controls)[arrays.control(states)],
        np.searchsorted(states, starts).tolist(),
    )


@frozen
class Kind:
    """States of a thread that count alike: their ``marks`` as in :class:`Graph`, and their ``lengths``.

    For each mode in which the guest starts, two lengths: of the shortest path on which the thread keeps what
    it started with, its CPU or none, and of the shortest one on which it is switched out or in.
    """

    marks: int
    lengths: tuple[tuple[int, int], ...]

    @property
    def waits(self) -> bool:
        """Whether the thread waits for a CPU."""
        return bool(self.marks & WAITS)


@frozen
class Total:
    """How many states there are of a kind, and how many transitions they have: those that take no CPU, and
    those that do."""

    states: int
    free: int
    takes: int


def kinds_of(graph: Graph, watch: Watch | None = None) -> dict[Kind, Total]:
    """A thread's states by kind."""
    engine = _kinds_in_plain_python if isinstance(graph.first, list) else _kinds_with_numpy
    return engine(graph, watch)


def _kinds_in_plain_python(graph: Graph, watch: Watch | None) -> dict[Kind, Total]:
    first, target = graph.first, graph.target
    waits = [bool(marks & WAITS) for marks in graph.marks]
    number = len(waits)
    lengths = []
    for start in graph.start:
        # state n, switched out or in before: n + number
        length = [FAR] * (2 * number)
        length[start], layer, steps = 0, [start], 0
        while layer:
            steps += 1
            following = []
            for node in layer:
                n, switched = node % number, node >= number
                for to in target[first[n] : first[n + 1]]:
                    at = to + number if switched or waits[to] != waits[start] else to
                    if length[at] == FAR:
                        length[at] = steps
                        following.append(at)
            layer = following
            if watch:
                watch(number, 0)
        lengths.append(list(zip(length[:number], length[number:], strict=True)))
    states, free, takes = Counter[Kind](), Counter[Kind](), Counter[Kind]()
    for n, far in enumerate(zip(*lengths, strict=True)):
        kind = Kind(graph.marks[n], far)
        going = target[first[n] : first[n + 1]]
        entering = sum(not waits[to] for to in going) if waits[n] else 0
        states[kind] += 1
        free[kind] += graph.ends[n] + len(going) - entering
        takes[kind] += entering
    return {kind: Total(states[kind], free[kind], takes[kind]) for kind in states}


def _kinds_with_numpy(graph: Graph, watch: Watch | None) -> dict[Kind, Total]:
    waits = graph.marks & WAITS == WAITS
    number = len(waits)
    source = np.repeat(np.arange(number, dtype=np.int32), np.diff(graph.first))
    columns = [graph.marks.astype(np.int64)]
    first = np.concatenate((graph.first, graph.first[1:] + graph.first[-1]))
    for start in graph.start:
        switches = waits[graph.target] != waits[start]
        target = np.concatenate((graph.target + number * switches, graph.target + number))
        length = np.full(2 * number, FAR, np.int64)
        length[start], layer, steps = 0, np.array([start]), 0
        while len(layer):
            steps += 1
            to = target[edges_of(first, layer)[0]]
            layer = np.unique(to[length[to] == FAR])
            length[layer] = steps
            if watch:
                watch(number, 0)
        columns += [length[:number], length[number:]]
    one, of = _distinct(columns)
    taking = waits[source] & ~waits[graph.target]
    takes = np.bincount(source[taking], minlength=number)
    free = graph.ends + np.diff(graph.first) - takes
    totals = [np.zeros(len(one), np.int64) for _ in range(3)]
    for total, counted in zip(totals, (np.ones(number, np.int64), free, takes), strict=True):
        np.add.at(total, of, counted)
    rows = zip(*(column[one].tolist() for column in columns), strict=True)
    found = {}
    for (marks, *far), *total in zip(rows, *(total.tolist() for total in totals), strict=True):
        found[Kind(marks, tuple(zip(far[::2], far[1::2], strict=True)))] = Total(*total)
    return found


def _distinct(columns: list[Any]) -> tuple[Any, Any]:
    """The position of one row of each value, and for each row the number of its value."""
    one = of = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, ranks = np.unique(column, return_inverse=True)
        _, one, of = np.unique(of * (int(ranks.max()) + 1) + ranks, return_index=True, return_inverse=True)
    return one, of
