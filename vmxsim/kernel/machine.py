"""The machine: CPUs, tasks and vCPUs, and the one way to change them.

Every change goes through :meth:`Machine.set`, so that the effect of each step is known exactly.
Objects refer to each other by index in :attr:`Machine.objects` (a *handle*) or by name, never by
reference: a state can be copied, hashed and compared.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

from attrs import Factory, define, field, frozen

# Registers and bits (Intel SDM volume 4, and volume 3, section 2.5)
MSR_EFER = 0xC0000080
MSR_FS_BASE = 0xC0000100
MSR_GS_BASE = 0xC0000101
MSR_KERNEL_GS_BASE = 0xC0000102

EFER_SCE = 1 << 0
EFER_LME = 1 << 8
EFER_LMA = 1 << 10
EFER_NX = 1 << 11

X86_CR0_PG = 1 << 31

U64 = (1 << 64) - 1


@frozen(slots=True)
class Value:
    """A 64-bit number with an owner.

    The processor sees the number, and every verdict compares numbers. The owner gives a value its
    color and its name in pictures and words; it travels with the number through registers and memory.

    Owners: ``vcpu0``, ``vcpu1`` (a guest's value), ``thread0``, ``thread1`` (the user GS base of a
    vCPU thread), ``plain`` (the user GS base of the plain task), ``descriptor`` (a base of 0, which
    belongs to nobody), ``unknown``.
    """

    number: int
    owner: str

    def __str__(self) -> str:
        return hex(self.number)

    def look(self) -> int:
        """The number, for kernel code that compares it or computes with it. The model checker's
        values, whose numbers are left open, notice it here."""
        return self.number


def number_of(x: Any) -> Any:
    """What an expression in kernel code sees of a value: its number. Owners are for people."""
    return x.look() if isinstance(x, Value) else x


#: The selector that a 32-bit C library uses for thread-local storage.
TLS_SELECTOR = 0x63
#: The base of a task that has none, and of the null selector.
NO_BASE = Value(0, "descriptor")


def owner_words(owner: str) -> str:
    """The owner's name in a sentence: ``guest 0``, ``vCPU thread 0``, ``plain task``, ``nobody``."""
    if owner.startswith("vcpu"):
        return f"guest {owner[4:]}"
    if owner.startswith("thread"):
        return f"vCPU thread {owner[6:]}"
    return {"plain": "plain task", "descriptor": "nobody"}.get(owner, "unknown owner")


def no_owner(number: int) -> str:
    """The complaint about a bare number that kernel code stores as a value of the register."""
    return (
        f"a bare number ({hex(number)}) belongs to no guest and no task: take a value from a field,"
        " from rdmsr() or from the function's argument"
    )


@define(eq=False, slots=False)
class Cpu:
    """A physical CPU. A design may add fields."""

    id: str
    index: int
    #: MSR_KERNEL_GS_BASE as the kernel sees it: before SWAPGS exchanges it on return to user space.
    kernel_gs_base: Value
    #: The task that runs, by name.
    current: str
    preempt_count: int = 0
    irqs_disabled: bool = False
    #: TIF_NEED_RESCHED of the current task: a tick is pending.
    need_resched: bool = False


#: Where a task is, by :attr:`Task.mode`.
MODE_WORDS = {"user": "in user space", "kernel": "in the kernel", "guest": "in the guest"}


@frozen
class Host:
    """The vCPU threads' user space and the processor under it.

    ``bits`` is the width of user space. ``gs_base_from`` says where a thread's user GS base comes from:
    ``msr`` (arch_prctl() or WRGSBASE) or ``descriptor`` (a TLS selector). ``fsgsbase``: the kernel saves and
    loads bases by the FSGSBASE instructions. ``bases``: every task has its ``own`` base, or all have
    ``zero``, as most 64-bit programs do. ``address_bits`` is the width of linear addresses, 48 or 57 (LA57).
    """

    bits: int = 64
    gs_base_from: str = "msr"
    fsgsbase: bool = False
    bases: str = "own"
    address_bits: int = 48

    @property
    def gs_sel(self) -> int:
        """A thread's GS selector: that of thread-local storage if its base comes from a descriptor and in
        every 32-bit program, else 0."""
        return TLS_SELECTOR if self.gs_base_from == "descriptor" or self.bits == 32 else 0

    @property
    def starts_unsaved(self) -> bool:
        """Whether a thread starts with a ``thread.gsbase`` that the first save overwrites: a 64-bit task that
        has just loaded its selector."""
        return self.gs_base_from == "descriptor" and self.bits == 64 and not self.fsgsbase

    @property
    def starts_saved_as_zero(self) -> bool:
        """Whether a thread starts with the ``thread.gsbase`` of 0 that its last save left."""
        return self.gs_base_from == "descriptor" and self.bits == 32 and not self.fsgsbase

    @property
    def leaves_zero(self) -> bool:
        """Whether a context switch leaves the register alone between two tasks: both bases are 0."""
        return self.bases == "zero" and self.gs_base_from == "msr" and not self.fsgsbase


@define(eq=False, slots=False)
class Task:
    """A host task: a vCPU thread or the plain task."""

    id: str
    #: ``thread.gsbase``, the kernel's saved copy of its user GS base. May be old, or 0, while the task runs.
    gs_base: Value
    #: The width of its user space, 64 or 32.
    bits: int
    cpu: int
    #: ``user``, ``kernel`` or ``guest``.
    mode: str = "user"
    #: Its GS selector: 0x63 for a task whose base comes from a descriptor and for a 32-bit one, else 0.
    gs_sel: int = 0
    #: Its base comes from the descriptor that its selector names, not from the MSR.
    by_descriptor: bool = False
    #: The base in that descriptor: what ``load_gs_index()`` puts into the register.
    descriptor_base: Value = NO_BASE
    #: Ghost variable: the GS base that its user space must find. Only user space changes it.
    true_user_gs_base: Value = field(default=Factory(lambda task: task.gs_base, takes_self=True))
    #: Handle of the vCPU that it runs.
    vcpu: int | None = None
    #: vcpu_load() has registered a notifier, and vcpu_put() has not removed it yet.
    preempt_notifier: bool = False
    signal_pending: bool = False
    #: Its continuation in the kernel, None in user space.
    stack: Any = None


#: What the kernel has called a field of :class:`Vcpu` or :class:`Task`, then and now.
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
    # selectors that enter saves
    "host_state.ldt_sel": "ldt_sel",
    "host_state.gs_sel": "gs_sel",
    # the task's own saved base: thread.gs until 4.x, thread.gsbase since
    "thread.gs": "gs_base",
    "thread.gsbase": "gs_base",
    # the selector that save_fsgs_for_kvm() saved
    "thread.gsindex": "gs_sel",
}


@define(eq=False, slots=False)
class Vcpu:
    """One virtual CPU: the part of ``struct vcpu_vmx`` that matters here. A design may add fields."""

    id: str
    #: The guest's value, saved.
    g: Value
    #: The host's value, saved.
    h: Value
    #: The guest's active GS base, which the VMCS switches.
    gs_base: Value
    #: Ghost variables: what KERNEL_GS_BASE and the GS base would be if the guest had its own hardware.
    #: Only the invariants and the views see them.
    true_guest_value: Value
    true_gs_base: Value
    #: EFER and CR0 of the guest, as KVM caches them.
    efer: int
    cr0: int
    #: Guest state is loaded: enter has run, and leave has not.
    loaded: bool = False
    #: Array designs: the register is on the list of MSRs to switch.
    lists_kernel_gs_base: bool = False
    #: How many shared MSRs enter sets, and whether they are set.
    save_nmsrs: int = 0
    msrs_ready: bool = False
    #: The MSR bitmap in use passes the register through.
    bitmap_passes: bool = False
    #: Selectors that enter saved.
    ldt_sel: int = 0
    gs_sel: int = 0
    exit_reason: str = ""
    #: What a WRMSR or KVM_SET_MSRS writes.
    msr_data: Value | None = None
    #: What the last access returned: a value, ``#GP`` or ``refused``.
    returned: Value | str | None = None
    #: In system-management mode, and what SMRAM holds.
    smm: bool = False
    smram_efer: int = 0
    smram_cr0: int = 0

    @property
    def long_mode(self) -> bool:
        """EFER.LMA as KVM caches it."""
        return bool(self.efer & EFER_LMA)


def reset_efer(long_mode: bool) -> int:
    """EFER of a guest that starts in or outside long mode: SCE, LME and NX are set."""
    return EFER_SCE | EFER_LME | EFER_NX | (EFER_LMA if long_mode else 0)


def reset_cr0(long_mode: bool) -> int:
    """CR0 of a guest that starts with paging on or off."""
    return X86_CR0_PG if long_mode else 0


@define(eq=False)
class Machine:
    """CPUs, tasks and vCPUs."""

    cpus: list[Cpu]
    threads: list[Task]
    plain: Task
    vcpus: list[Vcpu]
    #: All of the above, by handle.
    objects: list[Any] = field(init=False)
    #: Where and for whom the current step runs.
    cpu: Cpu = field(init=False)
    task: Task = field(init=False)
    host: Host = Host()
    #: The step's changes, as (object id, field, before, after).
    log: list[tuple[str, str, Any, Any]] = field(factory=list)
    #: Its accesses to KERNEL_GS_BASE, as (kind, CPU, value).
    accesses: list[tuple[str, int, int]] = field(factory=list)
    #: What it costs, as (operation, count).
    operations: list[tuple[str, int]] = field(factory=list)
    #: What the invariants must look at.
    events: list[tuple[Any, ...]] = field(factory=list)
    #: The conditions that are not modeled, as the action (in the checker: the section) tested them, with how
    #: each came out; and which of these tests, from 1, come out the other way.
    unknowns: list[tuple[str, bool]] = field(factory=list)
    otherwise: Collection[int] = ()
    #: Those that come out the other way throughout.
    inverted: Collection[str] = ()

    def __attrs_post_init__(self) -> None:
        self.objects = [*self.vcpus, *self.cpus, *self.threads, self.plain]
        self.cpu = self.cpus[0]
        self.task = self.plain

    def set(self, obj: Any, name: str, value: Any) -> None:
        """Store ``value`` in a field of one of the machine's objects, and log the change. Assigning
        directly would lose the log.

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
        """Whether its CPU runs ``task`` now."""
        return self.cpus[task.cpu].current == task.id

    def forget(self) -> None:
        """Drop what was collected during the current step."""
        for collected in (self.log, self.accesses, self.operations, self.events):
            collected.clear()

    def save(self) -> tuple[Any, ...]:
        """A copy of every object, for :meth:`restore`."""
        return tuple(copy(obj) for obj in self.objects)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Put every object back as it was when ``saved`` was taken. Handles stay valid."""
        for obj, old in zip(self.objects, saved, strict=True):
            vars(obj).update(vars(old))

    def snapshot(self) -> dict[str, Any]:
        """Every field of every object by place (``cpu0.kernel_gs_base``), except the stacks."""
        return {
            f"{obj.id}.{name}": value
            for obj in self.objects
            for name, value in vars(obj).items()
            if name not in ("stack", "id", "index")
        }
