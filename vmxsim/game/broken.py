"""What a play has broken so far, and why."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from vmxsim.checker.explanation import explain
from vmxsim.game.position import Position


@frozen
class Broken:
    """What broke: ``invariant`` (``contract``: the design did what the kernel must not), why in ``words``,
    a short name of the ``mechanism``. ``early``: an assumption says that it does not count."""

    invariant: str
    words: str
    mechanism: str
    early: bool = False


def broken_at(at: Position, is_early: Callable[[int], bool]) -> Broken | None:
    """What is broken at a position, None if nothing is; ``is_early`` says whether a step came too early."""
    run = at.run
    found = next((v for v in run.trace.violations if v.step < at.shown), None)
    if found is not None:
        why = explain(run.trace, found.invariant)
        assert why is not None
        return Broken(found.invariant, why.words, why.mechanism, is_early(found.step))
    if run.failure and at.shown == run.length:
        return Broken("contract", run.failure, "the design does what the kernel must not")
    return None
