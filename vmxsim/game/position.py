"""Where the thread is after some of a run's steps: at rest, or in the kernel, and what a tick would do."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from vmxsim.game.playing import Run
from vmxsim.model.machine import MODE_WORDS
from vmxsim.program.ir import Instruction
from vmxsim.program.thread import Stack


class Position:
    """The point behind the first ``shown`` steps of ``run``: nothing behind it has happened yet.

    ``mode`` is ``user``, ``guest`` or ``kernel``, ``cpu`` where the thread runs or ran last;
    ``at_rest``: the last action has come to its end. ``waits``: the thread has no CPU.
    ``holds_back`` says why a tick would stay pending, '' where it takes effect at once.
    """

    def __init__(self, run: Run, shown: int) -> None:
        self.run, self.shown = run, shown
        m = run.trace.machine(shown)
        thread, vcpu = m.threads[0], m.vcpus[0]
        self.mode, self.cpu = thread.mode, thread.cpu
        cpu = m.cpus[thread.cpu]
        self.waits = cpu.current != thread.id
        self.at_rest = shown == run.length and not run.failure
        self.long_mode, self.smm = vcpu.long_mode, vcpu.smm
        self.tick_waits = not self.waits and cpu.need_resched
        self.holds_back = ""
        if cpu.irqs_disabled:
            self.holds_back = "interrupts are off"
        elif cpu.preempt_count:
            self.holds_back = f"preemption is disabled (preempt_count {cpu.preempt_count})"

    @cached_property
    def stack(self) -> Stack:
        """The thread's continuation in the kernel, None elsewhere."""
        if self.mode != "kernel":
            return None
        records = self.run.trace.environment.records
        return next((r.after for r in reversed(records[: self.shown]) if r.thread == "thread0"), None)

    @property
    def continuation(self) -> Stack:
        """The thread's whole continuation, in the guest too: the kernel behind its VM entry."""
        if self.shown == self.run.length:
            return self.run.trace.environment.m.threads[0].stack
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
    def line(self) -> str:
        """The source of the line that is next."""
        return self.stack[0].source[self.instruction.line - 1].strip() if self.instruction else ""

    @property
    def preemptible(self) -> bool:
        """Whether this is a point in the kernel at which the scheduler acts at once."""
        return self.mode == "kernel" and not (self.scheduling or self.holds_back or self.tick_waits)

    @property
    def is_choice(self) -> bool:
        """Whether the checker has a state here: at rest, or where the scheduler acts at once."""
        return self.at_rest or self.preemptible

    @property
    def words(self) -> str:
        """Where the thread is, in a sentence."""
        if self.waits:
            return "vCPU thread 0 has no CPU: the plain task runs."
        where = f"vCPU thread 0 is {MODE_WORDS[self.mode]} on CPU {self.cpu}"
        if self.instruction is None:
            return f"{where}." if self.at_rest or self.mode == "user" else f"{where}; its action goes on."
        return f"{where}. Next: {self.function}(), line {self.instruction.line}."

    def fields(self) -> dict[tuple[str, str], Any]:
        """Every field of the thread, its vCPU and its CPU, by (object, name) as the checker has them."""
        m = self.run.trace.machine(self.shown)
        objects: dict[str, Any] = {"cpu0": m.cpus[self.cpu], "thread0": m.threads[0], "vcpu0": m.vcpus[0]}
        return {
            (holder, name): getattr(obj, name)
            for holder, obj in objects.items()
            for name in obj.__slots__
            if name not in ("__weakref__", "stack")
        }
