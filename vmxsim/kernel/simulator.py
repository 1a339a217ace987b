"""The simulator: a machine that runs a design, one action at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from vmxsim.errors import InputError, NoSuchPointError, SimulationError, counted, nearest
from vmxsim.kernel.actions import (
    VERBS,
    Action,
    PreemptPoint,
    sregs,
    user_gs_base_source,
    why_impossible,
)
from vmxsim.kernel.attributes import at_first, vcpu_fields
from vmxsim.kernel.instructions import load_bases, save_bases, set_user_gs_base, vm_exit
from vmxsim.kernel.invariants import check_event, check_user_space, guest_runs, user_runs
from vmxsim.kernel.kvm import Kvm, name_of, passes_through, returns_through
from vmxsim.kernel.machine import (
    EFER_LME,
    NO_BASE,
    X86_CR0_PG,
    Cpu,
    Host,
    Machine,
    Task,
    Value,
    Vcpu,
    reset_cr0,
    reset_efer,
)
from vmxsim.kernel.points import RENAMED, is_before, named_function
from vmxsim.kernel.program import Callee, Function, Instruction
from vmxsim.kernel.thread import enter, step, why_tick_waits


@define(eq=False)
class Record:
    """One step as it ran: cheap to keep while running, turned into a trace's Step afterward."""

    action: int
    thread: str
    cpu: int
    mode: str
    #: The continuation before it, whose top is the line that ran. None for a step that is not a line of
    #: kernel code: then ``function`` and ``source`` say what it was.
    stack: Any
    function: str = ""
    source: str = ""
    #: The continuation after it; preempt_count, interrupts off, and the task's mode.
    after: Any = None
    state: tuple[int, bool, str] = (0, False, "")
    changes: tuple[tuple[str, str, Any, Any], ...] = ()
    accesses: tuple[tuple[str, int, int], ...] = ()
    operations: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    violations: list[tuple[str, str]] | None = None

    @property
    def instruction(self) -> Instruction | None:
        """The instruction that ran."""
        return None if self.stack is None else self.stack[0].instructions[self.stack[1]]


#: After this many steps, an action is assumed to loop forever.
MAX_STEPS = 20_000

USER_GS_BASE = (0x7F0000001000, 0x7F0000003000)
PLAIN_GS_BASE = 0x7F0000002000
#: The base to which the checker's user space changes its own, in turn with the first one.
NEW_GS_BASE = 0x7F0000005000
#: The end of user space (arch/x86/include/asm/page_64.h, 48-bit addresses).
TASK_SIZE_MAX = 0x7FFFFFFFF000
GUEST_GS_BASE = (0xFFFF800000001000, 0xFFFF800000002000)


def make_thread(host: Host, n: int, cpu: int) -> Task:
    """The thread of vCPU ``n``, in user space.

    A 32-bit one with a descriptor has been saved before, so that its ``thread.gsbase`` is 0. A 64-bit one has
    just loaded its selector: ``thread.gsbase`` still holds the base.
    """
    base = Value(USER_GS_BASE[n] if host.bases == "own" else 0, f"thread{n}")
    by_descriptor = host.gs_base_from == "descriptor"
    return Task(
        f"thread{n}",
        NO_BASE if host.starts_saved_as_zero else base,
        host.bits,
        cpu,
        gs_sel=host.gs_sel,
        by_descriptor=by_descriptor,
        descriptor_base=base if by_descriptor else NO_BASE,
        true_user_gs_base=base,
        vcpu=n,
    )


def make_machine(design: type[Kvm], host: Host, long_mode: bool, cpus: int, vcpus: int) -> Machine:
    """The machine at the start: every thread is in user space, and every guest's register is 0."""
    plain = Task("plain", Value(PLAIN_GS_BASE if host.bases == "own" else 0, "plain"), 64, cpu=0)
    threads, guests, current = [], [], ["plain"] * cpus
    for n in range(vcpus):
        cpu = min(n, cpus - 1)
        threads.append(make_thread(host, n, cpu))
        gs_base = threads[n].true_user_gs_base
        if current[cpu] == "plain":
            current[cpu] = f"thread{n}"
        reset, base = Value(0, f"vcpu{n}"), Value(GUEST_GS_BASE[n], f"vcpu{n}")
        in_array = design.labels["h"].startswith("host_msrs")
        guests.append(
            Vcpu(
                f"vcpu{n}", reset, gs_base if in_array else Value(0, "unknown"), base, reset, base,
                reset_efer(long_mode), reset_cr0(long_mode),
                lists_kernel_gs_base=long_mode,
                save_nmsrs=design.shared_msrs[long_mode],
                bitmap_passes=long_mode or design.bitmap_passes_at_creation,
            )
        )  # fmt: skip
    values = {task.id: task.true_user_gs_base for task in (plain, *threads)}
    machine_cpus = [Cpu(f"cpu{n}", n, values[task], task) for n, task in enumerate(current)]
    for guest in guests:
        for name, value in vcpu_fields(design, long_mode).items():
            setattr(guest, name, at_first(value))
    for name, first in design.own_fields("cpu_fields").items():
        for machine_cpu in machine_cpus:
            setattr(machine_cpu, name, at_first(first))
    return Machine(machine_cpus, threads, plain, guests, host)


@define(eq=False)
class Simulator:
    """The simulator: a design on a machine, made to perform one action after another.

    ``interception`` is ``rule`` (access exits by EFER.LMA and the design's rule) or ``bitmap``
    (by what the real MSR bitmaps were left at).
    """

    design: type[Kvm]
    m: Machine
    interception: str = "rule"
    #: CPU on which a thread resumes after its next preemption.
    targets: dict[str, int] = field(factory=dict)
    #: Task that a CPU runs after its next context switch.
    picked: dict[int, Task] = field(factory=dict)
    #: Called before every kernel step with the thread; may deliver a tick.
    before_step: Any = None
    #: Called after every recorded step with its number.
    after_record: Any = None
    steps_left: int = MAX_STEPS
    #: The steps of the run so far.
    records: list[Record] = field(factory=list, init=False)
    #: The action that runs, from 0; -1 before the first.
    action: int = field(default=-1, init=False)
    #: Notes for the next step.
    pending_notes: list[str] = field(factory=list, init=False)
    #: The ticks that actions named: after how many steps each came, and the CPU to resume on.
    came: list[tuple[int, int]] = field(factory=list, init=False)
    #: Violations so far, as (action, invariant, subject): each is reported once per action.
    broken: set[tuple[int, str, str]] = field(factory=set, init=False)

    def passes_through(self, vcpu: Vcpu) -> bool:
        """Whether the guest's RDMSR and WRMSR of the register reach the processor's."""
        return passes_through(self.design, vcpu, self.interception)

    def guest_would_read(self, m: Machine, thread: Task, vcpu: Vcpu) -> tuple[Value, str]:
        """What the guest would get if it read the register now, and from where: ``register``,
        ``register, by KVM`` or ``saved``. ``m`` is the machine or a copy of it."""
        register = m.cpus[thread.cpu].kernel_gs_base
        if thread.mode != "user" and m.is_current(thread):
            if self.passes_through(vcpu):
                return register, "register"
            if self.design._in_register(vcpu):
                return register, "register, by KVM"
        return vcpu.g, "saved"

    def kernel_function(self, name: str) -> Function:
        """The design's kernel function of that name."""
        return self.design.link(Callee("self", name))

    # -- running kernel code

    def call(self, thread: Task, name: str, *args: Any) -> None:
        """Push a kernel function onto the thread's stack: it runs next."""
        self.m.cpu, self.m.task = self.m.cpus[thread.cpu], thread
        self.m.set(thread, "mode", "kernel")
        thread.stack = enter(self.m, self.kernel_function(name), args, thread.stack)

    def drive(self, thread: Task) -> None:
        """Run the thread's kernel code until it is in user space, in the guest, or switched out."""
        m = self.m
        while thread.mode == "kernel" and m.is_current(thread):
            if self.before_step is not None:
                self.before_step(thread)
            self.preempt_if_due(thread)
            self.step(thread)
            self.steps_left -= 1
            if self.steps_left <= 0:
                where = thread.stack[0] if thread.stack else None
                raise SimulationError(
                    f"no end after {MAX_STEPS} steps: the design loops forever", where.name if where else ""
                )

    def step(self, thread: Task) -> None:
        """One line of the thread's kernel code."""
        m = self.m
        m.cpu, m.task = m.cpus[thread.cpu], thread
        before = thread.stack
        record = Record(self.action, thread.id, thread.cpu, "kernel", before)
        tested = len(m.unknowns)
        thread.stack = step(m, self.design, before)
        for number, (condition, holds) in enumerate(m.unknowns[tested:], tested + 1):
            if number in m.otherwise:
                self.note(f"'{condition}' is not modeled: here it is {'true' if holds else 'false'}")
        if thread.stack is None and not self.preempt_if_due(thread):
            check_return_to_user(m.cpu)
            if last := returns_through(self.design, before):
                self.call(thread, last.name, thread.vcpu)
            else:
                m.set(thread, "mode", "user")
        switched_out = False
        for event in self.take_events():
            if event[0] == "switch-out":
                switched_out = True
            else:
                self.break_invariants(record, check_event(m, event, self._passes(event)))
        if switched_out:
            self.place(self.picked.pop(thread.cpu, m.plain), m.cpus[record.cpu])
            if m.cpu.current == m.plain.id:
                self.break_invariants(record, user_runs(m.plain, m.cpu))
        self.commit(record)
        if thread.mode == "guest" and m.cpu.need_resched:
            self.exit_guest(thread, "EXTERNAL_INTERRUPT", "the pending tick: VM exit")

    def take_events(self) -> list[tuple[Any, ...]]:
        """What the step that just ran left for the invariants to check."""
        events = self.m.events
        if events:
            self.m.events = []
        return events

    def _passes(self, event: tuple[Any, ...]) -> bool:
        return event[0] == "guest-runs" and self.passes_through(event[1])

    def act(self, thread: Task, mode: str, function: str, source: str, effect: Any = None) -> None:
        """One step that is not a line of kernel code: the guest's, user space's or the tick's."""
        m = self.m
        m.cpu, m.task = m.cpus[thread.cpu], thread
        record = Record(self.action, thread.id, thread.cpu, mode, None, function, source)
        if effect:
            effect()
        for event in self.take_events():
            self.break_invariants(record, check_event(m, event, self._passes(event)))
        self.commit(record)

    def commit(self, record: Record) -> None:
        """Record the step, and pass its number to ``after_record``."""
        record.after = self.m.task.stack if self.m.task.mode == "kernel" else None
        record.state = (self.m.cpu.preempt_count, self.m.cpu.irqs_disabled, self.m.task.mode)
        self.keep(record, self.m)
        if self.after_record is not None:
            self.after_record(len(self.records))

    def exit_guest(self, thread: Task, reason: str, source: str, **fields: Any) -> None:
        """A VM exit: the kernel resumes after its VM entry, with interrupts off."""

        def effect() -> None:
            vcpu = self.m.vcpus[thread.vcpu or 0]
            vm_exit(self.m, vcpu, reason)
            for name, value in fields.items():
                self.m.set(vcpu, name, value)

        self.act(thread, "guest", "guest", source, effect)

    # -- the scheduler

    def why_not_preemptible(self, thread: Task) -> str:
        """'' where a tick would take effect immediately, else what holds it back."""
        return why_tick_waits(self.m.cpus[thread.cpu], thread.stack)

    def preempt_if_due(self, thread: Task) -> bool:
        """Call the scheduler if a tick is pending and preemption is possible."""
        m = self.m
        cpu = m.cpus[thread.cpu]
        if not cpu.need_resched or not m.is_current(thread) or self.why_not_preemptible(thread):
            return False
        m.cpu, m.task = cpu, thread
        self.call(thread, "preempt_schedule_irq", thread.vcpu)
        return True

    def tick(self, thread: Task, target: int | None) -> None:
        """A tick comes on the thread's CPU; the thread is to resume on CPU ``target``."""
        m = self.m
        cpu = m.cpus[thread.cpu]
        if thread.mode == "kernel" and thread.id in self.targets and _scheduling(thread):
            self.note(
                f"a tick comes on CPU {cpu.index} while the scheduler is already running: nothing changes"
            )
            return
        self.targets[thread.id] = thread.cpu if target is None else target
        if thread.mode == "guest":
            m.set(cpu, "need_resched", True)
            self.exit_guest(thread, "EXTERNAL_INTERRUPT", "a tick: VM exit")
        elif thread.mode == "user":
            self.act(thread, "user", "user space", "a tick", lambda: m.set(cpu, "need_resched", True))
            self.preempt_if_due(thread)
        else:
            m.set(cpu, "need_resched", True)
            why = self.why_not_preemptible(thread)
            if why:
                self.note(f"a tick comes on CPU {cpu.index} while {why}: pending until preempt_enable()")

    def place(self, task: Task, cpu: Cpu) -> None:
        """``__switch_to()``: save the user GS base of the task that leaves, load that of the next one."""
        m = self.m
        previous = m.task_named(cpu.current)
        save_bases(m, previous, cpu)
        load_bases(m, task, cpu, previous)
        m.set(cpu, "current", task.id)
        m.set(cpu, "preempt_count", 1 if task.stack else 0)
        if task is not m.plain:
            m.set(task, "cpu", cpu.index)

    def switch_in(self, thread: Task, index: int) -> None:
        """Make the thread run on CPU ``index``. A vCPU thread there is switched out first."""
        m = self.m
        there = m.task_named(m.cpus[index].current)
        if there is m.plain:
            on = m.cpus[index]
            m.set(m.plain, "cpu", index)
            source = f"loads the user GS base of {thread.id} into KERNEL_GS_BASE"
            self.act(m.plain, "kernel", "__switch_to", source, lambda: self.place(thread, on))
        else:
            self.picked[index] = thread
            self.tick(there, index)
            self.drive(there)
            self.targets.pop(there.id, None)

    def settle(self, thread: Task) -> None:
        """Run until the thread is in user space or in the guest; when preempted, switch it in again."""
        self.drive(thread)
        while not self.m.is_current(thread):
            self.switch_in(thread, self.targets.pop(thread.id, thread.cpu))
            self.drive(thread)

    # -- the invariants at the end of an action

    def check_rest(self) -> None:
        """Check the invariants once every thread is in user space or in the guest."""
        m = self.m
        if not self.records:
            return
        last = self.records[-1]
        self.break_invariants(last, check_user_space(m))
        for thread, vcpu in zip(m.threads, m.vcpus, strict=True):
            if thread.mode == "guest" and m.is_current(thread) and self.passes_through(vcpu):
                self.break_invariants(last, guest_runs(m, vcpu, m.cpus[thread.cpu]))

    # -- what each step did

    def keep(self, record: Record, m: Machine) -> None:
        """Record what the machine collected during the step."""
        if m.log:
            record.changes = tuple(m.log)
            m.log.clear()
        if m.accesses:
            record.accesses = tuple(m.accesses)
            m.accesses.clear()
        if m.operations:
            record.operations = tuple(m.operations)
            m.operations.clear()
        if self.pending_notes:
            record.notes = tuple(self.pending_notes)
            self.pending_notes.clear()
        self.records.append(record)

    def note(self, text: str) -> None:
        """Attach a note to the next step."""
        self.pending_notes.append(text)

    def break_invariants(self, record: Record, found: Iterable[tuple[str, str, str]]) -> None:
        """Record each violation once per action, at the first step that caused it."""
        for invariant, subject, words in found:
            key = (record.action, invariant, subject)
            if key not in self.broken:
                self.broken.add(key)
                record.violations = [*(record.violations or []), (invariant, words)]

    # -- one action

    def perform(self, action: Action) -> None:
        """Perform one action, until every thread is in user space or in the guest again.

        Raises InputError if the action is not possible now, SimulationError if the design does
        something that the kernel must not.
        """
        thread = self.m.threads[action.vcpu]
        self.action += 1
        self.steps_left = MAX_STEPS
        self._test_anew(action)
        due: list[tuple[PreemptPoint, int]] = []
        for point in action.preempt:
            number = self._find_point(action, point, due)
            if number:
                due.append((point, number))
        if due:
            self.before_step = self._deliverer(due, thread)
        try:
            self._perform(action, thread)
        finally:
            self.before_step = None
        self.check_rest()
        if untested := [n for n in action.otherwise if n > len(self.m.unknowns)]:
            self._note_untested(untested)

    def _test_anew(self, action: Action) -> None:
        """Count the tests of conditions that are not modeled from here."""
        self.m.unknowns.clear()
        self.m.otherwise = action.otherwise

    def _note_untested(self, numbers: list[int]) -> None:
        last, count = self.records[-1], len(self.m.unknowns)
        last.notes += (
            f"otherwise: there is no test {', '.join(map(str, numbers))}; the action tests"
            f" {counted(count, 'condition')} that {'is' if count == 1 else 'are'} not modeled",
        )

    def _perform(self, action: Action, thread: Task) -> None:
        if not self.m.is_current(thread):
            self.switch_in(thread, thread.cpu)
            self.settle(thread)
        vcpu = self.m.vcpus[action.vcpu]
        self._check_possible(action, thread, vcpu)
        self.m.set(vcpu, "returned", None)
        self.m.set(
            vcpu,
            "msr_data",
            None if action.value is None or action.verb == "user gs-base" else Value(action.value, vcpu.id),
        )
        self._do(thread, vcpu, action)
        self.settle(thread)
        self.m.set(thread, "signal_pending", False)

    def _check_possible(self, action: Action, thread: Task, vcpu: Vcpu) -> None:
        why = why_impossible(action.verb, thread.mode, vcpu)
        if why:
            raise InputError(f"'{action.text}' is not possible: {why}")
        if action.verb == "user gs-base" and not 0 <= (action.value or 0) < TASK_SIZE_MAX:
            raise InputError(
                f"'{action.text}': a user GS base is an address of user space, below {hex(TASK_SIZE_MAX)}"
            )
        if action.signal and VERBS[action.verb].instruction and self.passes_through(vcpu):
            raise InputError(
                f"'{action.text}' does not exit, because access is passed through: no signal can end KVM_RUN"
            )
        if action.cpu is not None and action.cpu >= len(self.m.cpus):
            raise InputError(
                f"'{action.text}': there is no CPU {action.cpu}; the last is cpu{len(self.m.cpus) - 1}"
            )

    def _do(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        m, verb = self.m, VERBS[action.verb]
        value = () if action.value is None else (Value(action.value, vcpu.id),)
        source = verb.source.format(*value)
        if action.verb == "preempt":
            self.tick(thread, action.cpu)
        elif action.verb == "user gs-base":
            base = Value(action.value or 0, thread.id)
            how = user_gs_base_source(thread.by_descriptor, m.host.fsgsbase)
            self.act(
                thread, "user", "user space", how.format(base), lambda: set_user_gs_base(m, thread, base)
            )
        elif verb.ioctl:
            args = sregs(vcpu, action.verb.endswith(" on")) if verb.ioctl == "KVM_SET_SREGS" else ()
            cancelled = action.verb == "run cancelled"
            m.set(thread, "signal_pending", cancelled)
            self.act(
                thread, "user", "user space", f"ioctl(vcpu_fd, {verb.ioctl})",
                lambda: self.call(thread, verb.function, thread.vcpu, *args),
            )  # fmt: skip
        elif verb.instruction and (not verb.exit or self.passes_through(vcpu)):
            instruction = verb.instruction
            self.act(thread, "guest", "guest", source, lambda: instruction(m, vcpu, *value))
        else:
            if action.verb == "guest long-mode on":
                self._prepare_long_mode(thread, vcpu)
            intercepted = ": intercepted, VM exit" if verb.instruction else ""
            pending = ", with a signal pending" if action.signal else ""
            self.exit_guest(thread, verb.exit, source + intercepted + pending)
            m.set(thread, "signal_pending", action.signal)

    def _prepare_long_mode(self, thread: Task, vcpu: Vcpu) -> None:
        """What the guest must do before CR0.PG = 1 can switch to long mode: after an SMI, EFER.LME is 0."""
        if vcpu.cr0 & X86_CR0_PG:  # LME can only be set with paging off
            self.exit_guest(thread, "CR_ACCESS", "MOV to CR0, PG = 0: VM exit")
            self.settle(thread)
        if not vcpu.efer & EFER_LME:
            self.note("EFER.LME has been 0 since the SMI: the guest sets it first, which is one more VM exit")
            self.exit_guest(thread, "MSR_WRITE of EFER", "WRMSR EFER, LME = 1: VM exit")
            self.settle(thread)

    # -- ticks inside the kernel

    def _find_point(self, action: Action, point: PreemptPoint, due: list[tuple[PreemptPoint, int]]) -> int:
        """Which match of the preemption point gets the tick (from 1), 0 if none is reached.

        To find out, the action is run once without that tick, but with those in ``due``, and then
        undone.
        """
        self._check_point(point)
        m, thread = self.m, self.m.threads[action.vcpu]
        saved, kept, came, broken = m.save(), len(self.records), len(self.came), set(self.broken)
        targets, picked, notes = dict(self.targets), dict(self.picked), list(self.pending_notes)
        seen: list[bool] = []

        deliver = self._deliverer(due, thread)

        def watch(running: Task) -> None:
            if running is thread and self._matches(running, point):
                seen.append(not self.why_not_preemptible(running))
            deliver(running)

        after_record, self.after_record = self.after_record, None
        self.before_step = watch
        try:
            self._perform(action, thread)
        except SimulationError:
            pass  # with the tick it may succeed or fail differently; without it, it fails again
        finally:
            self.before_step, self.after_record = None, after_record
            m.restore(saved)
            m.forget()
            del self.records[kept:], self.came[came:]
            self.broken, self.targets, self.picked, self.pending_notes = broken, targets, picked, notes
            self.steps_left = MAX_STEPS
            self._test_anew(action)
        possible = [number for number, preemptible in enumerate(seen, 1) if preemptible]
        if len(possible) >= point.nth:
            return possible[point.nth - 1]
        where = f"before {point.before}" + (f" in {point.function}" if point.function else "")
        if seen and not possible:
            self.note(f"the preemption point {where} is reached only with preemption disabled")
            return min(point.nth, len(seen))
        times = f"is reached only {len(possible)} times with preemption enabled" if seen else "is not reached"
        self.note(f"the preemption point {where} {times}: the tick stays pending until preempt_enable()")
        self.targets[thread.id] = thread.cpu if point.cpu is None else point.cpu
        m.set(m.cpus[thread.cpu], "need_resched", True)
        self.came.append((kept + 1, self.targets[thread.id]))
        return 0

    def _deliverer(self, due: list[tuple[PreemptPoint, int]], thread: Task) -> Callable[[Task], None]:
        """A function to call before each step: it delivers the tick of each (point, number of its match)."""
        left = [number for _, number in due]  # matches until the tick

        def deliver(running: Task) -> None:
            if running is not thread:
                return
            for n, (point, _) in enumerate(due):
                if left[n] and self._matches(running, point):
                    left[n] -= 1
                    if not left[n]:
                        resumes = thread.cpu if point.cpu is None else point.cpu
                        self.came.append((len(self.records), resumes))
                        self.tick(running, point.cpu)

        return deliver

    def _check_point(self, point: PreemptPoint) -> None:
        functions = self.design.functions()
        name = named_function(functions, point.function)
        if point.function and not name:
            raise NoSuchPointError(
                f"{name_of(self.design)} has no function '{point.function}'"
                f"{nearest(point.function, functions)}",
                "preempt, in",
            )
        if point.cpu is not None and point.cpu >= len(self.m.cpus):
            raise InputError(
                f"there is no CPU {point.cpu}; the last is {len(self.m.cpus) - 1}", "preempt, cpu"
            )
        if point.before.startswith("line ") and name:
            lines = {
                f.at(i.line).number for f in self._versions(name) for i in f.instructions if i.kind != "end"
            }
            if int(point.before[5:]) not in lines:
                known = ", ".join(map(str, sorted(lines)))
                raise NoSuchPointError(
                    f"no step starts on {point.before} of {name}; steps start on lines {known}",
                    "preempt, before",
                )

    def _versions(self, name: str) -> list[Function]:
        """The function of that name, and those that it calls through ``super()``."""
        found = [self.design.functions()[name]]
        for function in found:
            calls = [i.callee for i in function.instructions if i.callee and i.callee.kind == "super"]
            found += [self.design.link(callee) for callee in calls if callee.name == name]
        return found

    def _matches(self, thread: Task, point: PreemptPoint) -> bool:
        function, index, _, _ = thread.stack
        if point.function not in (None, function.name, RENAMED.get(function.name)):
            return False
        return is_before(function, function.instructions[index], point.before)


def check_return_to_user(cpu: Any) -> None:
    """Raises SimulationError if a thread returns to user space without having re-enabled preemption
    and interrupts."""
    if cpu.preempt_count or cpu.irqs_disabled:
        left = "interrupts off" if cpu.irqs_disabled else f"preempt_count {cpu.preempt_count}"
        raise SimulationError(f"the thread returns to user space with {left}")


def _scheduling(thread: Task) -> bool:
    """Whether the thread is being preempted: the scheduler runs on top of its kernel code."""
    stack = thread.stack
    while stack is not None:
        if stack[0].interrupt:
            return True
        stack = stack[3]
    return False
