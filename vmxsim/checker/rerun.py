"""A run again with one thing changed: is the schedule right without this step, or with one more?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from attrs import evolve, frozen

from vmxsim.errors import InputError
from vmxsim.kernel.machine import Machine, Task, Value
from vmxsim.kernel.program import Current, Field, Operation
from vmxsim.kernel.simulator import Record, Simulator
from vmxsim.kernel.thread import settle
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Violation

#: What decides where a thread is and what it runs next, not what the register and its copies are worth:
#: undoing a step leaves it alone.
_CONTROL = frozenset(
    {
        "mode", "current", "cpu", "preempt_count", "irqs_disabled", "need_resched", "preempt_notifier",
        "signal_pending", "exit_reason", "true_guest_value", "true_gs_base", "true_user_gs_base",
    }
)  # fmt: skip


@frozen
class Remedy:
    """A change to a run that may mend it.

    ``kind`` is one of

    ``undo``   the step's effects are taken back
    ``turn``   its condition goes the other way
    ``put``    ``value`` is stored in ``place``, a field of one of the machine's objects, right after it
               (-1: at the start)
    ``read``   it finds ``value`` in ``place``, which holds what it held again after it
    ``enter``  guest state is loaded right before it
    ``leave``  guest state is unloaded right before it

    ``step`` is its index. With ``every``, ``undo`` and ``turn`` do the same whenever its line runs again.
    """

    kind: str
    step: int
    place: str = ""
    value: Any = None
    every: bool = False


def host_value(task: Task) -> Value:
    """The value that a task in user space should find."""
    return task.true_user_gs_base


def undoable(record: Record) -> bool:
    """Whether a step changes anything that ``undo`` takes back."""
    changed = {name for _, name, _, _ in record.changes}
    return "current" not in changed and bool(changed - _CONTROL)


def turnable(record: Record) -> bool:
    """Whether a step is a condition of the design's own code, not of KVM's common code. The task's width,
    which never changes, is no condition that could have been decided otherwise."""
    i = record.instruction
    if i is None or i.kind != "branch" or record.stack[0].owner == "Kvm":
        return False
    tested = i.expr.args if isinstance(i.expr, Operation) else (i.expr,)
    return Field(Current(), "bits") not in tested


def mends(
    trace: RunTrace, violation: Violation, remedy: Remedy, outcome: Callable[[Machine], object]
) -> bool:
    """Whether the run, changed, comes through the action of the violation with the same ``outcome``, without
    that violation and without a new one."""
    action = violation.action
    again = rerun(trace, remedy, action + 1)
    if again is None:
        return False
    left, was = _broken(again.violations), _broken(trace.violations)
    if (action, violation.invariant) in left or not left <= was:
        return False
    return outcome(again.simulator.m) == outcome(trace.machine(_end_of(trace, action)))


def _broken(violations: Iterable[Violation]) -> set[tuple[int, str]]:
    return {(v.action, v.invariant) for v in violations if v.invariant != "expectation"}


def _end_of(trace: RunTrace, action: int) -> int:
    """How many steps have run at the end of an action."""
    records = trace.simulator.records
    return next((n for n, record in enumerate(records) if record.action > action), len(records))


def rerun(trace: RunTrace, remedy: Remedy, actions: int) -> RunTrace | None:
    """The first ``actions`` actions of a run with ``remedy`` applied. Ticks come at the same lines.

    None if an action is no longer possible, the design does something that the kernel must not, or the run
    does not come to the step again.
    """
    machine = deepcopy(trace.machine(0))
    simulator = Simulator(trace.design, machine, trace.simulator.interception)
    again = RunTrace(trace.scenario, trace.design, simulator, deepcopy(machine))
    ticks = _Ticks(trace, simulator)
    before = remedy.step + (remedy.kind in ("undo", "turn", "put"))
    line = _line(0, trace.simulator.records[remedy.step].stack) if remedy.every else None
    held: Any = None
    elsewhere = False

    def after(number: int) -> None:
        nonlocal held, elsewhere
        if number == before:
            elsewhere = number > 0 and not _same_step(trace, simulator, number - 1)
            if not elsewhere:
                held = _apply(simulator, remedy)
        elif line and number > before and line == _line(0, simulator.records[-1].stack):
            _apply(simulator, remedy)
        elif number == before + 1 and remedy.kind == "read":
            _apply(simulator, evolve(remedy, value=held))
        if number:
            ticks.after(number)

    simulator.after_record = after
    after(0)
    try:
        for action in trace.scenario.actions[:actions]:
            simulator.before_step = ticks.before
            simulator.perform(evolve(action, preempt=()))
    except InputError:  # SimulationError is one
        return None
    return None if elsewhere else again


def _same_step(trace: RunTrace, simulator: Simulator, index: int) -> bool:
    """Whether the step with that index is the same in the run and in the one that repeats it."""
    one, other = trace.simulator.records[index], simulator.records[index]
    return (one.action, one.thread, one.stack) == (other.action, other.thread, other.stack)


def _apply(simulator: Simulator, remedy: Remedy) -> Any:
    """Make the change; return what its place held before, if it has one."""
    m = simulator.m
    if remedy.place:
        holder, _, name = remedy.place.partition(".")
        held = getattr(_object(m, holder), name)
        setattr(_object(m, holder), name, remedy.value)
        return held
    record = simulator.records[-1]
    thread = m.task_named(record.thread)
    vcpu, cpu = m.vcpus[thread.vcpu or 0], m.cpus[thread.cpu]
    if remedy.kind == "undo":
        for holder, name, before, _ in reversed(record.changes):
            if name not in _CONTROL:
                setattr(_object(m, holder), name, before)
    elif remedy.kind == "turn":
        function, index, frame, caller = record.stack
        i = function.instructions[index]
        ways = (settle(m, (function, to, frame, caller)) for to in (i.next, i.other))
        thread.stack = next((way for way in ways if way not in (None, thread.stack)), thread.stack)
    elif remedy.kind == "enter":
        vcpu.h, cpu.kernel_gs_base, vcpu.loaded = host_value(thread), vcpu.true_guest_value, True
    else:
        vcpu.g, cpu.kernel_gs_base, vcpu.loaded = vcpu.true_guest_value, host_value(thread), False
    return None


def _object(m: Machine, name: str) -> object:
    return next(obj for obj in m.objects if obj.id == name)


#: A line of kernel code in an action: the action, the function's owner and name, the instruction.
_Line = tuple[int, str, str, int]


class _Ticks:
    """The ticks of a run, delivered to another one: in the kernel before the same line, counted from the
    start of the action; elsewhere after as many steps."""

    def __init__(self, trace: RunTrace, simulator: Simulator) -> None:
        self.trace, self.simulator = trace, simulator
        #: How often each line has run so far.
        self.ran: dict[_Line, int] = {}
        #: The CPU on which the thread resumes, by line and the n-th time that it runs; by steps so far.
        self.lines: dict[tuple[_Line, int], int] = {}
        self.numbers: dict[int, int] = {}
        records = trace.simulator.records
        ran: dict[_Line, int] = {}
        for number, record in enumerate(records):
            if not self._acts(record.action, record.thread):
                continue
            if any(name == "need_resched" and now for _, name, _, now in record.changes):
                cpu = _resumes(records[number:])
                # a tick that takes effect at once runs the scheduler before the interrupted line
                interrupts = record.stack is not None and record.stack[0].interrupt
                line = _line(record.action, record.stack[3] if interrupts else record.stack)
                if line:
                    self.lines[line, ran.get(line, 0) + 1] = cpu
                elif trace.scenario.actions[record.action].verb != "preempt":
                    self.numbers[number] = cpu
            _count(ran, record)

    def _acts(self, action: int, thread: str) -> bool:
        return thread == f"thread{self.trace.scenario.actions[action].vcpu}"

    def before(self, thread: Task) -> None:
        """Deliver the tick that comes before the thread's next line, if any."""
        line = _line(self.simulator.action, thread.stack)
        if line and self._acts(self.simulator.action, thread.id):
            cpu = self.lines.pop((line, self.ran.get(line, 0) + 1), None)
            if cpu is not None:
                self.simulator.tick(thread, cpu)

    def after(self, number: int) -> None:
        """Count the step that ran. Deliver the tick that comes outside the kernel after it, if any."""
        s = self.simulator
        record = s.records[-1]
        if self._acts(record.action, record.thread):
            _count(self.ran, record)
        cpu = self.numbers.pop(number, None)
        if cpu is not None:
            s.tick(s.m.task_named(record.thread), cpu)


def _line(action: int, stack: Any) -> _Line | None:
    return None if stack is None else (action, stack[0].owner, stack[0].name, stack[1])


def _count(ran: dict[_Line, int], record: Record) -> None:
    line = _line(record.action, record.stack)
    if line:
        ran[line] = ran.get(line, 0) + 1


def _resumes(records: list[Record]) -> int:
    """The CPU on which the thread of the first record, at which a tick comes, is switched in again."""
    for record in records[1:]:
        for holder, name, _, now in record.changes:
            if holder == records[0].thread and name == "cpu":
                return int(now)
            if name == "current" and now == records[0].thread:
                return int(holder.removeprefix("cpu"))
    return records[0].cpu
