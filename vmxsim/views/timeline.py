"""The run as lanes: an action lane, and per CPU who holds the register and where it was preempted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vmxsim.model.value import owner_words
from vmxsim.trace import Box, Scene, Step, Trace
from vmxsim.views.state import cell_state
from vmxsim.views.style import holder_words

_MODES = ("guest", "user", "kernel")


def timeline(trace: Trace, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Spans by CPU, spans of actions, and marks, all in frames (0 is the start), ends included.

    A span of a CPU lasts while the same owner's value is in its register and its task stays
    where it is (``mode``: guest, kernel or user). ``kind`` of a mark: ``preempt``, ``pending``,
    ``migrate`` or ``violation``.
    """
    cpus = [box for box in scenes[0].boxes if box.kind == "cpu"]
    lanes = {box.id: _lane(box, trace, scenes) for box in cpus}
    return {
        "cpus": [{"cpu": _number(box), "spans": lanes[box.id]} for box in cpus],
        "actions": _actions(trace),
        "marks": [mark for frame, step in enumerate(trace.steps, 1) for mark in _marks(frame, step)],
    }


def _number(box: Box) -> int:
    digits = box.id.removeprefix("cpu")
    return int(digits) if digits.isdecimal() else -1


def _lane(cpu: Box, trace: Trace, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    number, thread, mode = _number(cpu), "", ""
    for frame, scene in enumerate(scenes):
        if frame and trace.steps[frame - 1].cpu == number:
            thread, mode = trace.steps[frame - 1].thread, trace.steps[frame - 1].mode
        box = next((b for b in scene.boxes if b.id == cpu.id), cpu)
        owner = cell_state(box.cells[0])[1] if box.cells else ""
        state = {"owner": owner, "mode": _mode(box) or mode or "user"}
        if spans and all(spans[-1][name] == value for name, value in state.items()):
            spans[-1]["to"] = frame
        else:
            spans.append(
                {"from": frame, "to": frame, **state, "thread": thread, "label": holder_words(owner)}
            )
    return spans


def _mode(box: Box) -> str:
    """Where a CPU's task is, from the CPU's facts; '' where they do not say."""
    told = " ".join(value for name, value in box.facts if name in ("runs", "mode"))
    said = told.rpartition(", ")[2].split()
    return next((mode for mode in _MODES if mode in said), "")


def _actions(trace: Trace) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    for frame, step in enumerate(trace.steps, 1):
        if spans and spans[-1]["action"] == step.action:
            spans[-1]["to"] = frame
        else:
            known = 0 <= step.action < len(trace.actions)
            label = trace.actions[step.action] if known else ""
            spans.append({"action": step.action, "from": frame if spans else 0, "to": frame, "label": label})
    return spans


def _marks(frame: int, step: Step) -> Iterator[dict[str, Any]]:
    def mark(cpu: int, kind: str, label: str) -> dict[str, Any]:
        return {"frame": frame, "cpu": cpu, "kind": kind, "label": label}

    for change in step.changes:
        box, _, name = change.place.rpartition(".")
        if name == "current" and str(change.before).startswith("thread"):
            yield mark(int(box[3:]), "preempt", f"{owner_words(str(change.before))} is switched out")
        elif name == "need_resched" and change.after:
            yield mark(int(box[3:]), "pending", "a tick is pending: TIF_NEED_RESCHED is set")
        elif name == "cpu" and box.startswith("thread") and change.before is not None:
            yield mark(int(change.after), "migrate", f"{owner_words(box)} continues on CPU {change.after}")
    if (
        not any(change.place.endswith(".current") for change in step.changes)
        and step.function == "sched_switch"
        and step.thread.startswith("thread")
    ):
        yield mark(step.cpu, "preempt", "context switch")
    for violation in step.violations:
        yield mark(step.cpu, "violation", f"{violation.invariant}: {violation.words}")
