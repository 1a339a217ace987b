"""The machine: CPUs, tasks and vCPUs, and the one way to change them.

Every change goes through :meth:`Machine.set`, so that a step's effect is known exactly.
Objects refer to each other by their index in :attr:`Machine.objects` (a *handle*) or by
name, never by reference: a state can be copied, hashed and compared.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from attrs import define, field

from vmxsim.model.value import Value, no_owner
from vmxsim.model.vcpu import Vcpu


@define(eq=False)
class Cpu:
    """A physical CPU.

    ``kernel_gs_base`` is MSR_KERNEL_GS_BASE as the kernel sees it (in user space SWAPGS
    has exchanged it with the active GS base). ``current`` names the task that runs.
    ``need_resched`` is TIF_NEED_RESCHED of that task: a tick came and waits.
    """

    id: str
    index: int
    kernel_gs_base: Value
    current: str
    preempt_count: int = 0
    irqs_disabled: bool = False
    need_resched: bool = False


#: Where a task is, by :attr:`Task.mode`.
MODE_WORDS = {"user": "in user space", "kernel": "in the kernel", "guest": "in the guest"}


@define(eq=False)
class Task:
    """A host task: a vCPU thread or the plain task.

    ``gs_base`` is its user GS base (``thread.gsbase``), ``gs_sel`` its GS selector (0x63
    for a 32-bit task, else 0), ``mode`` is ``user``, ``kernel`` or ``guest``. ``vcpu`` is
    the handle of the vCPU it runs, ``preempt_notifier`` whether vcpu_load() registered
    one. ``stack`` is its continuation in the kernel, None in user space.
    """

    id: str
    gs_base: Value
    bits: int
    cpu: int
    mode: str = "user"
    gs_sel: int = 0
    vcpu: int | None = None
    preempt_notifier: bool = False
    signal_pending: bool = False
    stack: Any = None


@define(eq=False)
class Machine:
    """CPUs, tasks and vCPUs. ``objects`` holds them all; ``cpu`` and ``task`` are where
    and for whom the current step runs.

    ``log`` collects the step's changes as (object id, field, before, after), ``accesses``
    its accesses of KERNEL_GS_BASE as (kind, CPU, value), ``operations`` what it costs as
    (name, count), ``events`` what the invariants must look at.
    """

    cpus: list[Cpu]
    threads: list[Task]
    plain: Task
    vcpus: list[Vcpu]
    objects: list[Any] = field(init=False)
    cpu: Cpu = field(init=False)
    task: Task = field(init=False)
    descriptor_base: Value = field(factory=lambda: Value(0, "descriptor"))
    log: list[tuple[str, str, Any, Any]] = field(factory=list)
    accesses: list[tuple[str, int, int]] = field(factory=list)
    operations: list[tuple[str, int]] = field(factory=list)
    events: list[tuple[Any, ...]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.objects = [*self.vcpus, *self.cpus, *self.threads, self.plain]
        self.cpu = self.cpus[0]
        self.task = self.plain

    def set(self, obj: Any, name: str, value: Any) -> None:
        """Store ``value`` in a field of one of the machine's objects and log the change.

        Raises TypeError for a bare number where a value belongs: it would have no owner.
        """
        before = getattr(obj, name)
        if before != value:
            if type(value) is int and isinstance(before, Value):
                raise TypeError(no_owner(value))
            setattr(obj, name, value)
            self.log.append((obj.id, name, before, value))

    def task_named(self, name: str) -> Task:
        """The task called ``name`` (``thread0``, ``plain``)."""
        return self.plain if name == "plain" else self.threads[int(name[6:])]

    def is_current(self, task: Task) -> bool:
        """Whether ``task`` is what its CPU runs now."""
        return self.cpus[task.cpu].current == task.id

    def forget(self) -> None:
        """Drop what was collected of the current step."""
        for collected in (self.log, self.accesses, self.operations, self.events):
            collected.clear()

    def save(self) -> tuple[Any, ...]:
        """A copy of every object, for :meth:`restore`."""
        return tuple(copy(obj) for obj in self.objects)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Make every object as it was when ``saved`` was taken; handles stay good."""
        for obj, old in zip(self.objects, saved, strict=True):
            for name in type(obj).__slots__:
                if name != "__weakref__":
                    setattr(obj, name, getattr(old, name))

    def snapshot(self) -> dict[str, Any]:
        """Every field of every object by place (``cpu0.kernel_gs_base``), stacks left out."""
        return {
            f"{obj.id}.{name}": getattr(obj, name)
            for obj in self.objects
            for name in type(obj).__slots__
            if name not in ("__weakref__", "stack", "id", "index")
        }
