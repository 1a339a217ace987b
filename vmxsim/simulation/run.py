"""``vmxsim.run``: run a scenario on a design. The result is a Trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, printable
from vmxsim.kernel.actions import Action
from vmxsim.kernel.instructions import SAVING
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Host, Machine, Value, Vcpu, owner_words
from vmxsim.kernel.program import Current, Field, Function, Instruction, Local, Primitive, parts
from vmxsim.kernel.simulator import Record, Simulator, make_machine
from vmxsim.simulation.scenario import Scenario, make_scenario
from vmxsim.simulation.trace import (
    Access,
    Change,
    Frame,
    Listing,
    Move,
    Scene,
    Step,
    Violation,
    action_name,
)
from vmxsim.simulation.worth import CellJudge

#: Fields that hold a value of the register, by their place's last part.
_CELLS = ("g", "h", "gs_base")


def moves_of(record: Record, host: Host) -> tuple[Move, ...]:
    """Which way values went in a step, read off the instruction that ran."""
    moves = []
    by_descriptor = host.gs_base_from == "descriptor"
    i = record.instruction
    expr, target = (i.expr, _place(record, i.target)) if i is not None else (None, "")
    for kind, cpu, _ in record.accesses:
        here = f"cpu{cpu}.kernel_gs_base"
        if kind == "ctxsw":
            task = _placed(record, cpu)
            selector = by_descriptor and not host.fsgsbase and task != "plain"
            field = "descriptor_base" if selector else "gs_base"
            moves.append(Move(kind, f"{task}.{field}", here))
        elif kind == "guest_rdmsr":
            moves.append(Move(kind, here, ""))
        elif kind == "guest_swapgs":
            moves.append(Move(kind, here, f"vcpu{record.thread[6:]}.gs_base", both=True))
        elif kind == "load_gs_index" and by_descriptor:
            moves.append(Move(kind, f"{record.thread}.descriptor_base", here))
        elif kind in ("guest_wrmsr", "load_gs_index", "user"):
            moves.append(Move(kind, "", here))
        elif kind == "rdmsr":
            moves.append(Move(kind, here, target))
        elif kind == "wrmsr":
            args = expr.args if isinstance(expr, Primitive) else ()
            source = _place(record, args[1]) if len(args) > 1 else ""
            moves.append(Move(kind, source, f"cpu{record.cpu}.kernel_gs_base"))
    if host.fsgsbase and isinstance(expr, Primitive) and expr.name in SAVING:
        moves.append(Move("save", f"cpu{record.cpu}.kernel_gs_base", f"{record.thread}.gs_base"))
    if i is not None and i.kind == "do" and target and not record.accesses:
        moves.append(Move("store", _place(record, expr), target))
    return tuple(moves)


def _placed(record: Record, cpu: int) -> str:
    """The task that a context switch put on the CPU: ``current`` as it is now."""
    now = (now for obj, name, _, now in record.changes if (obj, name) == (f"cpu{cpu}", "current"))
    return str(next(now, "plain"))


def _place(record: Record, e: Any) -> str:
    """The place of a cell that an expression names, '' if it names none."""
    if not isinstance(e, Field) or e.name not in _CELLS:
        return ""
    if isinstance(e.base, Current):
        return f"{record.thread}.{e.name}"
    assert isinstance(e.base, Local)
    return f"vcpu{record.stack[2][e.base.index]}.{e.name}"


class RunTrace:
    """A run of ``scenario`` on ``design``. See :class:`vmxsim.simulation.trace.Trace`.

    ``results`` holds one mapping per action, with the fields of ``run --json``.
    """

    def __init__(self, scenario: Scenario, design: type[Kvm], simulator: Simulator, start: Machine) -> None:
        self.scenario = scenario
        self.design = design
        self.simulator = simulator
        several = scenario.vcpus > 1
        self.actions = [f"vcpu{a.vcpu}: {a.text}" if several else a.text for a in scenario.actions]
        self.title = scenario.title or ", ".join(self.actions)
        self.name = name_of(design)
        release = f" ({design.release})" if design.release else ""
        self.subtitle = f"{self.name}{release}, {scenario.host_words}"
        self.results: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._start = start
        self._unmet: dict[int, str] = {}

    def __repr__(self) -> str:
        broken = dict.fromkeys(f"{v.invariant} at {action_name(self, v.action)}" for v in self.violations)
        verdict = ", ".join(broken) if broken else "no invariant broken"
        records = len(self.simulator.records)
        return f"<{self.title}: {self.subtitle}; {len(self.actions)} actions, {records} steps; {verdict}>"

    def expect(self, index: int, action: Action, returned: Any) -> None:
        """Hold what an action returned against its arrow."""
        found = returned.number if isinstance(returned, Value) else returned
        if found != action.expected:
            want, got = (hex(v) if isinstance(v, int) else v or "nothing" for v in (action.expected, found))
            self._unmet[index] = f"'{action.text}' returned {got}; expected {want}"

    @property
    def violations(self) -> list[Violation]:
        """Every broken invariant and unmet arrow, in order."""
        found = []
        for number, record in enumerate(self.simulator.records):
            for invariant, words in record.violations or ():
                found.append(Violation(record.action, invariant, words, number))
        if self._unmet:
            last = {record.action: number for number, record in enumerate(self.simulator.records)}
            found += [Violation(a, "expectation", words, last.get(a, -1)) for a, words in self._unmet.items()]
        return sorted(found, key=lambda v: v.action)

    @cached_property
    def steps(self) -> list[Step]:
        """Every step of the run."""
        by_step: dict[int, list[Violation]] = {}
        for violation in self.violations:
            by_step.setdefault(violation.step, []).append(violation)
        return [
            self._step(number, record, tuple(by_step.get(number, ())))
            for number, record in enumerate(self.simulator.records)
        ]

    def _step(self, number: int, record: Record, violations: tuple[Violation, ...]) -> Step:
        i = record.instruction
        if i is None:
            at, source = Frame(record.function, 0), record.source
        else:
            at = _frame(record.stack[0], i)
            source = record.stack[0].text(i.line)
        count, irqs_off, mode = record.state
        held_back = until = ""
        if irqs_off and mode == "kernel":
            held_back = "interrupts are off"
            until = "a tick stays pending until they are on and preempt_enable() is met"
        elif count and mode == "kernel":
            held_back = f"preemption is disabled (preempt_count {count})"
            until = "a tick stays pending until preempt_enable()"
        elif record.thread == "plain":
            held_back = "the plain task runs here, not a vCPU thread"
        cost: Counter[str] = Counter()
        for name, times in record.operations:
            cost[name] += times
        after = record.after
        return Step(
            index=number,
            action=record.action,
            thread=record.thread,
            cpu=record.cpu,
            mode=record.mode,
            function=at.function,
            line=at.line,
            source=source,
            stack=_stack(record.stack),
            next=_frame(after[0], after[0].instructions[after[1]]) if after else None,
            changes=tuple(Change(f"{obj}.{name}", before, now) for obj, name, before, now in record.changes),
            accesses=tuple(Access(*access) for access in record.accesses),
            moves=moves_of(record, self.simulator.m.host),
            preemptible=not held_back,
            held_back=held_back,
            until=until,
            cost=dict(cost),
            notes=record.notes,
            violations=violations,
            file=at.file,
            first=at.first,
            kind=i.kind if i else "",
            calls=tuple(e.name for e in parts(i.expr) if isinstance(e, Primitive)) if i and i.expr else (),
        )

    @cached_property
    def _judge(self) -> CellJudge:
        changes = [record.changes for record in self.simulator.records]
        return CellJudge(self.design, self._start, changes, self.simulator)

    def machine(self, index: int) -> Machine:
        """The machine after ``index`` steps, stacks left out; good until the next call."""
        return self._judge.move(index)

    def passes_through(self, vcpu: Vcpu) -> bool:
        """Whether the guest's access of the register is passed through."""
        return self.simulator.passes_through(vcpu)

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps."""
        return self._judge.scene(index)

    def listing(self, function: str) -> Sequence[str]:
        """The source of a kernel function of this design."""
        found = self._functions.get(function)
        return Listing(found) if found else ()

    @cached_property
    def _functions(self) -> dict[str, Function]:
        return self.design.functions()


def _stack(stack: Any) -> tuple[Frame, ...]:
    frames = []
    while stack is not None:
        function, index, _, stack = stack
        frames.append(_frame(function, function.instructions[index]))
    return tuple(reversed(frames))


def _frame(function: Function, i: Instruction) -> Frame:
    """Where an instruction is, as a level of a call stack."""
    return Frame(function.name, i.line, function.file, function.first)


#: The first design of a kernel with SMM, which came to KVM in 4.2 (not looked up).
_FIRST_WITH_SMM = "host-from-thread"


def run(
    scenario: Scenario | str | Path | Sequence[Any],
    design: str | type[Kvm] | None = None,
    *,
    host: str | None = None,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
    user_gs_bases: str | None = None,
    address_bits: int | None = None,
    long_mode: bool | None = None,
    cpus: int | None = None,
    vcpus: int | None = None,
    interception: str | None = None,
    title: str | None = None,
    ticks: Iterable[tuple[int, int | None]] = (),
) -> RunTrace:
    """Run a scenario and return its :class:`~vmxsim.simulation.run.RunTrace`.

    ``scenario`` is a :class:`~vmxsim.simulation.scenario.Scenario`, a path, YAML text or a list of
    actions; the keywords replace what it says. ``design`` is an id, a commit's short hash,
    an unambiguous prefix or your own subclass of a design. ``ticks`` are (step, CPU)
    pairs: a tick comes right after that step (from 1) and the thread resumes on that CPU
    (None: the same); where preemption is disabled it stays pending.

    Raises InputError for a scenario that cannot be read or an action that is not possible,
    SimulationError for a design that does what the kernel must not.
    """
    own = None if design is None or isinstance(design, str) else find_design(design)
    s = make_scenario(
        scenario, design=None if own else design, host=host, gs_base_from=gs_base_from, fsgsbase=fsgsbase,
        user_gs_bases=user_gs_bases, address_bits=address_bits, long_mode=long_mode, cpus=cpus, vcpus=vcpus,
        interception=interception, title=title,
    )  # fmt: skip
    chosen = own or _named_design(s)
    simulator = Simulator(chosen, machine_of(s, chosen), s.interception)
    trace = RunTrace(s, chosen, simulator, machine_of(s, chosen))
    try:
        due = {int(step): cpu for step, cpu in ticks}
    except (TypeError, ValueError):
        shown = printable(repr(ticks))
        raise InputError(f"expected pairs of a step and a CPU, not {shown}", "ticks") from None
    if due:
        _deliver(simulator, due)
    for index, action in enumerate(s.actions):
        try:
            simulator.perform(action)
        except InputError as error:
            raise error.at(s.where(index)) from None
        trace.results.append(result(simulator, action.vcpu))
        if action.expected is not None:
            trace.expect(index, action, simulator.m.vcpus[action.vcpu].returned)
    trace.notes += _equal_numbers(s, simulator.m)
    order = list(DESIGNS)
    if chosen.id in order[: order.index(_FIRST_WITH_SMM)] and any(a.verb == "guest smi" for a in s.actions):
        trace.notes.append(
            f"anachronism: KVM has emulated SMM since Linux 4.2 (not looked up); {chosen.id} is older"
        )
    return trace


def machine_of(s: Scenario, design: type[Kvm]) -> Machine:
    """The machine on which the scenario starts."""
    return make_machine(design, s.host_of(design), s.long_mode, s.cpus, s.vcpus)


def _named_design(s: Scenario) -> type[Kvm]:
    if not s.design:
        hint = (
            "no design: write 'design: dedicated-accessors' in the scenario, or name one beside it"
            " (on the command line --design ID, or --design FILE.py:NAME for one of your own)"
        )
        raise InputError(hint, s.file or "design")
    try:
        return find_design(s.design)
    except InputError as error:
        raise (error.at(f"{s.file}:{s.design_line}") if s.design_line else error) from None


def _equal_numbers(s: Scenario, m: Machine) -> list[str]:
    """What cannot be told apart: a value given to a guest that a host task has too."""
    hosts = {task.true_user_gs_base.number: owner_words(task.id) for task in (*m.threads, m.plain)}
    theirs = [a for a in s.actions if a.verb == "user gs-base"]
    hosts |= {a.value: owner_words(f"thread{a.vcpu}") for a in theirs if a.value is not None}
    given = {
        a.value: f"guest {a.vcpu}"
        for a in s.actions
        if a.value is not None and a.value in hosts and a not in theirs
    }
    return [
        f"{hex(value)} is both {guest}'s value and the user GS base of {hosts[value]}:"
        " a leak between them cannot be told"
        for value, guest in given.items()
    ]


def _deliver(simulator: Simulator, due: dict[int, int | None]) -> None:
    def after(number: int) -> None:
        if number in due:
            thread = simulator.m.task_named(simulator.records[-1].thread)
            if thread is simulator.m.plain or not simulator.m.is_current(thread):
                simulator.note("the tick comes where no vCPU thread runs: nothing changes")
                return
            simulator.tick(thread, due.pop(number))

    simulator.after_record = after


def result(simulator: Simulator, acting: int) -> dict[str, Any]:
    """What there is to see after an action, with the field names of ``run --json``.

    Numbers are hexadecimal text. With several vCPUs the fields of the vCPU are lists.
    """
    m = simulator.m
    last = takewhile(lambda record: record.action == simulator.action, reversed(simulator.records))
    accesses = [[kind, cpu, hex(value)] for record in [*last][::-1] for kind, cpu, value in record.accesses]
    each = [_vcpu_result(simulator, n, n == acting) for n in range(len(m.vcpus))]
    returned = m.vcpus[acting].returned
    found: dict[str, Any] = {
        "accesses": accesses,
        "returned": hex(returned.number) if isinstance(returned, Value) else returned,
        "registers": [hex(cpu.kernel_gs_base.number) for cpu in m.cpus],
    }
    for name in each[0]:
        found[name] = each[0][name] if len(each) == 1 else [one[name] for one in each]
    return found


def _vcpu_result(simulator: Simulator, n: int, acting: bool) -> dict[str, Any]:
    m = simulator.m
    vcpu, thread = m.vcpus[n], m.threads[n]
    register = m.cpus[thread.cpu].kernel_gs_base.number
    current = m.is_current(thread)
    in_guest = current and thread.mode == "guest"
    passes = simulator.passes_through(vcpu)
    true = vcpu.true_guest_value.number
    misread = acting and isinstance(vcpu.returned, Value) and vcpu.returned.number != true
    return {
        "cpu": thread.cpu,
        "in_guest": in_guest,
        "guest_saved": hex(vcpu.g.number),
        "host_saved": hex(vcpu.h.number) if vcpu.loaded else None,
        "loaded": vcpu.loaded,
        "long_mode": vcpu.long_mode,
        "intercepted": not passes,
        "true_guest_value": hex(true),
        "guest_wrong": bool(misread or (in_guest and passes and register != true)),
        "host_wrong": current and thread.mode == "user" and register != thread.true_user_gs_base.number,
    }
