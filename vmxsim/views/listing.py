"""How a function of C is shown: the numbers of its file, what was left out, and where that is folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmxsim.kernel.program import Function
from vmxsim.simulation.trace import function_of

#: The fewest lines left out that are shown as one.
FOLDED = 4


def folds(function: Function) -> list[tuple[int, int]]:
    """(first, last) of the stretches that were left out and are long enough to be folded, from 1 at the
    function's first line. A blank line or a lone brace does not end one."""
    found: list[tuple[int, int]] = []
    begun = last = 0
    for number, text in enumerate([*function.source, "end"], 1):
        if number in function.dropped:
            begun, last = begun or number, number
        elif begun and text.strip(" \t{};"):
            found.append((begun, last))
            begun = 0
    return [(first, to) for first, to in found if to - first + 1 >= FOLDED]


def source_data(listing: Sequence[str]) -> dict[str, Any] | None:
    """What a player needs besides the lines of a function of C, as JSON-able data; None for any other."""
    function = function_of(listing)
    if function is None or not function.file:
        return None
    return {
        "file": function.file,
        "first": function.first,
        "dropped": {str(line): why for line, why in function.dropped.items()},
        "folds": [list(fold) for fold in folds(function)],
    }
