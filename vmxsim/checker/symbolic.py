"""Run kernel code from one scheduling point to the next, once for all values of the register.

A *section* starts where the thread is at rest (in user space or in the guest), can be
preempted, or is switched in, and ends at the next such point. Lines in between, with
preemption disabled or interrupts off, are not states: nobody else can act there, and no
other CPU can see the register.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from vmxsim.checker.states import FIRST, HOST, OTHER, RESET, SECOND, SLOTS, USER, ZERO, numbered_values
from vmxsim.errors import SimulationError
from vmxsim.kernel.actions import VERBS, sregs, why_impossible
from vmxsim.kernel.attributes import U64, vcpu_fields
from vmxsim.kernel.instructions import base_to_load, is_canonical, save_bases
from vmxsim.kernel.kvm import Kvm, passes_through, returns_through
from vmxsim.kernel.machine import EFER_LMA, EFER_LME, X86_CR0_PG, Host, Machine, Value, number_of
from vmxsim.kernel.program import Callee, Current, Field, Function, Instruction
from vmxsim.kernel.simulator import check_return_to_user
from vmxsim.kernel.thread import Stack, enter, holds_tick, step

#: A line of kernel code: a function, and the number of an instruction.
Line = tuple[Function, int]

#: Kinds of checks. LEFT_CHECK breaks no invariant: it finds out whether, where a context switch leaves the
#: register alone, it always holds the base of the task that leaves.
GUEST_CHECK, HOST_CHECK, LEFT_CHECK = "guest", "host", "left"


@frozen(cache_hash=True)
class Choice:
    """What happens next to a thread. ``kind`` is one of

    ``action``  an action of the scenario starts (``verb``, ``value``: the number of the value written)
    ``step``    its kernel code continues; with ``pending`` n, a tick arrives while preemption is
                disabled, and the n-th ``need_resched()`` is the first to see it; with ``signal``, one is
                pending when KVM asks after a handled exit
    ``out``     a tick: the scheduler preempts it
    ``in``      the scheduler puts it on a CPU

    ``otherwise``: the tests of conditions that are not modeled, from 1, that come out the other way.
    """

    kind: str
    verb: str = ""
    value: int | None = None
    pending: int = 0
    signal: bool = False
    otherwise: tuple[int, ...] = ()


STEP, OUT, IN = Choice("step"), Choice("out"), Choice("in")


@define
class Outcome:
    """How a section ended.

    ``where`` is ``user``, ``guest``, ``kernel``, ``waiting`` or ``error``. ``checks`` are (kind,
    value found, right value), in order; ``broken`` are the invariants broken whatever the
    values. ``asked`` has a line for each ``need_resched()`` that a tick could have made true:
    the one before which the tick would have arrived.
    """

    where: str
    stack: Stack
    checks: list[tuple[str, Value, Value]]
    broken: list[str]
    asked: list[Line]
    error: SimulationError | None = None
    lines: int = 0
    #: A signal pending after the exit that was handled would have been seen.
    may_signal: bool = False
    #: The conditions that are not modeled which were tested, in order, and how each came out.
    unknowns: tuple[tuple[str, bool], ...] = ()
    #: User space has changed its GS base.
    exchanges_hosts: bool = False
    #: How each line of the reader's own code came out, for lines that could look at a value.
    outcomes: list[tuple[Line, Any]] = field(factory=list)


@frozen
class _AtRest:
    """The part of a vCPU's state that decides which actions are possible."""

    long_mode: bool
    smm: bool


@cache
def actions_at_rest(mode: str, long_mode: bool, smm: bool) -> tuple[Choice, ...]:
    """What can happen next to a thread at rest."""
    at = _AtRest(long_mode, smm)
    actions = (
        Choice("action", name, value)
        for name, verb in VERBS.items()
        if name != "preempt" and not why_impossible(name, mode, at)
        for value in ((FIRST, SECOND) if verb.takes == "value" and name != USER_GS_BASE else (None,))
    )
    return (*actions, OUT)


#: The action in which user space changes its GS base, to the other one of two.
USER_GS_BASE = "user gs-base"
#: Fields that belong to a thread's state, besides the slots and the stack.
CPU_FIELDS = ("preempt_count", "irqs_disabled", "need_resched")
TASK_FIELDS = ("mode", "preempt_notifier", "signal_pending", "gs_sel", "bits")
VCPU_FIELDS = (
    "efer", "cr0", "loaded", "lists_kernel_gs_base", "save_nmsrs", "msrs_ready", "bitmap_passes",
    "ldt_sel", "gs_sel", "exit_reason", "smm", "smram_efer", "smram_cr0",
)  # fmt: skip


def own_values(design: type[Kvm]) -> list[tuple[str, str]]:
    """The (object, field) of the design's own fields that hold a value of the register."""
    return [field for field, first in own_fields(design).items() if isinstance(first, U64)]


def own_fields(design: type[Kvm], long_mode: bool = False) -> dict[tuple[str, str], Any]:
    """The design's own fields by (object, field): what each holds at the start, in or outside long mode."""
    vcpu = {("vcpu0", name): first for name, first in vcpu_fields(design, long_mode).items()}
    return vcpu | {("cpu0", name): first for name, first in design.own_fields("cpu_fields").items()}


class Inspected(Exception):
    """A design looked at the value in a slot instead of just moving it."""

    def __init__(self, slot: int) -> None:
        self.slot = slot


class Token(Value):
    """Stands for the value in a slot, whatever it is. Comparing it raises Inspected."""

    __slots__ = ("slot",)
    slot: int

    def __init__(self, slot: int) -> None:
        super().__init__(1, "")
        object.__setattr__(self, "slot", slot)

    def look(self) -> int:
        raise Inspected(self.slot)

    def __eq__(self, other: object) -> bool:
        raise Inspected(self.slot)

    def __ne__(self, other: object) -> bool:
        raise Inspected(self.slot)

    __hash__ = object.__hash__


class SecretToken(Token):
    """A token for models with non-canonical values: reading its number raises Inspected, too."""

    __slots__ = ()

    @property
    def number(self) -> int:
        raise Inspected(self.slot)

    def __init__(self, slot: int) -> None:
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "owner", "")


class Traced:
    """One of the machine's objects. Its fields are in ``_now``, and the first read of one that is not
    ``_known`` is noted. The underscores leave the plain names to the fields of a reader's own design."""

    def __init__(self, id: str, note: Callable[[tuple[str, str]], None], **constants: Any) -> None:
        self.id = id
        self._now: dict[str, Any] = {}
        self._known: set[str] = set()
        self._note = note
        self.__dict__.update(constants)

    def __getattr__(self, name: str) -> Any:
        now = self._now
        if name not in now:  # not part of the state: nothing depends on it
            return 0
        if name not in self._known:
            self._known.add(name)
            self._note((self.id, name))
        return now[name]

    @property
    def long_mode(self) -> bool:
        """EFER.LMA, of a vCPU."""
        return bool(self.efer & EFER_LMA)


class TracedMachine(Machine):
    """A machine whose values are tokens: one vCPU, its thread and its CPU.

    ``reads`` lists the fields read since :meth:`start`, unless written before.
    """

    def __init__(self, host: Host, values: Sequence[Value]) -> None:
        self.reads: list[tuple[str, str]] = []
        self.written: dict[tuple[str, str], None] = {}
        vcpu = Traced("vcpu0", self._note)
        cpu = Traced("cpu0", self._note, index=0)
        by_descriptor = host.gs_base_from == "descriptor"
        task = Traced(
            "thread0", self._note, vcpu=0, cpu=0,
            by_descriptor=by_descriptor,
            descriptor_base=values[HOST if by_descriptor else ZERO],
            true_user_gs_base=values[HOST],
        )  # fmt: skip
        plain: Any = Traced("plain", self._note)
        super().__init__([cpu], [task], plain, [vcpu], host)  # type: ignore[list-item]
        self.cpu, self.task = cpu, task  # type: ignore[assignment]
        self.vcpu: Any = vcpu
        self._traced: dict[str, Traced] = {"vcpu0": vcpu, "cpu0": cpu, "thread0": task}

    #: The (object, field) of each slot: those of every design, and values in fields of the design's own.
    slot_fields: tuple[tuple[str, str], ...] = ()
    #: The bits of a field that are part of the state; all of them where it is not named.
    kept_bits: Mapping[str, int] = MappingProxyType({})

    def start(self, fields: dict[tuple[str, str], Any], slots: Sequence[Value]) -> None:
        """Set the state: fields by (object, name), and a token or value for each slot."""
        self.forget()
        self.unknowns.clear()
        self.reads, self.written = [], {}
        for traced in self._traced.values():
            traced._now, traced._known = {}, set()
        for (holder, name), value in fields.items():
            self._traced[holder]._now[name] = value
        for (holder, name), value in zip(self.slot_fields, slots, strict=False):
            traced = self._traced[holder]
            traced._now[name] = value
            traced._known.add(name)

    @property
    def base_changed(self) -> bool:
        """Whether user space has its second GS base, where that is part of the state."""
        return bool(self._traced["thread0"].base_changed)

    def set_base(self, base: Value, none: Value) -> None:
        """Say what the thread's true user GS base is; ``none`` is the base of no descriptor."""
        task = self._traced["thread0"].__dict__
        task["true_user_gs_base"] = base
        task["descriptor_base"] = base if task["by_descriptor"] else none

    def slots(self) -> list[Value]:
        """The current contents of the slots outside the stack."""
        return [self.field(field) for field in self.slot_fields]

    def _note(self, field: tuple[str, str]) -> None:
        self.reads.append(field)

    def set(self, obj: Any, name: str, value: Any) -> None:
        """Store a value without comparing, and thus reading, the old one."""
        obj._known.add(name)
        self.written[obj.id, name] = None
        if name in self.kept_bits and isinstance(value, int):
            value &= self.kept_bits[name]
        obj._now[name] = value

    def field(self, field: tuple[str, str]) -> Any:
        """A field's current value; this does not count as a read."""
        holder, name = field
        return self._traced[holder]._now[name]


#: The (object, field) of each slot.
SLOT_FIELDS = tuple(
    ("cpu0", name) if name == "kernel_gs_base" else ("thread0", "gs_base") if n == USER else ("vcpu0", name)
    for n, name in enumerate(SLOTS)
)


def is_readers(function: Function) -> bool:
    """Whether a kernel function is the reader's own, in Python or in C, none of the designs'."""
    if function.file:
        return True
    module = getattr(function.python, "__module__", "vmxsim.") or ""  # None where exec() knows no module
    return not module.startswith("vmxsim.")


#: The function that asks for a signal before it enters the guest: there it cancels KVM_RUN, see the action
#: ``run cancelled``.
ENTERS = "vcpu_enter_guest"

#: Lines after which a section is taken to loop forever, and calls after which it is taken to recurse.
MAX_LINES, MAX_DEPTH = 5_000, 60


class Sections:
    """Runs sections of one design on a :class:`TracedMachine`."""

    def __init__(self, design: type[Kvm], host: Host, interception: str, written: tuple[int, int]) -> None:
        self.design, self.interception = design, interception
        self.values = numbered_values(written, host.bases)
        self.m = TracedMachine(host, self.values)
        #: Kernel code of the design stores into ``thread.gsbase`` itself.
        self.stores_gs_base = any(
            isinstance(i.target, Field) and i.target.base == Current() and i.target.name == "gs_base"
            for function in design.functions().values()
            for i in function.instructions
        )

        self.m.slot_fields = (*SLOT_FIELDS, *own_values(design))
        #: Lines that looked at a value.
        self.looked: set[Line] = set()
        #: Whether states say which of its two GS bases user space has; see :meth:`base`.
        self.tracks_base = False

    @property
    def base(self) -> Value:
        """The thread's true user GS base. It is always HOST, since a change exchanges HOST and OTHER, unless
        the design looks at values: then each keeps its number, and a field says which is the true one."""
        changed = self.tracks_base and self.m.base_changed
        return self.values[OTHER if changed else HOST]

    def function(self, name: str) -> Any:
        """The design's kernel function with that name."""
        return self.design.link(Callee("self", name))

    def passes_through(self) -> bool:
        """Whether the guest's RDMSR and WRMSR reach the register now."""
        return passes_through(self.design, self.m.vcpu, self.interception)

    def run(self, choice: Choice, stack: Stack) -> Outcome:
        """Run the section that ``choice`` starts, from the machine's current state."""
        self.m.otherwise = choice.otherwise
        self.m.set_base(self.base, self.values[ZERO])
        run = _Section(self, stack, choice.pending, choice.signal)
        try:
            if choice.kind == "action":
                run.action(choice)
            elif choice.kind == "in":
                run.switch_in()
            elif choice.kind == "out":
                run.tick()
            else:
                run.resume()
        except SimulationError as error:
            run.end.error, run.end.where = error, "error"
        run.end.stack, run.end.unknowns = run.stack, tuple(self.m.unknowns)
        if run.end.where in ("user", "guest"):
            self._rest()
        return run.end

    def _rest(self) -> None:
        """At rest, reset what only the action needed."""
        m = self.m
        m.set(m.vcpu, "exit_reason", "")
        m.set(m.task, "signal_pending", False)
        m.set(m.vcpu, "msr_data", self.values[RESET])
        if not m.vcpu.smm:
            m.set(m.vcpu, "smram_efer", 0)
            m.set(m.vcpu, "smram_cr0", 0)


class _Section:
    """One run of a section: the methods from ``action`` to ``switch_in`` start it."""

    def __init__(self, owner: Sections, stack: Stack, pending: int, signal: bool) -> None:
        self.owner, self.m, self.design = owner, owner.m, owner.design
        self.stack, self.pending, self.signal = stack, pending, signal
        self.end = Outcome("kernel", stack, [], [], [])
        self.before: Line | None = None

    def action(self, choice: Choice) -> None:
        m, vcpu, verb = self.m, self.m.vcpu, choice.verb
        data = None if choice.value is None else self.owner.values[choice.value]
        m.set(vcpu, "msr_data", data or self.owner.values[RESET])
        if verb == "guest wrmsr" and vcpu.long_mode:
            m.set(vcpu, "guest_wrote", True)
        row = VERBS[verb]
        if row.ioctl:
            if row.ioctl == "KVM_RUN":
                m.set(m.task, "signal_pending", verb == "run cancelled")
            args = sregs(vcpu, verb.endswith(" on")) if row.ioctl == "KVM_SET_SREGS" else ()
            self.ioctl(row.function, *args)
        elif verb == USER_GS_BASE:
            self.change_base()
        elif verb == "guest swapgs":
            self.swapgs()
        elif verb == "guest long-mode on":
            m.set(vcpu, "script", "PG off" if vcpu.cr0 & X86_CR0_PG else "LME on")
            self.continue_script()
        elif not row.instruction or not self.owner.passes_through():
            self.exit(row.exit)
        elif data is not None:
            self.write(data)
        else:
            self.check(GUEST_CHECK, m.cpu.kernel_gs_base, vcpu.true_guest_value)
            self.end.where = "guest"

    def write(self, data: Value) -> None:
        """The guest's WRMSR, passed through."""
        m = self.m
        if is_canonical(data.number):
            m.set(m.cpu, "kernel_gs_base", data)
            m.set(m.vcpu, "true_guest_value", data)
        self.check(GUEST_CHECK, m.cpu.kernel_gs_base, m.vcpu.true_guest_value)
        self.end.where = "guest"

    def swapgs(self) -> None:
        """SWAPGS in the guest, applied to the ghost variables as well."""
        m, vcpu = self.m, self.m.vcpu
        found, base, true, true_base = (
            m.cpu.kernel_gs_base, vcpu.gs_base, vcpu.true_guest_value, vcpu.true_gs_base,
        )  # fmt: skip
        m.set(m.cpu, "kernel_gs_base", base)
        m.set(vcpu, "gs_base", found)
        m.set(vcpu, "true_guest_value", true_base)
        m.set(vcpu, "true_gs_base", true)
        self.check(GUEST_CHECK, found, true)
        if self.owner.passes_through():
            self.check(GUEST_CHECK, base, true_base)
        self.end.where = "guest"

    def change_base(self) -> None:
        """User space changes its GS base: from here on HOST is the new one, and the old one OTHER."""
        m = self.m
        if self.owner.tracks_base:
            m.set(m.task, "base_changed", not m.base_changed)
            m.set_base(self.owner.base, self.owner.values[ZERO])
        else:
            self.end.exchanges_hosts = True
        base = self.owner.base
        m.set(m.cpu, "kernel_gs_base", base)
        if not m.task.by_descriptor and not m.host.fsgsbase:
            m.set(m.task, "gs_base", base)
        self.user()

    def ioctl(self, name: str, *args: Any) -> None:
        self.m.set(self.m.task, "mode", "kernel")
        self.stack = enter(self.m, self.owner.function(name), (0, *args), None)

    def exit(self, reason: str) -> None:
        """A VM exit; the kernel resumes after its VM entry."""
        self.m.set(self.m.task, "mode", "kernel")
        self.m.set(self.m.vcpu, "exit_reason", reason)
        self.resume()

    def continue_script(self) -> None:
        """The guest's next instruction on its way into long mode."""
        m, vcpu = self.m, self.m.vcpu
        if vcpu.script == "PG off":
            m.set(vcpu, "script", "LME on")
            self.exit("CR_ACCESS")
        elif vcpu.script == "LME on" and not vcpu.efer & EFER_LME:
            m.set(vcpu, "script", "PG on")
            self.exit("MSR_WRITE of EFER")
        else:
            m.set(vcpu, "script", "")
            self.exit("CR_ACCESS")

    def tick(self) -> None:
        m = self.m
        m.set(m.cpu, "need_resched", True)
        mode = m.task.mode
        if mode == "guest":
            self.exit("EXTERNAL_INTERRUPT")
        else:
            self.schedule()
            self.resume()

    def switch_in(self) -> None:
        """``__switch_to()``: the task's user GS base goes into the register."""
        m = self.m
        m.set(m.task, "waiting", False)
        m.set(m.cpu, "kernel_gs_base", base_to_load(m, m.task))
        m.set(m.cpu, "preempt_count", 1 if self.stack else 0)
        if self.stack is None:
            self.user()
        else:
            self.resume()

    def schedule(self) -> None:
        m = self.m
        m.set(m.task, "mode", "kernel")
        self.stack = enter(m, self.owner.function("preempt_schedule_irq"), (0,), self.stack)

    def resume(self) -> None:
        """Run kernel code line by line up to the next scheduling point."""
        m = self.m
        while True:
            before = self.stack
            self.line()
            if any(event[0] == "switch-out" for event in m.events):
                self.end.where = "waiting"
                self.switch_out()
                return
            for event in m.events:
                self.event(event)
            m.events.clear()
            if self.stack is None and not self.due():
                last = returns_through(self.design, before)
                if last is None:
                    self.user()
                    return
                check_return_to_user(m.cpu)
                self.stack = enter(m, last, (0,), None)
            if m.task.mode == "guest":
                if m.cpu.need_resched:  # the tick that was pending
                    m.set(m.task, "mode", "kernel")
                    m.set(m.vcpu, "exit_reason", "EXTERNAL_INTERRUPT")
                elif m.vcpu.script:
                    self.continue_script()
                    return
                else:
                    self.end.where = "guest"
                    return
            elif self.stack is None or self.preemptible():
                if not m.cpu.need_resched:
                    return
                self.schedule()

    def switch_out(self) -> None:
        """``__switch_to()``: the task's bases are saved, and the next task's base goes into the register."""
        m, base = self.m, self.owner.base
        save_bases(m, m.task, m.cpu)
        if m.host.leaves_zero:
            # the next task's base is 0, and it finds what is there, unless the kernel believes that this
            # task had a base
            if not self.owner.stores_gs_base or not number_of(m.task.gs_base):
                self.check(HOST_CHECK, m.cpu.kernel_gs_base, base)
                self.check(LEFT_CHECK, m.cpu.kernel_gs_base, base)
        elif not m.host.fsgsbase:
            self.check(LEFT_CHECK, m.cpu.kernel_gs_base, base)
        m.set(m.task, "waiting", True)
        m.set(m.cpu, "kernel_gs_base", self.owner.values[RESET])

    def due(self) -> bool:
        cpu = self.m.cpu
        return bool(cpu.need_resched and not cpu.irqs_disabled and not cpu.preempt_count)

    def preemptible(self) -> bool:
        return not holds_tick(self.m.cpu, self.stack)

    def line(self) -> None:
        """Run one line. A pending tick arrives just before the check for it, while interrupts are on."""
        m = self.m
        function, index, _, _ = self.stack
        i = function.instructions[index]
        if not m.cpu.irqs_disabled:
            self.before = None if self.preemptible() else (function, index)
        if self.before and "need_resched" in i.queries and not m.cpu.need_resched:
            self.end.asked.append(self.before)
            self.before = None  # while interrupts stay off, the next check sees the same
            if len(self.end.asked) == self.pending:
                m.set(m.cpu, "need_resched", True)
        if "signal_pending" in i.queries and function.name != ENTERS:
            self.ask_for_signal()
        if is_readers(function):
            self.step_of_the_readers(i)
        else:
            self.stack = step(m, self.design, self.stack)
        self.end.lines += 1
        if self.end.lines > MAX_LINES:
            raise SimulationError(
                f"no end after {MAX_LINES} lines without preemption: the design loops forever", function.name
            )
        if depth(self.stack) > MAX_DEPTH:
            raise SimulationError(
                f"more than {MAX_DEPTH} nested calls: the kernel's stack overflows", function.name
            )

    def step_of_the_readers(self, i: Instruction) -> None:
        """Run a line of the reader's own code, and note whether it looks at a value and how it comes out."""
        before = self.stack
        line = before[0], before[1]
        try:
            self.stack = step(self.m, self.design, before)
        except Inspected:
            self.owner.looked.add(line)
            raise
        # the frame in which a result may have been stored: its own, or its caller's
        at = next(
            (one for one in (before, before[3]) if one and self.stack and one[0] is self.stack[0]), None
        )
        if at is None:
            return
        goes_to = self.stack[1] if i.kind in ("branch", "switch") else None
        stored = [v for v, was in zip(self.stack[2], at[2], strict=True) if v is not was]
        if goes_to is not None or stored:
            values = tuple(v.number if type(v) is Value else v for v in stored if type(v) is not Token)
            self.end.outcomes.append((line, (goes_to, values)))

    def ask_for_signal(self) -> None:
        """KVM asks whether a signal is pending, having handled an exit.

        A signal after the exit for an interrupt is left out: a tick, and the action ``exit``, do the same.
        """
        m = self.m
        if m.cpu.irqs_disabled or m.task.signal_pending or m.vcpu.script:
            return
        if m.vcpu.exit_reason not in ("", "EXTERNAL_INTERRUPT"):
            self.end.may_signal = True
            if self.signal:
                m.set(m.task, "signal_pending", True)

    def event(self, event: tuple[Any, ...]) -> None:
        vcpu = self.m.vcpu
        if event[0] == "guest-runs" and self.owner.passes_through():
            self.check(GUEST_CHECK, self.m.cpu.kernel_gs_base, vcpu.true_guest_value)
        elif event[0] == "returned":
            self.check(GUEST_CHECK, event[2], vcpu.true_guest_value)
        elif event[0] == "host-fault":
            self.end.broken.append("no-host-fault")

    def check(self, kind: str, found: Value, right: Value) -> None:
        self.end.checks.append((kind, found, right))

    def user(self) -> None:
        """Back in user space, where the register must hold the thread's own value."""
        m = self.m
        check_return_to_user(m.cpu)
        m.set(m.task, "mode", "user")
        self.end.where = "user"
        self.check(HOST_CHECK, m.cpu.kernel_gs_base, m.task.true_user_gs_base)


def depth(stack: Stack) -> int:
    """The number of functions on the stack."""
    found = 0
    while stack is not None:
        found, stack = found + 1, stack[3]
    return found
