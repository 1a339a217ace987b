"""Running what was played: actions, with a tick or a signal right after some of their steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from attrs import evolve, field, frozen

from vmxsim.errors import InputError, SimulationError
from vmxsim.kernel.actions import VERBS
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import MODE_WORDS, Machine
from vmxsim.kernel.points import is_before, uses
from vmxsim.kernel.program import Instruction, SourceLine
from vmxsim.kernel.simulator import Record, Simulator, make_machine
from vmxsim.kernel.thread import Stack, why_tick_waits
from vmxsim.simulation.run import RunTrace, result, run
from vmxsim.simulation.scenario import Scenario, make_host, make_scenario, parse_action


@frozen
class Setting:
    """Where a game is played: the design, the host's width, how many CPUs, how the guest starts, and whether
    the tasks have their ``own`` user GS bases or ``zero``."""

    design: type[Kvm]
    host: str
    cpus: int
    long_mode: bool
    title: str = field(default="", eq=False)
    bases: str = "own"


@frozen
class Play:
    """One action. ``ticks`` are (step of the action, from 1, after which it comes; CPU to resume on);
    ``signal`` is the step after which a signal comes, 0 if none does."""

    action: str
    ticks: tuple[tuple[int, int], ...] = ()
    signal: int = 0

    @property
    def interrupts(self) -> list[tuple[int, int | None]]:
        """Ticks and signal in order; a signal has no CPU."""
        signal = [(self.signal, None)] if self.signal else []
        return sorted([*self.ticks, *signal], key=lambda come: come[0])


#: The name of the move.
SIGNAL = "signal"


def signal_steps(verb: str, records: Sequence[Record]) -> range:
    """The steps of an action after which a signal can come: from the exit that KVM handles until it asks for
    one. Empty if there is no such exit."""
    begins = VERBS[verb].source.split("{")[0]
    exits = (n for n, r in enumerate(records, 1) if r.mode == "guest" and r.source.startswith(begins))
    start = next(exits, 0) if VERBS[verb].handled else 0
    for asked, record in enumerate(records[start:] if start else (), start):
        interrupts_off = record.state[1]
        asks = record.instruction is not None and uses(record.instruction.expr, "signal_pending")
        if asks and not interrupts_off:
            return range(start, asked + 1)
    return range(0)


class Run:
    """What was played, run to the end of its last action.

    ``trace`` holds all of its steps, ``first[n]`` is the index of action n's first one.
    ``failure`` says what the design did that the kernel must not; the run ends there.
    """

    def __init__(self, setting: Setting, plays: Sequence[Play]) -> None:
        s = setting
        actions = tuple(evolve(parse_action(play.action), signal=play.signal > 0) for play in plays)
        scenario = Scenario(
            title=s.title, design=s.design.id or None, cpus=s.cpus, host=s.host, user_gs_bases=s.bases,
            long_mode=s.long_mode, steps=tuple(play.action for play in plays), actions=actions,
        )  # fmt: skip
        self.plays = plays
        simulator = Simulator(s.design, machine_of(s))
        self.trace = RunTrace(scenario, s.design, simulator, machine_of(s))
        self.first: list[int] = []
        self.failure = ""
        ticks: dict[int, int] = {}  # of the present action, by the number of records before it

        def after(number: int) -> None:
            if number in ticks:
                simulator.tick(simulator.m.threads[0], ticks[number])

        simulator.after_record = after
        for play, action in zip(plays, actions, strict=True):
            at = len(simulator.records)
            self.first.append(at)
            ticks.clear()
            ticks.update((at + offset, cpu) for offset, cpu in play.ticks)
            try:
                simulator.perform(action)
            except SimulationError as error:
                self.failure = str(error)
                return
            self.trace.results.append(result(simulator, action.vcpu))

    @property
    def length(self) -> int:
        """How many steps it has."""
        return len(self.trace.simulator.records)

    @cached_property
    def signal_steps(self) -> range:
        """The steps of the last action after which a signal can come."""
        if not self.first:
            return range(0)
        action = self.trace.scenario.actions[len(self.first) - 1]
        return signal_steps(action.verb, self.trace.simulator.records[self.first[-1] :])


def outcome(trace: RunTrace) -> Any:
    """What two runs must agree in to be the same play: the machine at the end, what broke."""
    broken = [(v.action, v.invariant, v.words) for v in trace.violations]
    return {k: str(v) for k, v in trace.simulator.m.snapshot().items()}, broken


def machine_of(s: Setting) -> Machine:
    """The machine at its start."""
    return make_machine(s.design, make_host(s.host, s.design, bases=s.bases), s.long_mode, s.cpus, 1)


class Position:
    """The point after the first ``shown`` steps of ``run``: nothing later has happened yet.

    ``mode`` is ``user``, ``guest`` or ``kernel``, ``cpu`` where the thread runs or ran last;
    ``at_rest``: the last action has come to its end. ``waits``: the thread has no CPU.
    ``holds_back`` says why a tick would stay pending, '' if it takes effect immediately.
    """

    def __init__(self, run: Run, shown: int) -> None:
        self.run, self.shown = run, shown
        m = run.trace.machine(shown)
        thread, vcpu = m.threads[0], m.vcpus[0]
        self.mode, self.cpu = thread.mode, thread.cpu
        self.user_gs_base, self.bases = thread.true_user_gs_base.number, m.host.bases
        cpu = m.cpus[thread.cpu]
        self.waits = cpu.current != thread.id
        self.at_rest = shown == run.length and not run.failure
        self.long_mode, self.smm = vcpu.long_mode, vcpu.smm
        self.tick_waits = not self.waits and cpu.need_resched
        self.holds_back = why_tick_waits(cpu, None)

    @cached_property
    def stack(self) -> Stack:
        """The thread's continuation in the kernel, None elsewhere."""
        if self.mode != "kernel":
            return None
        records = self.run.trace.simulator.records
        return next((r.after for r in reversed(records[: self.shown]) if r.thread == "thread0"), None)

    @property
    def continuation(self) -> Stack:
        """The thread's whole continuation, in the guest too: the kernel code to return to from there."""
        if self.shown == self.run.length:
            return self.run.trace.simulator.m.threads[0].stack
        return self.stack

    @cached_property
    def scheduling(self) -> bool:
        """Whether the scheduler is at work on the thread: it was preempted and is not back yet."""
        stack = self.stack
        while stack is not None:
            if stack[0].interrupt:
                return True
            stack = stack[3]
        return self.waits

    @property
    def function(self) -> str:
        """The kernel function whose line is next, '' outside the kernel."""
        return self.stack[0].name if self.stack else ""

    @property
    def instruction(self) -> Instruction | None:
        """The line that is next."""
        return self.stack[0].instructions[self.stack[1]] if self.stack else None

    @property
    def place(self) -> SourceLine | None:
        """Where the line that is next is."""
        return self.stack[0].at(self.instruction.line) if self.instruction else None

    @property
    def line(self) -> str:
        """The source of the line that is next."""
        return self.stack[0].text(self.instruction.line) if self.instruction else ""

    @property
    def preemptible(self) -> bool:
        """Whether this is a point in the kernel at which the scheduler acts immediately."""
        return self.mode == "kernel" and not (self.scheduling or self.holds_back or self.tick_waits)

    @property
    def is_choice(self) -> bool:
        """Whether the checker has a state here: at rest, or where the scheduler acts immediately."""
        return self.at_rest or self.preemptible

    @property
    def words(self) -> str:
        """Where the thread is, in a sentence."""
        if self.waits:
            return "vCPU thread 0 has no CPU: the plain task runs."
        where = f"vCPU thread 0 is {MODE_WORDS[self.mode]} on CPU {self.cpu}"
        if self.place is None:
            return f"{where}." if self.at_rest or self.mode == "user" else f"{where}; its action continues."
        return f"{where}. Next: {self.function}(), {self.place.name}."

    def fields(self) -> dict[tuple[str, str], Any]:
        """Every field of the thread, its vCPU and its CPU, by (object, name) as the checker has them."""
        m = self.run.trace.machine(self.shown)
        objects: dict[str, Any] = {"cpu0": m.cpus[self.cpu], "thread0": m.threads[0], "vcpu0": m.vcpus[0]}
        return {
            (holder, name): value
            for holder, obj in objects.items()
            for name, value in vars(obj).items()
            if name != "stack"
        }


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
        steps.append(_step(play, points))
    return _scenario(setting, steps)


def _step(play: Play, points: Sequence[dict[str, Any]]) -> Any:
    options: dict[str, Any] = {}
    if points:
        options["preempt"] = points[0] if len(points) == 1 else list(points)
    if play.signal:
        options["signal"] = True
    return {play.action: options} if options else play.action


def _scenario(setting: Setting, steps: Sequence[Any]) -> Scenario:
    s = setting
    design = s.design.id or None
    return make_scenario(
        list(steps), title=s.title, design=design, host=s.host, user_gs_bases=s.bases,
        long_mode=s.long_mode, cpus=s.cpus,
    )  # fmt: skip


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
        if _plays_the_same(setting, [*steps, _step(play, [*points, found])], wanted):
            return found
    raise InputError(f"no scenario names the tick after step {offset} of '{play.action}'")


def _candidates(before: Run, at: int) -> Iterator[dict[str, Any]]:
    """Points that may mean the tick after step ``at`` of a run without it, the nearest first."""
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
    i, at = look.instruction, look.place
    assert i is not None and at is not None
    told = [name for name in _TELLING if name in PRIMITIVES and is_before(look.stack[0], i, name)]
    return [*told, f"line {at.number}"]


def _is_at(look: Position, function: str, name: str) -> bool:
    i = look.instruction
    return look.function == function and i is not None and is_before(look.stack[0], i, name)


def _plays_the_same(setting: Setting, steps: Sequence[Any], wanted: Run) -> bool:
    try:
        trace = run(_scenario(setting, steps), setting.design)
    except InputError as error:
        return bool(wanted.failure) and error.message in wanted.failure
    return not wanted.failure and outcome(trace) == outcome(wanted.trace)


def as_plays(setting: Setting, scenario: Scenario) -> list[Play]:
    """The play that a scenario says: its ticks and signals, in steps. Raises InputError for an action that
    is not possible."""
    simulator = Simulator(setting.design, machine_of(setting))
    plays = []
    for action in scenario.actions:
        first, earlier = len(simulator.records), len(simulator.came)
        with suppress(SimulationError):  # the game comes to the same end, and says so
            simulator.perform(action)
        ticks = {at - first: cpu for at, cpu in simulator.came[earlier:]}
        steps = signal_steps(action.verb, simulator.records[first:])
        signal = steps[-1] if steps and action.signal else 0  # as late as it can come
        plays.append(Play(action.text.split("->")[0].strip(), tuple(sorted(ticks.items())), signal))
    return plays
