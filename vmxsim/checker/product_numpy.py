"""The same search a layer at a time, on arrays of pairs packed in one integer."""

from __future__ import annotations

from typing import Any

import numpy as np

from vmxsim.checker.control import Watch, why_cut
from vmxsim.checker.dense_set import MOST, DenseSet
from vmxsim.checker.product import Product
from vmxsim.checker.sorted_set import SortedSet, edges_of
from vmxsim.checker.threads import NOWHERE, ThreadGraph

#: States of a layer that are followed at a time: what a layer needs on the way stays small.
BLOCK = 1 << 20


def product(a: ThreadGraph, b: ThreadGraph, cpus: int, watch: Watch | None) -> Product:
    """See :func:`vmxsim.checker.product.product`."""
    height, width = len(a.cpu), len(b.cpu)
    dense = height * width <= MOST
    number = np.dtype(np.int32 if dense else np.uint64)
    left, right = _Graph(a, cpus), _Graph(b, cpus)
    start = np.array([x * width + y for x, y in zip(a.start, b.start, strict=True)], number)
    layer = np.unique(start)
    seen: Any = DenseSet(layer, height * width) if dense else SortedSet(layer)
    found = Product([len(layer)], 0, 0)
    count = len(layer)
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
        found.cut = why_cut(watch, count, len(layer))
        if found.cut:
            break
    return found


class _Graph:
    """A thread's graph as arrays. ``takes`` is the CPU that an edge takes, -1 if it takes none."""

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
        """Where this thread can go from states ``here`` while the other stays ``there``."""
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
