"""Two designs on one schedule: the first point at which they differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from attrs import frozen

from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Value
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.trace import Trace

# -- Two runs of one schedule, step beside step.


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


# -- one scenario on one design, or on two with the ticks at the same points of the schedule

Pairs = list[tuple[int, int]]


def run_together(
    scenario: Any, designs: Sequence[str | type[Kvm]], ticks: Sequence[tuple[int, int]] = (), **options: Any
) -> tuple[list[RunTrace], Pairs]:
    """Run ``scenario`` on each of one or two designs.

    ``ticks`` are (step of the first design's run, CPU), in order. Two designs take
    different numbers of steps, so a tick reaches the second one at the step that stands
    beside it once all earlier ticks have come. Pairs are empty for one design. Raises what
    ``run`` raises.
    """
    if len(designs) == 1:
        return [run(scenario, designs[0], ticks=ticks, **options)], []
    mine: list[list[tuple[int, int]]] = [[], []]
    traces, pairs = _both(scenario, designs, mine, options)
    for step, cpu in ticks:
        beside = next((pair for pair in pairs if pair[0] >= step), pairs[-1])
        for ticks_of, at in zip(mine, beside, strict=True):
            ticks_of.append((max(1, at), cpu))
        traces, pairs = _both(scenario, designs, mine, options)
    return traces, pairs


def _both(
    scenario: Any, designs: Sequence[Any], ticks: Sequence[Any], options: Any
) -> tuple[list[RunTrace], Pairs]:
    a, b = (run(scenario, design, ticks=mine, **options) for design, mine in zip(designs, ticks, strict=True))
    return [a, b], align(a, b)


def operation_start(trace: RunTrace, preparation: int, focus: Sequence[str] = ()) -> int:
    """The scene at which the view starts: all ``preparation`` actions done and, if one of
    the functions in ``focus`` is reached after them, about to run it."""
    last = len(trace.steps)
    start = next((s.index for s in trace.steps if s.action >= preparation), last)
    return next((s.index for s in trace.steps[start:] if s.function in focus), start)


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

    Raises InputError if the two follow different schedules.
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
    records = trace.simulator.records
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
        f"{value} in {name_of(trace.design)}{_after(trace, step)}"
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
