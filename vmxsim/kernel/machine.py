"""The machine: CPUs, tasks and vCPUs, and the one way to change them.

Every change goes through :meth:`Machine.set`, so that a step's effect is known exactly.
Objects refer to each other by their index in :attr:`Machine.objects` (a *handle*) or by
name, never by reference: a state can be copied, hashed and compared.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from attrs import define, field, frozen

# -- Numbers of registers and bits (Intel SDM volume 4 and volume 3, section 2.5).


MSR_EFER = 0xC0000080
MSR_FS_BASE = 0xC0000100
MSR_GS_BASE = 0xC0000101
MSR_KERNEL_GS_BASE = 0xC0000102

EFER_SCE = 1 << 0
EFER_LME = 1 << 8
EFER_LMA = 1 << 10
EFER_NX = 1 << 11

X86_CR0_PG = 1 << 31


# -- Values of the register, and who owns them.


U64 = (1 << 64) - 1


@frozen(slots=True)
class Value:
    """A 64-bit number with an owner.

    The number is what the processor sees and what every verdict compares. The owner
    gives a value its colour and its name in pictures and words; it travels with the
    number through registers and memory.

    Owners: ``vcpu0``, ``vcpu1`` (a guest's value), ``thread0``, ``thread1`` (the user GS
    base of a vCPU thread), ``plain`` (the user GS base of the plain task),
    ``descriptor`` (the base that ``load_gs_index()`` leaves behind), ``unknown``.
    """

    number: int
    owner: str

    def __str__(self) -> str:
        return hex(self.number)

    def look(self) -> int:
        """The number, for kernel code that compares it or computes with it. A value whose number
        is left open (the model checker's) hears of it here."""
        return self.number


def number_of(x: Any) -> Any:
    """What an expression of kernel code sees of a value: its number. Owners are for people."""
    return x.look() if isinstance(x, Value) else x


def owner_words(owner: str) -> str:
    """The owner's name in a sentence: ``guest 0``, ``vCPU thread 0``, ``plain task``."""
    if owner.startswith("vcpu"):
        return f"guest {owner[4:]}"
    if owner.startswith("thread"):
        return f"vCPU thread {owner[6:]}"
    return {"plain": "plain task", "descriptor": "descriptor"}.get(owner, "unknown owner")


def no_owner(number: int) -> str:
    """What to say of a number that kernel code wants to store as a value of the register."""
    return (
        f"a number of its own ({hex(number)}) belongs to no guest and no task: take a value from a field,"
        " from rdmsr() or from the function's argument"
    )


# -- A vCPU: what ``struct vcpu_vmx`` holds of this puzzle, under every name it has had.


#: The kernel's names of a field, old and new, and the field of :class:`Vcpu` they mean.
FIELD_NAMES = {
    # where the guest's value is saved
    "msr_guest_kernel_gs_base": "g",
    "guest_msrs.kernel_gs_base": "g",
    # where the host's value is saved
    "msr_host_kernel_gs_base": "h",
    "host_msrs.kernel_gs_base": "h",
    "vt.msr_host_kernel_gs_base": "h",
    # guest state is loaded
    "host_state.loaded": "loaded",
    "loaded_cpu_state": "loaded",
    "guest_state_loaded": "loaded",
    "vt.guest_state_loaded": "loaded",
    # the list of shared MSRs (user return MSRs)
    "guest_msrs_ready": "msrs_ready",
    "guest_uret_msrs_loaded": "msrs_ready",
    # selectors saved on the way in
    "host_state.ldt_sel": "ldt_sel",
    "host_state.gs_sel": "gs_sel",
    # the task's own saved base: thread.gs until 4.x, thread.gsbase since
    "thread.gs": "gs_base",
    "thread.gsbase": "gs_base",
}


@define(eq=False)
class Vcpu:
    """One virtual CPU.

    ``g`` and ``h`` are the saved values of guest and host, ``loaded`` whether guest state
    is loaded, ``gs_base`` the guest's active GS base (switched by the VMCS). ``efer`` and
    ``cr0`` are the guest's, as KVM caches them. ``lists_kernel_gs_base``: the array
    designs' list of MSRs to switch holds the register; ``save_nmsrs``: how many shared
    MSRs *enter* sets. ``bitmap_passes``: the MSR bitmap installed passes the register
    through. ``true_guest_value`` and ``true_gs_base`` are ghosts: what the guest's
    KERNEL_GS_BASE and GS base would be on a machine of its own. Only the invariants and
    the views see them.
    """

    id: str
    g: Value
    h: Value
    gs_base: Value
    true_guest_value: Value
    true_gs_base: Value
    efer: int
    cr0: int
    loaded: bool = False
    lists_kernel_gs_base: bool = False
    save_nmsrs: int = 0
    msrs_ready: bool = False
    bitmap_passes: bool = False
    ldt_sel: int = 0
    gs_sel: int = 0
    exit_reason: str = ""
    msr_data: Value | None = None
    returned: Value | str | None = None
    smm: bool = False
    smram_efer: int = 0
    smram_cr0: int = 0

    @property
    def long_mode(self) -> bool:
        """EFER.LMA as KVM caches it."""
        return bool(self.efer & EFER_LMA)


def reset_efer(long_mode: bool) -> int:
    """EFER of a guest that starts in (or out of) long mode: SCE, LME and NX are set."""
    return EFER_SCE | EFER_LME | EFER_NX | (EFER_LMA if long_mode else 0)


def reset_cr0(long_mode: bool) -> int:
    """CR0 of a guest that starts with paging on or off."""
    return X86_CR0_PG if long_mode else 0


# -- (main)


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
