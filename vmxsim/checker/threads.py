"""The states of one thread as a graph: on which CPU it runs, and where each transition leads.

CPUs are alike: what a thread does depends on its own state and never on which CPU it runs
on. So the closure leaves the CPU out, and here a state that holds a CPU stands once for
each. A thread that waits holds none; where threads do not move it remembers its own.
"""

from __future__ import annotations

from attrs import define, frozen

from vmxsim.checker.closure import Closure
from vmxsim.checker.data import make_doers, transitions
from vmxsim.checker.state import CONSTANTS

#: A transition that breaks an invariant or fails leads here.
NOWHERE = -1


@frozen
class Counts:
    """States and transitions of one thread on its CPUs."""

    states: int
    transitions: int


def counts(closure: Closure, cpus: int, moves: bool) -> Counts:
    """How many states and transitions one thread has on ``cpus`` CPUs, the only thread there.

    If it ``moves``, every state that holds a CPU is reachable on each: being preempted in
    user space changes nothing but the CPU.
    """
    if not moves or cpus == 1:
        return Counts(closure.states, closure.transitions)
    waiting = waiting_states(closure)
    return Counts((closure.states - waiting) * cpus + waiting, closure.transitions * cpus)


def waiting_states(closure: Closure) -> int:
    """How many states are those of a thread that waits for a CPU."""
    control = closure.control
    waits = [bool(control.get(state, "thread0", "waiting")) for state in control.states]
    try:
        import numpy as np
    except ModuleNotFoundError:
        return sum(waits[state >> CONSTANTS] for layer in closure.layers for state in layer)
    flags = np.array(waits)
    shift = np.uint64(CONSTANTS)
    return sum(int(flags[(np.asarray(x, np.uint64) >> shift).astype(int)].sum()) for x in closure.layers)


@define(eq=False)
class ThreadGraph:
    """``first`` and ``target`` are the edges, grouped by source; ``cpu`` is the CPU that a
    state holds, ``cpus`` for none; ``start`` are the states at the start, one for each mode;
    ``broken`` the bits of what some transition from a state breaks."""

    first: list[int]
    target: list[int]
    cpu: list[int]
    broken: list[int]
    start: list[int]


def thread_graph(closure: Closure, cpus: int, moves: bool, starts_on: int | None) -> ThreadGraph:
    """The graph of a complete closure. ``starts_on`` is None for a thread that has no CPU yet."""
    control = closure.control
    doers = make_doers(control.values, control.effects)
    states = [int(state) for layer in closure.layers for state in layer]
    waits = [bool(control.get(state, "thread0", "waiting")) for state in control.states]
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
        for edge, to, broken in transitions(control, doers, state):
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
    initial = control.initial_waiting if starts_on is None else control.initial
    graph.start = [base[(number << CONSTANTS) | data] + (starts_on or 0) for number, data in initial]
    return graph
