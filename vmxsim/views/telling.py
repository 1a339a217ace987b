"""Telling steps: those of a trace that a reader has to see, for all that is read on paper.

A run has dozens of steps that touch nothing; a recording thousands. What tells is a move of
the register, a place that became live, stale or foreign, a fact of the vCPU that changed, a
tick, a switch of tasks, a broken invariant, an access of the register that was passed over.
Where guest, kernel and user space take turns, only the turns around those are kept.
"""

from __future__ import annotations

from collections.abc import Collection

from vmxsim.trace import Box, Scene, Step, Trace
from vmxsim.views.passed import passed_over

_WRONG = ("stale", "foreign")
_UNKNOWN = frozenset({"?", "not known", "unknown"})


def telling_steps(trace: Trace, also: Collection[int] = (), turns: bool = True) -> list[int]:
    """Numbers (from 1) of the telling steps, in order.

    ``also`` are steps that tell for another reason; without ``turns`` those are left out at which
    guest, kernel and user space only take turns.
    """
    kinds: list[tuple[int, bool]] = []  # (number, whether it tells by itself)
    before = trace.scene(0)
    for number, step in enumerate(trace.steps, 1):
        after = trace.scene(number)
        if number in also or _tells(trace, step, before, after):
            kinds.append((number, True))
        elif modes(before) != modes(after):
            kinds.append((number, False))
        before = after
    found = []
    for at, (number, tells) in enumerate(kinds):
        around = kinds[max(0, at - 1) : at] + kinds[at + 1 : at + 2]
        if tells or (turns and any(beside for _, beside in around)):
            found.append(number)
    return found


def _tells(trace: Trace, step: Step, before: Scene, after: Scene) -> bool:
    return bool(
        step.violations
        or step.moves
        or step.accesses
        or any(change.place.endswith(".returned") and change.after for change in step.changes)
        or any(name != "runs" for _, name, _, _ in changed_facts(before, after))
        or _worth_changed(before, after)
        or passed_over(trace, step)
    )


def _worth_changed(before: Scene, after: Scene) -> bool:
    """Whether a place holds something else, or has become stale or foreign or right again. To become
    known or unknown is no change, and of live and copies one is as good as the other."""
    old = before.cells()
    return any(
        (was.value, was.status in _WRONG) != (cell.value, cell.status in _WRONG)
        for box in after.boxes
        for cell in box.cells
        if (was := old.get(cell.place)) is not None and "unknown" not in (was.status, cell.status)
    )


def changed_facts(before: Scene, after: Scene) -> list[tuple[Box, str, str, str]]:
    """(box, name, before, after) of the facts that matter: those of vCPUs, pending ticks, who runs
    where. Facts that were or became unknown are left out."""
    old = {box.id: dict(box.facts) for box in before.boxes}
    return [
        (box, name, was, now)
        for box in after.boxes
        for name, value in box.facts
        for was, now in [(_fact(name, old.get(box.id, {}).get(name, "?")), _fact(name, value))]
        if was != now and _matters(box, name, {was, now}) and not {was, now} & _UNKNOWN
    ]


def _matters(box: Box, name: str, values: set[str]) -> bool:
    if box.kind == "vcpu":
        return True
    if name == "runs":
        return any("vCPU thread" in value for value in values)
    return name == "TIF_NEED_RESCHED" or (name == "CPU" and box.id.startswith("thread"))


def _fact(name: str, value: str) -> str:
    """A fact's value; of what a CPU runs only the task, for where that task is says its own box."""
    return value.split(",")[0] if name == "runs" else value


def modes(scene: Scene) -> dict[str, str]:
    """Where each vCPU thread is: user space, kernel or guest, or waiting."""
    return {
        box.id: value
        for box in scene.boxes
        if box.id.startswith("thread")
        for name, value in box.facts
        if name == "mode"
    }
