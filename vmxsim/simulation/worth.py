"""From the machine's fields to what they are worth: live, copy, stale, foreign, unused.

The guest's true value and each task's user GS base are the two truths of the puzzle. A
place is judged against the truth of whoever would use it next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from vmxsim.designs.history import reached
from vmxsim.kernel.invariants import describe
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import MODE_WORDS, Cpu, Machine, Task, Value, Vcpu, owner_words
from vmxsim.kernel.program import Current, Expr, Field, Function, parts
from vmxsim.kernel.simulator import Simulator
from vmxsim.simulation.trace import Box, Cell, Scene

Changes = Sequence[tuple[str, str, Any, Any]]


#: ``current.thread.gsbase``, which was called ``thread.gs`` before, and the width of the task's user space.
_SAVED_BASE, _WIDTH = Field(Current(), "gs_base"), Field(Current(), "bits")


def _read(function: Function) -> set[Expr]:
    """The expressions that a function computes, and what they are made of."""
    every = (e for i in function.instructions for e in (i.expr, *i.args) if e is not None)
    return {part for e in every for part in parts(e)}


class CellJudge:
    """The scenes of a run. Steps are applied to (or taken back from) one machine."""

    def __init__(
        self, design: type[Kvm], start: Machine, changes: Sequence[Changes], simulator: Simulator
    ) -> None:
        self.design, self.m, self.changes, self.system = design, start, changes, simulator
        self.by_id = {obj.id: obj for obj in start.objects}
        self.at = 0

    def move(self, index: int) -> Machine:
        """Bring the machine to where it was after ``index`` steps."""
        while self.at < index:
            for obj, name, _, now in self.changes[self.at]:
                setattr(self.by_id[obj], name, now)
            self.at += 1
        while self.at > index:
            self.at -= 1
            for obj, name, before, _ in reversed(self.changes[self.at]):
                setattr(self.by_id[obj], name, before)
        return self.m

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps, each place judged."""
        m = self.move(index)
        judged = {cpu.index: self.register_status(cpu) for cpu in m.cpus}
        boxes = [self.cpu_box(cpu, judged[cpu.index]) for cpu in m.cpus]
        boxes += [
            self.vcpu_box(vcpu, thread, judged) for vcpu, thread in zip(m.vcpus, m.threads, strict=True)
        ]
        boxes += [self.task_box(task, judged) for task in (*m.threads, m.plain)]
        dangers = [
            danger
            for vcpu, thread in zip(m.vcpus, m.threads, strict=True)
            for danger in self.dangers(vcpu, thread)
        ]
        return Scene(tuple(boxes), tuple(dangers))

    def register_status(self, cpu: Cpu) -> tuple[str, str]:
        """(status, whose value it is taken for) of a CPU's KERNEL_GS_BASE."""
        m, found = self.m, cpu.kernel_gs_base
        task = m.task_named(cpu.current)
        if task.vcpu is None or task.mode == "user":
            return self.judge(found, task.true_user_gs_base, task.id), task.id
        vcpu = m.vcpus[task.vcpu]
        true = vcpu.true_guest_value
        if task.mode == "guest" and self.system.passes_through(vcpu):
            return self.judge(found, true, vcpu.id), vcpu.id
        if found.owner == vcpu.id:
            if found.number != true.number:
                return "stale", vcpu.id
            here = self.design._in_register(vcpu) or vcpu.g.number != true.number
            return ("live" if here else "copy"), vcpu.id
        return self.judge(found, task.true_user_gs_base, task.id), task.id

    @staticmethod
    def judge(found: Value, true: Value, owner: str) -> str:
        """What a value is worth where ``owner``'s ``true`` value should be."""
        if found.number == true.number:
            return "live"
        return "stale" if found.owner == owner else "foreign"

    def register_of(self, task: Task, judged: dict[int, tuple[str, str]]) -> tuple[str, str]:
        """The status of the register of the task's CPU, if the task runs there."""
        return judged[task.cpu] if self.m.is_current(task) else ("unused", "")

    def cpu_box(self, cpu: Cpu, judged: tuple[str, str]) -> Box:
        task = self.m.task_named(cpu.current)
        name = owner_words(task.id)
        facts = (
            ("runs", f"{name}, {MODE_WORDS[task.mode]}"),
            ("preempt_count", str(cpu.preempt_count)),
            ("interrupts", "off" if cpu.irqs_disabled else "on"),
            ("TIF_NEED_RESCHED", str(int(cpu.need_resched))),
        )
        cell = Cell(f"{cpu.id}.kernel_gs_base", "KERNEL_GS_BASE", cpu.kernel_gs_base, judged[0])
        return Box(cpu.id, "cpu", f"CPU {cpu.index}", facts, (cell,), name, task.mode)

    def vcpu_box(self, vcpu: Vcpu, thread: Task, judged: dict[int, tuple[str, str]]) -> Box:
        labels = self.design.labels
        status, whose = self.register_of(thread, judged)
        guest_in_register = status == "live" and whose == vcpu.id
        host_in_register = status == "live" and whose == thread.id
        g = self.judge(vcpu.g, vcpu.true_guest_value, vcpu.id)
        if g == "live" and guest_in_register:
            g = "copy"
        h = (
            self.judge(vcpu.h, thread.true_user_gs_base, thread.id)
            if self.h_in_use(vcpu, thread)
            else "unused"
        )
        if h == "live" and host_in_register:
            h = "copy"
        active = self.judge(vcpu.gs_base, vcpu.true_gs_base, vcpu.id)
        cells = (
            Cell(f"{vcpu.id}.g", labels["g"], vcpu.g, g),
            Cell(f"{vcpu.id}.h", labels["h"], vcpu.h if vcpu.h.owner != "unknown" else None, h),
            Cell(f"{vcpu.id}.gs_base", "guest GS base", vcpu.gs_base, active),
        )
        passes = self.system.passes_through(vcpu)
        facts = [
            ("EFER.LMA", str(int(vcpu.long_mode))),
            (labels["loaded"], str(int(vcpu.loaded))),
            ("guest access", "passed through" if passes else "intercepted"),
            ("true value", str(vcpu.true_guest_value)),
            ("SMM", "yes" if vcpu.smm else "no"),
        ]
        if "guest_msrs" in labels["g"]:
            facts.insert(2, ("list holds it", "yes" if vcpu.lists_kernel_gs_base else "no"))
        return Box(vcpu.id, "vcpu", f"struct vcpu_vmx, vCPU {vcpu.id[4:]}", tuple(facts), cells)

    def h_in_use(self, vcpu: Vcpu, thread: Task) -> bool:
        """Whether the saved host value means anything: while guest state is loaded, and until
        leave, which in most designs clears L first, has written the register."""
        register = self.m.cpus[thread.cpu].kernel_gs_base
        leaving = self.m.is_current(thread) and register.number != thread.true_user_gs_base.number
        return vcpu.h.owner != "unknown" and (vcpu.loaded or (leaving and thread.mode == "kernel"))

    def task_box(self, task: Task, judged: dict[int, tuple[str, str]]) -> Box:
        if task is self.m.plain:
            held = any(
                c.current == "plain" and c.kernel_gs_base.number == task.true_user_gs_base.number
                for c in self.m.cpus
            )
            on = [str(c.index) for c in self.m.cpus if c.current == "plain"]
            facts = (("mode", MODE_WORDS["user"] if on else "waits"), ("CPU", ", ".join(on) or "none"))
        else:
            current = self.m.is_current(task)
            status, whose = self.register_of(task, judged)
            vcpu = self.m.vcpus[task.vcpu or 0]
            held = (status == "live" and whose == task.id) or (
                self.h_in_use(vcpu, task) and vcpu.h.number == task.true_user_gs_base.number and current
            )
            facts = (("mode", MODE_WORDS[task.mode] if current else "waits"), ("CPU", str(task.cpu)))
        title = "plain task" if task is self.m.plain else f"vCPU thread {task.id[6:]} ({task.bits}-bit)"
        return Box(task.id, "task", title, facts, self.task_cells(task, held))

    def task_cells(self, task: Task, held: bool) -> tuple[Cell, ...]:
        """Where the kernel keeps a task's base; ``held``: the register or h holds it, and is used."""
        saved = self.judge(task.gs_base, task.true_user_gs_base, task.id)
        status = "copy" if held and saved == "live" else saved
        if not task.by_descriptor:
            return (Cell(f"{task.id}.gs_base", "thread.gsbase", task.gs_base, status),)
        # a context switch takes such a task's base from thread.gsbase with FSGSBASE only
        switched_by_saved = self.m.host.fsgsbase and saved == "live"
        if not self.m.host.fsgsbase:
            status = "unused" if not self.takes_saved_base else "copy" if status == "live" else status
        return (
            Cell(f"{task.id}.gs_base", "thread.gsbase", task.gs_base, status),
            Cell(
                f"{task.id}.descriptor_base",
                "descriptor's base",
                task.descriptor_base,
                "copy" if held or switched_by_saved else "live",
            ),
        )

    @cached_property
    def takes_saved_base(self) -> bool:
        """Whether the design takes a vCPU thread's base from thread.gsbase: only that of a 64-bit task, where
        it looks at the width of user space."""
        read = [_read(function) for function in reached(self.design).values()]
        return any(
            _SAVED_BASE in fields and (self.m.host.bits == 64 or _WIDTH not in fields) for fields in read
        )

    def dangers(self, vcpu: Vcpu, thread: Task) -> list[tuple[str, str]]:
        """What guest and user space of this thread would find if they ran now."""
        m = self.m
        if not m.is_current(thread):
            return []
        found = m.cpus[thread.cpu].kernel_gs_base
        true = vcpu.true_guest_value
        dangers = []
        served, place = self.system.guest_would_read(m, thread, vcpu)
        how = {
            "register": "in the register",
            "register, by KVM": "from KVM, which would look in the register",
            "saved": f"from KVM, which would look in {self.design.labels['g']}",
        }[place]
        if served.number != true.number:
            words = f"it would get {describe(served)} {how}; right is {true}."
            dangers.append(("guest-value", f"If {owner_words(vcpu.id)} read its KERNEL_GS_BASE now, {words}"))
        if found.number != thread.true_user_gs_base.number:
            words = f"its GS base would be {describe(found)}; right is {thread.true_user_gs_base}."
            dangers.append(("host-value", f"If user space of {owner_words(thread.id)} ran now, {words}"))
        return dangers
