"""Sets of states as sorted arrays, and the edges of many states at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class SortedSet:
    """A growing set: a few sorted arrays, each at least twice as long as the next, so that
    an element is merged a logarithmic number of times."""

    def __init__(self, first: Array) -> None:
        self.runs = [first]

    def add(self, candidates: Array) -> Array:
        """Those of ``candidates`` that are new, sorted, each once; from now on they are in."""
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
    """All edges of ``nodes`` (those of node n are first[n] up to first[n + 1]), and for each
    the position of its node in ``nodes``."""
    start = first[nodes]
    count = first[nodes + 1] - start
    source = np.repeat(np.arange(len(nodes), dtype=np.int32), count)
    ends = np.cumsum(count, dtype=np.int32)
    return np.arange(len(source), dtype=np.int32) + np.repeat(start - ends + count, count), source
