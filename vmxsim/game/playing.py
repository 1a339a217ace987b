"""Running what was played: actions, with a tick right after some of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from vmxsim.action_syntax import parse_action
from vmxsim.errors import SimulationError
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.system import make_machine
from vmxsim.model.machine import Machine
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario
from vmxsim.simulation import result


@frozen
class Setting:
    """Where a game is played: the design, the host's width, how many CPUs, how the guest starts."""

    design: type[Kvm]
    host: str
    cpus: int
    long_mode: bool
    title: str = field(default="", eq=False)


@frozen
class Play:
    """One action. ``ticks`` are (step of the action, from 1, after which it comes; CPU to go on on)."""

    action: str
    ticks: tuple[tuple[int, int], ...] = ()


class Run:
    """What was played, run to the end of its last action.

    ``trace`` holds all of its steps, ``first[n]`` is the index of action n's first one.
    ``failure`` says what the design did that the kernel must not; the run ends there.
    """

    def __init__(self, setting: Setting, plays: Sequence[Play]) -> None:
        s = setting
        actions = tuple(parse_action(play.action) for play in plays)
        scenario = Scenario(
            title=s.title, design=s.design.id or None, cpus=s.cpus, host=s.host, long_mode=s.long_mode,
            steps=tuple(play.action for play in plays), actions=actions,
        )  # fmt: skip
        environment = Environment(s.design, machine_of(s))
        self.trace = RunTrace(scenario, s.design, environment, machine_of(s))
        self.first: list[int] = []
        self.failure = ""
        ticks: dict[int, int] = {}  # of the present action, by the number of records before it

        def after(number: int) -> None:
            if number in ticks:
                environment.tick(environment.m.threads[0], ticks[number])

        environment.after_record = after
        for play, action in zip(plays, actions, strict=True):
            at = len(environment.records)
            self.first.append(at)
            ticks.clear()
            ticks.update((at + offset, cpu) for offset, cpu in play.ticks)
            try:
                environment.perform(action)
            except SimulationError as error:
                self.failure = str(error)
                return
            self.trace.results.append(result(environment, action.vcpu))

    @property
    def length(self) -> int:
        """How many steps it has."""
        return len(self.trace.environment.records)


def outcome(trace: RunTrace) -> Any:
    """What two runs must agree in to be the same play: the machine at the end, what broke."""
    broken = [(v.action, v.invariant, v.words) for v in trace.violations]
    return {k: str(v) for k, v in trace.environment.m.snapshot().items()}, broken


def machine_of(s: Setting) -> Machine:
    """The machine at its start."""
    return make_machine(s.design, int(s.host[:2]), s.long_mode, s.cpus, 1)
