"""Two runs of one schedule, step beside step."""

from __future__ import annotations

from difflib import SequenceMatcher

from vmxsim.trace import Trace


def align(a: Trace, b: Trace) -> list[tuple[int, int]]:
    """Pairs of scene indices, one a run, in which both go through the same schedule.

    Both start at 0 and end together; neither ever steps back. Within an action, lines that
    both run (same mode, same text) stand beside each other, and where only one runs
    something the other waits.
    """
    pairs = [(0, 0)]
    starts_a, starts_b = _starts(a), _starts(b)
    for action in range(max(len(starts_a), len(starts_b)) - 1):
        from_a, to_a = _span(starts_a, action)
        from_b, to_b = _span(starts_b, action)
        words_a, words_b = (
            [(s.mode, s.source) for s in t.steps[i:j]] for t, i, j in ((a, from_a, to_a), (b, from_b, to_b))
        )
        for kind, i, i_end, j, j_end in SequenceMatcher(None, words_a, words_b, autojunk=False).get_opcodes():
            if kind == "equal":
                pairs += [(from_a + i + n + 1, from_b + j + n + 1) for n in range(i_end - i)]
            else:
                pairs += [(from_a + n + 1, from_b + j) for n in range(i, i_end)]
                pairs += [(from_a + i_end, from_b + n + 1) for n in range(j, j_end)]
    return pairs


def _starts(trace: Trace) -> list[int]:
    """Where each action's steps start; one more than there are actions."""
    starts: list[int] = []
    for index, step in enumerate(trace.steps):
        while len(starts) <= step.action:
            starts.append(index)
    return [*starts, len(trace.steps)]


def _span(starts: list[int], action: int) -> tuple[int, int]:
    last = len(starts) - 1
    return starts[min(action, last)], starts[min(action + 1, last)]
