"""Two threads on their CPUs: every interleaving of their transitions.

A state is a pair of states of the threads' graphs. Each thread goes on alone; what they
share are the CPUs: nobody is switched in where another vCPU thread runs.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from vmxsim.checker.control import Watch, why_cut
from vmxsim.checker.threads import NOWHERE, ThreadGraph


@define(eq=False)
class Product:
    """What a search of two threads' states found. ``layers`` are the numbers of states at each
    distance from the start; ``broken`` has the bits of every breach met; ``cut`` says why the
    search ended before it was complete."""

    layers: list[int]
    transitions: int
    broken: int
    cut: str = ""

    @property
    def states(self) -> int:
        """How many states were found."""
        return sum(self.layers)


def product(
    a: ThreadGraph, b: ThreadGraph, cpus: int, *, watch: Watch | None = None, plain: bool = False
) -> Product:
    """Every state that two threads can reach together."""
    if not plain:
        try:
            from vmxsim.checker.product_numpy import product as with_numpy
        except ModuleNotFoundError:
            pass
        else:
            return with_numpy(a, b, cpus, watch)
    return _in_plain_python(a, b, cpus, watch)


def _in_plain_python(a: ThreadGraph, b: ThreadGraph, cpus: int, watch: Watch | None) -> Product:
    width = len(b.cpu)
    rows_a, rows_b = _rows(a, cpus), _rows(b, cpus)
    layer = list({x * width + y for x, y in zip(a.start, b.start, strict=True)})
    # a byte for each pair where that is not much, else a set
    seen: Any = bytearray(len(a.cpu) * width) if len(a.cpu) * width < 1 << 28 else _Seen()
    for state in layer:
        seen[state] = 1
    found = Product([len(layer)], 0, 0)
    count = len(layer)
    while layer:
        following: list[int] = []
        put = following.append
        transitions = 0
        for state in layer:
            x, y = divmod(state, width)
            broken, held, free, going = rows_a[x]
            found.broken |= broken
            cpu_y = rows_b[y][1]
            transitions += free
            for to, cpu in going:
                if cpu != cpu_y or cpu == held:
                    transitions += 1
                    pair = to * width + y
                    if not seen[pair]:
                        seen[pair] = 1
                        put(pair)
            broken, held, free, going = rows_b[y]
            found.broken |= broken
            cpu_x = rows_a[x][1]
            transitions += free
            at = state - y
            for to, cpu in going:
                if cpu != cpu_x or cpu == held:
                    transitions += 1
                    pair = at + to
                    if not seen[pair]:
                        seen[pair] = 1
                        put(pair)
        found.transitions += transitions
        layer = following
        count += len(layer)
        if layer:
            found.layers.append(len(layer))
        found.cut = why_cut(watch, count, len(layer))
        if found.cut:
            break
    return found


class _Seen(dict[int, int]):
    def __missing__(self, state: int) -> int:
        return 0


def _rows(graph: ThreadGraph, cpus: int) -> list[tuple[int, int, int, list[tuple[int, int]]]]:
    """For each state: what it can break, the CPU it holds (-1: none), how many transitions
    lead nowhere, and (state, CPU held there; -1: none) of the others."""
    rows = []
    for state, holds in enumerate(graph.cpu):
        targets = graph.target[graph.first[state] : graph.first[state + 1]]
        going = [(to, graph.cpu[to] if graph.cpu[to] < cpus else -2) for to in targets if to != NOWHERE]
        rows.append((graph.broken[state], holds if holds < cpus else -1, len(targets) - len(going), going))
    return rows
