"""Two designs on one schedule: their steps side by side, and the first point at which they differ."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from attrs import evolve, frozen

from vmxsim.designs import find_design
from vmxsim.errors import InputError, NoSuchPointError
from vmxsim.kernel.actions import PreemptPoint
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Value
from vmxsim.kernel.points import named_function
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import Scenario, make_scenario
from vmxsim.simulation.trace import Trace, action_name

#: Indices of scenes that stand beside each other, one in each of two runs.
Pairs = list[tuple[int, int]]


def align(a: Trace, b: Trace) -> Pairs:
    """The pairs in which two runs go through the same schedule.

    Both start at 0 and end together; neither ever steps back. Within an action, lines that
    both run (same mode, same text) stand beside each other, and where only one runs
    something the other waits.
    """
    pairs = [(0, 0)]
    actions = [[step.action for step in trace.steps] for trace in (a, b)]
    for action in range(1 + max((found[-1] for found in actions if found), default=-1)):
        (from_a, to_a), (from_b, to_b) = (
            (bisect_left(found, action), bisect_right(found, action)) for found in actions
        )
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


#: As ``run`` takes it: (step, CPU to resume on).
Tick = tuple[int, int | None]


def run_together(
    scenario: Any, designs: Sequence[str | type[Kvm]], ticks: Sequence[Tick] = (), **options: Any
) -> tuple[list[RunTrace], Pairs]:
    """Run ``scenario`` on each of one or two designs.

    ``ticks`` are (step of the first design's run, CPU). Two designs take different numbers of steps, so a
    tick reaches the second one at the step that stands beside it once all earlier ticks have come. So do the
    ticks of the scenario itself where it names a line, or a point that only one of the designs has. Pairs are
    empty for one design. Raises what ``run`` raises.
    """
    if len(designs) == 1:
        return [run(scenario, designs[0], ticks=ticks, **options)], []
    pair = _Pair(make_scenario(scenario, **options), designs)
    mine: list[list[Tick]] = [[], []]
    traces, pairs = pair.run(mine)
    for step, cpu in ticks:
        for ticks_of, at in zip(mine, _at(pairs, step), strict=True):
            ticks_of.append((max(1, at), cpu))
        traces, pairs = pair.run(mine)
    return traces, pairs


def _at(pairs: Pairs, step: int) -> tuple[int, int]:
    """The first pair in which the first run has got to ``step``."""
    return next((pair for pair in pairs if pair[0] >= step), pairs[-1])


class _Pair:
    """Two designs on one scenario. ``owner`` is the one whose points the scenario names, None if both have
    them all."""

    def __init__(self, scenario: Scenario, designs: Sequence[str | type[Kvm]]) -> None:
        self.scenario, self.designs = scenario, designs
        points = [point for action in scenario.actions for point in action.preempt]
        found = [find_design(design) for design in designs]
        self.owner = None if all(_in_both(point, found) for point in points) else _owner(scenario, found)

    def run(self, ticks: Sequence[Sequence[Tick]]) -> tuple[list[RunTrace], Pairs]:
        """Run both, each with its own ticks besides those of the scenario."""
        if self.owner is None:
            a, b = (
                run(self.scenario, design, ticks=mine)
                for design, mine in zip(self.designs, ticks, strict=True)
            )
            return [a, b], align(a, b)
        owner, other = self.designs[self.owner], self.designs[1 - self.owner]
        ours, theirs = list(ticks[self.owner]), list(ticks[1 - self.owner])
        owners = run(self.scenario, owner, ticks=ours)
        actions = tuple(evolve(action, preempt=()) for action in self.scenario.actions)
        bare = evolve(self.scenario, actions=actions)
        for step, cpu in owners.simulator.came:
            pairs = align(run(bare, owner, ticks=ours), run(bare, other, ticks=theirs))
            ours.append((step, cpu))
            theirs.append((max(1, _at(pairs, step)[1]), cpu))
        others = run(bare, other, ticks=theirs)
        others.notes.append(
            f"the schedule names points of {owners.name}: on {others.name} each tick comes at the step beside"
            " it"
        )
        traces = [others, owners] if self.owner else [owners, others]
        return traces, align(*traces)


def _in_both(point: PreemptPoint, pair: Sequence[type[Kvm]]) -> bool:
    """Whether a point means the same in both designs."""
    named = [
        functions[name] if (name := named_function(functions, point.function)) else None
        for functions in (design.functions() for design in pair)
    ]
    if point.before.startswith("line "):
        found = [(f.file, f.first, f.source) for f in named if f is not None]
        return len(found) == len(pair) and found[0] == found[1]
    return point.function is None or None not in named


def _owner(s: Scenario, pair: Sequence[type[Kvm]]) -> int:
    """Which of two designs has the points that a scenario names. Raises NoSuchPointError if neither does."""
    if s.points_of in pair:
        return pair.index(s.points_of)
    if s.design in (names := [design.id for design in pair]):
        return names.index(s.design)
    try:
        run(s, pair[0])
    except NoSuchPointError as error:
        try:
            run(s, pair[1])
        except NoSuchPointError:
            raise error from None
        return 1
    return 0


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
    """Where two runs of one schedule first differ.

    ``a_step`` and ``b_step`` are the numbers of steps taken until then (a scene's index in each
    run), in action ``action`` (from 0; -1: at the start); ``what`` is the place that differs,
    with its values in both.
    """

    action: int
    a_step: int
    b_step: int
    what: str
    a_value: str
    b_value: str
    words: str


def parting(traces: Sequence[RunTrace], pairs: Pairs) -> dict[str, Any]:
    """The first difference of two aligned runs, as a player's ``divergence``: ``text``, and, if there is
    one, ``slot`` and ``words``. Empty for one run."""
    if not pairs:
        return {}
    found = divergence(*traces)
    if found is None:
        return {"text": "No divergence: on this schedule both designs hold the same values throughout."}
    last = len(pairs) - 1
    at = next((i for i, (a, b) in enumerate(pairs) if a >= found.a_step or b >= found.b_step), last)
    return {"text": f"First divergence, step {at}: {found.words}", "slot": at, "words": found.words}


def divergence(a: RunTrace, b: RunTrace) -> Divergence | None:
    """The first step at which two runs of one schedule differ in a register, in g, in h (while
    guest state is loaded), in whether it is loaded, or in what is intercepted or returned.

    Steps of different code are lined up by what they change: both runs are read as
    sequences of states, repetitions left out, action by action. A place that differs from the
    start (mostly what is intercepted) counts only if no step makes another one differ.
    None if the two never differ.

    Raises InputError if the two follow different schedules.
    """
    if a.actions != b.actions:
        raise InputError("the two runs follow different schedules: compare runs of one scenario")
    ours, theirs = _by_action(a), _by_action(b)
    start = ours[0][0], theirs[0][0]
    at_start = _differing(*start)
    for action, stages in enumerate(zip(ours, theirs, strict=True), -1):
        for index in range(max(map(len, stages))):
            left, right = (stage[min(index, len(stage) - 1)] for stage in stages)
            for what in _differing(left, right):
                if what not in at_start:
                    return _tell(a, b, action, left, right, what)
    return _tell(a, b, -1, *start, at_start[0]) if at_start else None


#: The index of a scene, and the places that are compared with their values.
_State = tuple[int, dict[str, str]]


def _differing(left: _State, right: _State) -> list[str]:
    return [place for place, value in left[1].items() if value != right[1][place]]


def _by_action(trace: RunTrace) -> list[list[_State]]:
    """The states at the start, then those of each action, without repetitions."""
    stages: list[list[_State]] = [[] for _ in range(len(trace.actions) + 1)]
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


def _tell(a: RunTrace, b: RunTrace, action: int, left: _State, right: _State, what: str) -> Divergence:
    holder, name = what.rsplit(".", 1)
    when = "at the start" if action < 0 else f"at {action_name(a, action)}"
    sides = ", ".join(
        f"{state[what]} in {name_of(trace.design)}{_after(trace, step)}"
        for trace, (step, state) in ((a, left), (b, right))
    )
    words = f"{when}, {_FIELDS[name]} ({holder}) is {sides}."
    return Divergence(action, left[0], right[0], what, left[1][what], right[1][what], words)


def _after(trace: RunTrace, step: int) -> str:
    if not step:
        return " from the start"
    done = trace.steps[step - 1]
    line = f" {done.at.name}" if done.line else ""
    return f" after {done.function}{line}: {done.source.rstrip(' ;{')}"
