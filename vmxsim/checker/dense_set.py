"""A set of small numbers as an array of flags: where most of them will be in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmxsim.checker.sorted_set import Numbers

#: Numbers up to which an array of flags is taken (five bytes each).
MOST = 1 << 27


class DenseSet:
    """A growing set of numbers below ``size``; the same interface as SortedSet."""

    def __init__(self, first: Numbers, size: int) -> None:
        self._in = np.zeros(size, np.bool_)
        self._first_at: NDArray[np.int32] = np.empty(size, np.int32)
        self._in[first] = True

    def add(self, candidates: Numbers) -> Numbers:
        """Those of ``candidates`` that are new, sorted, each once; from now on they are in."""
        new = candidates[~self._in[candidates]]
        # of equal candidates the last one written finds its own position again
        position = np.arange(len(new), dtype=np.int32)
        self._first_at[new] = position
        new = new[self._first_at[new] == position]
        self._in[new] = True
        new.sort()
        return new
