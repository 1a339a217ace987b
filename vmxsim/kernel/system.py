"""A machine that runs a design: threads, guests and the scheduler, one action at a time."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from vmxsim.errors import SimulationError
from vmxsim.kernel.invariants import check_event, check_user_space, guest_runs
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.recorder import Record, Recorder
from vmxsim.model.machine import Cpu, Machine, Task
from vmxsim.model.processor import vm_exit
from vmxsim.model.value import Value
from vmxsim.model.vcpu import Vcpu, reset_cr0, reset_efer
from vmxsim.program.ir import Callee, Function
from vmxsim.program.thread import enter, step

#: Steps after which an action is taken to loop for ever.
MAX_STEPS = 20_000

USER_GS_BASE = (0x7F0000001000, 0x7F0000003000)
PLAIN_GS_BASE = 0x7F0000002000
GUEST_GS_BASE = (0xFFFF800000001000, 0xFFFF800000002000)


def make_machine(design: type[Kvm], bits: int, long_mode: bool, cpus: int, vcpus: int) -> Machine:
    """The machine at its start: every thread in user space, every guest's register 0."""
    plain = Task("plain", Value(PLAIN_GS_BASE, "plain"), 64, cpu=0)
    threads, guests, current = [], [], ["plain"] * cpus
    for n in range(vcpus):
        cpu = min(n, cpus - 1)
        gs_base = Value(USER_GS_BASE[n], f"thread{n}")
        threads.append(Task(f"thread{n}", gs_base, bits, cpu, gs_sel=0x63 if bits == 32 else 0, vcpu=n))
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
    values = {"plain": plain.gs_base} | {t.id: t.gs_base for t in threads}
    machine_cpus = [Cpu(f"cpu{n}", n, values[task], task) for n, task in enumerate(current)]
    return Machine(machine_cpus, threads, plain, guests)


@define(eq=False)
class System(Recorder):
    """A design on a machine. ``interception`` is ``rule`` (access exits by EFER.LMA and the
    design's rule) or ``bitmap`` (by what the real MSR bitmaps were left at)."""

    design: type[Kvm]
    m: Machine
    interception: str = "rule"
    #: CPU on which a thread goes on after its next preemption.
    targets: dict[str, int] = field(factory=dict)
    #: Task that a CPU runs after its next context switch.
    picked: dict[int, Task] = field(factory=dict)
    #: Called before every kernel step with the thread; may deliver a tick.
    before_step: Any = None
    #: Called after every recorded step with its number.
    after_record: Any = None
    steps_left: int = MAX_STEPS

    def passes_through(self, vcpu: Vcpu) -> bool:
        """Whether the guest's RDMSR and WRMSR of the register reach the processor's."""
        if self.design.interception == "outside long mode":
            return vcpu.bitmap_passes if self.interception == "bitmap" else vcpu.long_mode
        return self.design.interception == "never"

    def guest_would_read(self, m: Machine, thread: Task, vcpu: Vcpu) -> tuple[Value, str]:
        """What the guest would get if it read the register now, and where that is:
        ``register``, ``register, by KVM`` or ``saved``. ``m`` is the machine or a copy of it."""
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
        """Push a kernel function on the thread's stack: it runs next."""
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
                    f"no end after {MAX_STEPS} steps: the design loops for ever", where.name if where else ""
                )

    def step(self, thread: Task) -> None:
        """One line of the thread's kernel code."""
        m = self.m
        m.cpu, m.task = m.cpus[thread.cpu], thread
        before = thread.stack
        record = Record(self.action, thread.id, thread.cpu, "kernel", before)
        thread.stack = step(m, self.design, before)
        if thread.stack is None and not self.preempt_if_due(thread):
            check_return_to_user(m.cpu)
            m.set(thread, "mode", "user")
        switched_out = False
        for event in self.take_events():
            if event[0] == "switch-out":
                switched_out = True
            else:
                self.break_invariants(record, check_event(m, event, self._passes(event)))
        if switched_out:
            self.place(self.picked.pop(thread.cpu, m.plain), m.cpus[record.cpu])
        self.commit(record)
        if thread.mode == "guest" and m.cpu.need_resched:
            self.exit_guest(thread, "EXTERNAL_INTERRUPT", "the tick that was pending: VM exit")

    def take_events(self) -> list[tuple[Any, ...]]:
        """What the step that just ran left for the invariants."""
        events = self.m.events
        if events:
            self.m.events = []
        return events

    def _passes(self, event: tuple[Any, ...]) -> bool:
        return event[0] == "guest-runs" and self.passes_through(event[1])

    def act(self, thread: Task, mode: str, function: str, source: str, effect: Any = None) -> None:
        """One step that is no line of kernel code: the guest's, user space's or the tick's."""
        m = self.m
        m.cpu, m.task = m.cpus[thread.cpu], thread
        record = Record(self.action, thread.id, thread.cpu, mode, None, function, source)
        if effect:
            effect()
        for event in self.take_events():
            self.break_invariants(record, check_event(m, event, self._passes(event)))
        self.commit(record)

    def commit(self, record: Record) -> None:
        """Keep the step and tell whoever waits for its number."""
        record.after = self.m.task.stack if self.m.task.mode == "kernel" else None
        record.state = (self.m.cpu.preempt_count, self.m.cpu.irqs_disabled, self.m.task.mode)
        self.keep(record, self.m)
        if self.after_record is not None:
            self.after_record(len(self.records))

    def exit_guest(self, thread: Task, reason: str, source: str, **fields: Any) -> None:
        """A VM exit: the kernel goes on behind its VM entry, interrupts off."""

        def effect() -> None:
            vcpu = self.m.vcpus[thread.vcpu or 0]
            vm_exit(self.m, vcpu, reason)
            for name, value in fields.items():
                self.m.set(vcpu, name, value)

        self.act(thread, "guest", "guest", source, effect)

    # -- the scheduler

    def why_not_preemptible(self, thread: Task) -> str:
        """'' where a tick would take effect at once, else what holds it back."""
        cpu = self.m.cpus[thread.cpu]
        if cpu.irqs_disabled:
            return "interrupts are off"
        if cpu.preempt_count:
            return f"preemption is disabled (preempt_count {cpu.preempt_count})"
        if thread.stack is not None and thread.stack[0].interrupt:
            return "the scheduler is at work"
        return ""

    def preempt_if_due(self, thread: Task) -> bool:
        """Where a tick waits and preemption is possible, call the scheduler."""
        m = self.m
        cpu = m.cpus[thread.cpu]
        if not cpu.need_resched or not m.is_current(thread) or self.why_not_preemptible(thread):
            return False
        m.cpu, m.task = cpu, thread
        self.call(thread, "preempt_schedule_irq", thread.vcpu)
        return True

    def tick(self, thread: Task, target: int | None) -> None:
        """A tick comes on the thread's CPU: it is to go on on CPU ``target``."""
        m = self.m
        cpu = m.cpus[thread.cpu]
        if thread.mode == "kernel" and thread.id in self.targets and _scheduling(thread):
            self.note(f"a tick comes on CPU {cpu.index} while the scheduler is at work: nothing changes")
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
        """``__switch_to()``: the task's user GS base goes into the register."""
        m = self.m
        m.set(cpu, "kernel_gs_base", task.gs_base)
        m.accesses.append(("ctxsw", cpu.index, task.gs_base.number))
        m.set(cpu, "current", task.id)
        m.set(cpu, "preempt_count", 1 if task.stack else 0)
        if task is not m.plain:
            m.set(task, "cpu", cpu.index)

    def switch_in(self, thread: Task, index: int) -> None:
        """Make the thread run on CPU ``index``; a vCPU thread there is switched out first."""
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
        """Run until the thread is in user space or in the guest, bringing it back when preempted."""
        self.drive(thread)
        while not self.m.is_current(thread):
            self.switch_in(thread, self.targets.pop(thread.id, thread.cpu))
            self.drive(thread)

    # -- what must hold when an action has come to its end

    def check_rest(self) -> None:
        """Check the invariants where every thread has come to rest."""
        m = self.m
        if not self.records:
            return
        last = self.records[-1]
        self.break_invariants(last, check_user_space(m))
        for thread, vcpu in zip(m.threads, m.vcpus, strict=True):
            if thread.mode == "guest" and m.is_current(thread) and self.passes_through(vcpu):
                self.break_invariants(last, guest_runs(m, vcpu, m.cpus[thread.cpu]))


def check_return_to_user(cpu: Any) -> None:
    """Raises SimulationError where a thread goes back to user space without having enabled
    preemption and interrupts again."""
    if cpu.preempt_count or cpu.irqs_disabled:
        left = "interrupts off" if cpu.irqs_disabled else f"preempt_count {cpu.preempt_count}"
        raise SimulationError(f"the thread goes back to user space with {left}")


def _scheduling(thread: Task) -> bool:
    """Whether the thread is being preempted: the scheduler runs on top of its kernel code."""
    stack = thread.stack
    while stack is not None:
        if stack[0].interrupt:
            return True
        stack = stack[3]
    return False
