"""A play as a scenario, and a scenario as a play.

A play counts steps; a scenario names the line that a tick comes before. A tick while preemption is
disabled may come anywhere in the same stretch; where the line itself would name an earlier point at
which preemption is enabled, another line of the stretch is named, or the end of it. What was written
is run and compared, so that it is the same play.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field

from vmxsim.errors import InputError, SimulationError
from vmxsim.game.playing import Play, Run, Setting, machine_of, outcome
from vmxsim.game.position import Position
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.points import is_before
from vmxsim.model.machine import Task
from vmxsim.model.primitive import PRIMITIVES
from vmxsim.scenario import Scenario, make_scenario
from vmxsim.simulation import run

#: Primitives that name a point well, most telling first.
_TELLING = ("rdmsr", "wrmsr", "load_gs_index", "preempt_disable", "preempt_enable", "local_irq_disable")


def as_scenario(setting: Setting, plays: Sequence[Play]) -> Scenario:
    """The scenario that plays the same. Raises InputError for a play that none says."""
    steps: list[Any] = []
    for number, play in enumerate(plays):
        points: list[dict[str, Any]] = []
        for count in range(1, len(play.ticks) + 1):
            now = [*plays[:number], evolve(play, ticks=play.ticks[:count])]
            points.append(_point(setting, steps, now, points))
        steps.append(_step(play.action, points))
    return _scenario(setting, steps)


def _step(action: str, points: Sequence[dict[str, Any]]) -> Any:
    if not points:
        return action
    return {action: {"preempt": points[0] if len(points) == 1 else list(points)}}


def _scenario(setting: Setting, steps: Sequence[Any]) -> Scenario:
    s = setting
    design = s.design.id or None
    return make_scenario(
        list(steps), title=s.title, design=design, host=s.host, long_mode=s.long_mode, cpus=s.cpus
    )


def _point(
    setting: Setting, steps: Sequence[Any], plays: Sequence[Play], points: list[dict[str, Any]]
) -> dict[str, Any]:
    """The point of the last tick of the last of ``plays``, the earlier ones being written already."""
    play = plays[-1]
    wanted = Run(setting, plays)
    offset, cpu = play.ticks[-1]
    before = Run(setting, [*plays[:-1], evolve(play, ticks=play.ticks[:-1])])
    for point in _candidates(before, before.first[-1] + offset):
        found = point | {"cpu": cpu}
        if _plays_the_same(setting, [*steps, _step(play.action, [*points, found])], wanted):
            return found
    raise InputError(f"no scenario names the tick after step {offset} of '{play.action}'")


def _candidates(before: Run, at: int) -> Iterator[dict[str, Any]]:
    """Points that may mean the tick behind step ``at`` of a run without it, the nearest first."""
    first = before.first[-1]
    looks = [p for n in range(first + 1, before.length) if (p := Position(before, n)).stack and not p.waits]
    here = next(n for n, look in enumerate(looks) if look.shown == at)
    free = [not _held(look) for look in looks]
    order = [here]
    if not free[here]:
        start = next((n + 1 for n in range(here - 1, -1, -1) if free[n]), 0)
        end = next((n for n in range(here, len(looks)) if free[n]), len(looks))
        order += [*range(here - 1, start - 1, -1), *range(here + 1, min(end + 1, len(looks)))]
    for n in order:
        for name in _names(looks[n]):
            alike = [k for k, look in enumerate(looks[: n + 1]) if _is_at(look, looks[n].function, name)]
            nth = sum(free[k] == free[n] for k in alike) if free[n] else len(alike)
            yield {"before": name, "in": looks[n].function} | ({"nth": nth} if nth > 1 else {})


def _held(look: Position) -> bool:
    return bool(look.holds_back) or bool(look.stack[0].interrupt)


def _names(look: Position) -> list[str]:
    """What to call the point: by a primitive that the line calls, and by the line."""
    i = look.instruction
    assert i is not None
    told = [name for name in _TELLING if name in PRIMITIVES and is_before(i, name)]
    return [*told, f"line {i.line}"]


def _is_at(look: Position, function: str, name: str) -> bool:
    return look.function == function and look.instruction is not None and is_before(look.instruction, name)


def _plays_the_same(setting: Setting, steps: Sequence[Any], wanted: Run) -> bool:
    try:
        trace = run(_scenario(setting, steps), setting.design)
    except InputError as error:
        return bool(wanted.failure) and error.message in wanted.failure
    return not wanted.failure and outcome(trace) == outcome(wanted.trace)


@define(eq=False)
class _Listening(Environment):
    """Writes down behind how many steps of its action each tick comes: {(action, steps): CPU}.

    A scenario's points are found by trial runs, which come to the same ticks at the same steps."""

    came: dict[tuple[int, int], int] = field(factory=dict, init=False)
    first: int = field(default=0, init=False)

    def tick(self, thread: Task, target: int | None) -> None:
        """A tick comes."""
        if thread.mode == "kernel":
            at = self.action, len(self.records) - self.first
            self.came[at] = thread.cpu if target is None else target
        Environment.tick(self, thread, target)


def as_plays(setting: Setting, scenario: Scenario) -> list[Play]:
    """The play that a scenario says: its ticks, in steps. Raises InputError for an action that is
    not possible."""
    listening = _Listening(setting.design, machine_of(setting))
    for action in scenario.actions:
        listening.first = len(listening.records)
        with suppress(SimulationError):  # the game comes to the same end, and says so
            listening.perform(action)
    return [
        Play(
            action.text.split("->")[0].strip(),
            tuple(sorted((at, cpu) for (n, at), cpu in listening.came.items() if n == number)),
        )
        for number, action in enumerate(scenario.actions)
    ]
