"""Two designs on one schedule: the first point at which they differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from vmxsim.errors import InputError
from vmxsim.model.value import Value
from vmxsim.runtrace import RunTrace

#: What is compared, by the last part of a place.
_FIELDS = {
    "kernel_gs_base": "KERNEL_GS_BASE",
    "g": "the guest's saved value",
    "h": "the host's saved value",
    "loaded": "guest state loaded",
    "intercepted": "what is intercepted",
    "returned": "what is returned",
}


@frozen
class Divergence:
    """Where two traces of one schedule part.

    ``a_step`` and ``b_step`` are the numbers of steps taken (a scene's index in each trace)
    when they differ first, in action ``action``; ``what`` is the place that differs, with
    its values in both.
    """

    action: int
    a_step: int
    b_step: int
    what: str
    a_value: str
    b_value: str
    words: str


def parting(traces: Sequence[RunTrace], pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Where two runs that stand beside each other in ``pairs`` of scenes part, as a player's
    ``divergence``: ``text``, and, where they do, ``slot`` and ``words``. Empty for one run."""
    if not pairs:
        return {}
    found = divergence(*traces)
    if found is None:
        return {"text": "No divergence: on this schedule both designs hold the same values throughout."}
    last = len(pairs) - 1
    at = next((i for i, (a, b) in enumerate(pairs) if a >= found.a_step or b >= found.b_step), last)
    return {"text": f"First divergence, step {at}: {found.words}", "slot": at, "words": found.words}


def divergence(a: RunTrace, b: RunTrace) -> Divergence | None:
    """The first micro-step at which two runs of one schedule differ in a register, in g,
    in h (while guest state is loaded) or L, in what is intercepted or returned.

    Steps of different code are lined up by what they change: both runs are read as
    sequences of states, repetitions left out, action by action. What differs from the very
    start (what is intercepted, mostly) is passed over until a step makes another place
    differ; if none does, the start it is. None if the two never differ.

    Raises InputError where the two follow different schedules.
    """
    if a.actions != b.actions:
        raise InputError("the two runs follow different schedules: compare runs of one scenario")
    ours, theirs = _by_action(a), _by_action(b)
    at_start = _differing(ours[0][0][1], theirs[0][0][1])
    for action, (left, right) in enumerate(zip(ours, theirs, strict=True), -1):
        for index in range(max(len(left), len(right))):
            a_step, a_state = left[min(index, len(left) - 1)]
            b_step, b_state = right[min(index, len(right) - 1)]
            for what in _differing(a_state, b_state):
                if what not in at_start:
                    return _tell(a, b, action, a_step, b_step, what, a_state[what], b_state[what])
    for what in at_start:
        return _tell(a, b, -1, 0, 0, what, ours[0][0][1][what], theirs[0][0][1][what])
    return None


def _differing(left: dict[str, str], right: dict[str, str]) -> list[str]:
    return [place for place in left if left[place] != right[place]]


def _by_action(trace: RunTrace) -> list[list[tuple[int, dict[str, str]]]]:
    """For the start (first) and each action: (scene's index, state) without repetitions."""
    stages: list[list[tuple[int, dict[str, str]]]] = [[] for _ in range(len(trace.actions) + 1)]
    for index, action, state in _states(trace):
        stage = stages[action + 1]
        if not stage or stage[-1][1] != state:
            stage.append((index, state))
    for before, stage in itertools.pairwise(stages):
        if not stage:  # an action that took no step leaves what was
            stage.append(before[-1])
    return stages


def _states(trace: RunTrace) -> Iterator[tuple[int, int, dict[str, str]]]:
    records = trace.environment.records
    for index in range(len(records) + 1):
        m = trace.machine(index)
        found = {f"{cpu.id}.kernel_gs_base": _show(cpu.kernel_gs_base) for cpu in m.cpus}
        for vcpu in m.vcpus:
            found[f"{vcpu.id}.loaded"] = _show(vcpu.loaded)
            found[f"{vcpu.id}.g"] = _show(vcpu.g)
            found[f"{vcpu.id}.h"] = _show(vcpu.h) if vcpu.loaded else "not in use"
            found[f"{vcpu.id}.intercepted"] = _show(not trace.passes_through(vcpu))
            found[f"{vcpu.id}.returned"] = _show(vcpu.returned)
        yield index, records[index - 1].action if index else -1, found


def _show(value: Any) -> str:
    if isinstance(value, Value):
        return str(value)
    return {True: "yes", False: "no", None: "nothing"}.get(value, str(value))


def _tell(
    a: RunTrace, b: RunTrace, action: int, a_step: int, b_step: int, what: str, left: str, right: str
) -> Divergence:
    holder, name = what.rsplit(".", 1)
    when = "at the start" if action < 0 else f"in action {action} ('{a.actions[action]}')"
    sides = ", ".join(
        f"{value} in {trace.design._name()}{_after(trace, step)}"
        for trace, step, value in ((a, a_step, left), (b, b_step, right))
    )
    return Divergence(
        action, a_step, b_step, what, left, right, f"{when}, {_FIELDS[name]} ({holder}) is {sides}."
    )


def _after(trace: RunTrace, step: int) -> str:
    if not step:
        return " from the start"
    done = trace.steps[step - 1]
    line = f" line {done.line}" if done.line else ""
    return f" after {done.function}{line}: {done.source}"
