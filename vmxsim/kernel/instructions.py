"""What a step can do: the processor's instructions and the kernel's services, as *primitives*.

A kernel function of the simulator may call only primitives (by bare name) and other kernel functions
(through ``self``). A primitive takes the :class:`~vmxsim.kernel.machine.Machine` first; the simulator
supplies that argument, and the caller does not write it.

Sources: Intel SDM volume 2 (RDMSR, WRMSR, SWAPGS), volume 3, chapters "VM entries", "VM exits" and
"MSR bitmaps".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from vmxsim.kernel.machine import (
    EFER_LMA,
    MSR_KERNEL_GS_BASE,
    NO_BASE,
    Cpu,
    Machine,
    Task,
    Value,
    Vcpu,
    no_owner,
    number_of,
)

F = TypeVar("F", bound=Callable[..., Any])

PRIMITIVES: dict[str, Callable[..., Any]] = {}
#: Primitives that only read: a condition may call them.
QUERIES: set[str] = set()
#: Primitives that only cost time: no state depends on their arguments.
COST_ONLY: set[str] = set()


def primitive(function: F) -> F:
    """Register an instruction or kernel service that changes the machine or costs time."""
    PRIMITIVES[function.__name__] = function
    return function


def query(function: F) -> F:
    """Register a primitive that reads the machine and changes nothing."""
    QUERIES.add(function.__name__)
    return primitive(function)


def cost_only(function: F) -> F:
    """Register an instruction that costs time and changes nothing in the model."""
    COST_ONLY.add(function.__name__)
    return primitive(function)


# -- the processor and KERNEL_GS_BASE


def is_canonical(number: int, address_bits: int = 48) -> bool:
    """Whether all bits from the top bit of a linear address up are the same. Linear addresses are 48 bits
    wide, or 57 with LA57."""
    top = number >> (address_bits - 1)
    return top in (0, (1 << (65 - address_bits)) - 1)


@query
def is_noncanonical_address(m: Machine, data: Value) -> bool:
    """Whether WRMSR of this value would raise #GP."""
    return not is_canonical(data.number, m.host.address_bits)


@query
def is_long_mode(m: Machine, vcpu: int) -> bool:
    """EFER.LMA of the vCPU, as KVM caches it."""
    return bool(m.objects[vcpu].efer & EFER_LMA)


@primitive
def rdmsr(m: Machine, msr: int) -> Value | None:
    """RDMSR. For other MSRs, only the cost is modeled."""
    if msr != MSR_KERNEL_GS_BASE:
        m.operations.append(("rdmsr", 1))
        return None
    value = m.cpu.kernel_gs_base
    m.operations.append(("rdmsr_kernel_gs_base", 1))
    m.accesses.append(("rdmsr", m.cpu.index, value.number))
    return value


@primitive
def wrmsr(m: Machine, msr: int, value: Value | None = None) -> None:
    """WRMSR. A non-canonical base raises #GP, and the kernel's handler then skips the write."""
    if msr != MSR_KERNEL_GS_BASE:
        m.operations.append(("wrmsr", 1))
        return
    assert value is not None
    if isinstance(value, int):  # kernel code is not type-checked
        raise TypeError(no_owner(value))
    m.operations.append(("wrmsr_kernel_gs_base", 1))
    if not is_canonical(value.number, m.host.address_bits):
        m.events.append(("host-fault", m.cpu.index, value))
        return
    m.set(m.cpu, "kernel_gs_base", value)
    m.accesses.append(("wrmsr", m.cpu.index, value.number))


@primitive
def wrmsrns(m: Machine, msr: int, value: Value | None = None) -> None:
    """WRMSRNS: a WRMSR that does not serialize the processor."""
    wrmsr(m, msr, value)


@primitive
def load_gs_index(m: Machine, selector: int) -> None:
    """SWAPGS; MOV %gs; SWAPGS: leaves the *descriptor's* base in KERNEL_GS_BASE. A null selector (0 to 3)
    has no descriptor, and its base is 0."""
    base = m.task.descriptor_base if selector > 3 else NO_BASE
    m.operations.append(("load_gs_index", 1))
    m.set(m.cpu, "kernel_gs_base", base)
    m.accesses.append(("load_gs_index", m.cpu.index, base.number))


# -- the host task's user GS base (arch/x86/kernel/process_64.c)


def save_bases(m: Machine, task: Task, cpu: Cpu) -> None:
    """Save the bases of the task that runs on ``cpu``: at a context switch, and when KVM asks.

    With FSGSBASE ``thread.gsbase`` is read from the register, which leaves no MSR event. Without it, the
    kernel takes ``thread.gsbase`` to be right already, and stores 0 if the base comes from a descriptor.
    """
    if m.host.fsgsbase:
        m.set(task, "gs_base", cpu.kernel_gs_base)
    elif task.by_descriptor:
        m.set(task, "gs_base", NO_BASE)


def base_to_load(m: Machine, task: Task) -> Value:
    """The base that a context switch to ``task`` loads."""
    return task.gs_base if m.host.fsgsbase or not task.by_descriptor else task.descriptor_base


def load_bases(m: Machine, task: Task, cpu: Cpu, previous: Task) -> bool:
    """Load the base of the task that ``cpu`` runs next into the register. False if the register is left
    alone, which happens without FSGSBASE if neither task has a base or a selector."""
    base = base_to_load(m, task)
    if m.host.leaves_zero and not number_of(base) and not number_of(previous.gs_base):
        return False
    m.set(cpu, "kernel_gs_base", base)
    m.accesses.append(("ctxsw", cpu.index, base.number))
    return True


def set_user_gs_base(m: Machine, task: Task, value: Value) -> None:
    """User space changes its own GS base. Seen from the kernel that is the register: by arch_prctl(), which
    sets ``thread.gsbase`` as well, by WRGSBASE, or by MOV %gs after set_thread_area()."""
    m.set(task, "true_user_gs_base", value)
    m.set(m.cpu, "kernel_gs_base", value)
    m.accesses.append(("user", m.cpu.index, value.number))
    if task.by_descriptor:
        m.set(task, "descriptor_base", value)
    elif not m.host.fsgsbase:
        m.set(task, "gs_base", value)


@primitive
def save_fsgs_for_kvm(m: Machine) -> None:
    """Save the current task's FS and GS selectors and bases in ``current.thread``. From 4.17 (not looked up)
    to 5.8."""
    m.operations.append(("savesegment", 2))
    save_bases(m, m.task, m.cpu)


@primitive
def current_save_fsgs(m: Machine) -> None:
    """What save_fsgs_for_kvm() is called from 5.9 on. With FSGSBASE it reads the register."""
    save_fsgs_for_kvm(m)


#: The primitives that save the current task's bases.
SAVING = (save_fsgs_for_kvm.__name__, current_save_fsgs.__name__)


@primitive
def vm_entry(m: Machine, vcpu: int) -> None:
    """VMLAUNCH or VMRESUME: the guest runs on this CPU until something exits.

    FS.base and GS.base come from the VMCS; KERNEL_GS_BASE does not change.
    """
    if m.cpu.preempt_count != 1:
        raise TypeError(f"VM entry with preempt_count {m.cpu.preempt_count}; expected 1")
    m.set(m.task, "mode", "guest")
    m.events.append(("guest-runs", m.objects[vcpu]))


def vm_exit(m: Machine, vcpu: Vcpu, reason: str) -> None:
    """The guest stops, and the host kernel resumes after its VM entry, with interrupts off."""
    m.set(m.task, "mode", "kernel")
    m.set(vcpu, "exit_reason", reason)


def guest_rdmsr(m: Machine, vcpu: Vcpu) -> None:
    """The guest reads the register itself: access is passed through."""
    value = m.cpu.kernel_gs_base
    m.accesses.append(("guest_rdmsr", m.cpu.index, value.number))
    m.set(vcpu, "returned", value)
    m.events.append(("returned", vcpu, value))


def guest_wrmsr(m: Machine, vcpu: Vcpu, value: Value) -> None:
    """The guest writes the register itself; the processor checks the address."""
    if not is_canonical(value.number, m.host.address_bits):
        m.set(vcpu, "returned", "#GP")
        return
    m.set(m.cpu, "kernel_gs_base", value)
    m.set(vcpu, "true_guest_value", value)
    m.accesses.append(("guest_wrmsr", m.cpu.index, value.number))


def guest_swapgs(m: Machine, vcpu: Vcpu) -> None:
    """SWAPGS in the guest. It is never intercepted, so it reaches the register even where RDMSR and
    WRMSR exit. The ghost variables are exchanged, too."""
    register, base = m.cpu.kernel_gs_base, vcpu.gs_base
    m.set(m.cpu, "kernel_gs_base", base)
    m.set(vcpu, "gs_base", register)
    truth, true_base = vcpu.true_guest_value, vcpu.true_gs_base
    m.set(vcpu, "true_guest_value", true_base)
    m.set(vcpu, "true_gs_base", truth)
    m.accesses.append(("guest_swapgs", m.cpu.index, base.number))
    m.events.append(("swapgs", vcpu, register, truth))


# -- the kernel's services


@primitive
def preempt_disable(m: Machine) -> None:
    """Nests: preemption is possible again once every disable has been matched by an enable."""
    m.set(m.cpu, "preempt_count", m.cpu.preempt_count + 1)


@primitive
def preempt_enable(m: Machine) -> None:
    """Undo one preempt_disable(). A tick that came in the meantime takes effect after the last one."""
    if not m.cpu.preempt_count:
        raise TypeError("preempt_enable() without preempt_disable()")
    m.set(m.cpu, "preempt_count", m.cpu.preempt_count - 1)


@primitive
def local_irq_disable(m: Machine) -> None:
    """No interrupt, and so no tick, arrives on this CPU until local_irq_enable()."""
    m.set(m.cpu, "irqs_disabled", True)


@primitive
def local_irq_enable(m: Machine) -> None:
    """Interrupts can arrive again."""
    m.set(m.cpu, "irqs_disabled", False)


@query
def need_resched(m: Machine) -> bool:
    """TIF_NEED_RESCHED of the current task."""
    return m.cpu.need_resched


@query
def signal_pending(m: Machine) -> bool:
    """Whether a signal is pending for the current task."""
    return m.task.signal_pending


@query
def preempt_notifier_registered(m: Machine) -> bool:
    """Whether the current task is between vcpu_load() and vcpu_put()."""
    return m.task.preempt_notifier


@query
def not_modeled(m: Machine, condition: str, holds: bool) -> bool:
    """A condition of the real code that the model knows nothing of. It is ``holds``, unless the schedule says
    ``otherwise`` for this test of one; the checker tries both at each."""
    found = holds ^ (condition in m.inverted) ^ (len(m.unknowns) + 1 in m.otherwise)
    m.unknowns.append((condition, found))
    return found


@primitive
def preempt_notifier_register(m: Machine) -> None:
    """From now on the scheduler calls kvm_sched_out() and kvm_sched_in() for this task."""
    m.set(m.task, "preempt_notifier", True)


@primitive
def preempt_notifier_unregister(m: Machine) -> None:
    """From now on the scheduler calls no notifiers for this task."""
    m.set(m.task, "preempt_notifier", False)


@primitive
def context_switch(m: Machine) -> None:
    """Another task runs from here on; this one resumes after this line when it is picked again.
    Linux's __switch_to() loads the next task's user GS base into the register."""
    m.set(m.cpu, "need_resched", False)
    m.events.append(("switch-out", m.task))


def _check_value(data: object) -> None:
    if not isinstance(data, Value):
        raise TypeError(f"expected a value of the register, not {data}")


@primitive
def complete_rdmsr(m: Machine, vcpu: int, data: Value) -> None:
    """The guest finds ``data`` in EDX:EAX and resumes after its RDMSR."""
    _check_value(data)
    m.set(m.objects[vcpu], "returned", data)
    m.events.append(("returned", m.objects[vcpu], data))


@primitive
def complete_wrmsr(m: Machine, vcpu: int) -> None:
    """The guest resumes after its WRMSR: what it wrote is its true value now."""
    m.set(m.objects[vcpu], "true_guest_value", m.objects[vcpu].msr_data)


@primitive
def kvm_inject_gp(m: Machine, vcpu: int) -> None:
    """The guest's instruction raises #GP instead of taking effect."""
    m.set(m.objects[vcpu], "returned", "#GP")


@primitive
def copy_to_user(m: Machine, vcpu: int, data: Value) -> None:
    """KVM_GET_MSRS returns ``data`` to user space."""
    _check_value(data)
    m.set(m.objects[vcpu], "returned", data)
    m.events.append(("returned", m.objects[vcpu], data))


@primitive
def refuse_msr(m: Machine, vcpu: int) -> None:
    """KVM_SET_MSRS stops before this MSR and does not set it."""
    m.set(m.objects[vcpu], "returned", "refused")


# -- instructions that cost time and do not touch the register


@primitive
def savesegment(m: Machine, segment: str) -> int:
    """MOV from a segment register. Only the GS selector differs between tasks here."""
    m.operations.append(("savesegment", 1))
    return m.task.gs_sel if segment == "gs" else 0


@cost_only
def loadsegment(m: Machine, segment: str, selector: int) -> None:
    """MOV to a segment register."""
    m.operations.append(("loadsegment", 1))


@primitive
def sldt(m: Machine) -> int:
    """The LDT selector. It is 0: no task here has an LDT."""
    m.operations.append(("sldt", 1))
    return 0


@cost_only
def lldt(m: Machine, selector: int) -> None:
    """Load the LDT register."""
    m.operations.append(("lldt", 1))


@cost_only
def ltr(m: Machine) -> None:
    """Load the task register."""
    m.operations.append(("ltr", 1))


@cost_only
def invalidate_tss_limit(m: Machine) -> None:
    """Set a flag in memory: the TSS is reloaded later, if an I/O bitmap needs it."""
    m.operations.append(("tss_invalidate", 1))


@cost_only
def sgdt(m: Machine) -> None:
    """Store the GDT's address."""
    m.operations.append(("sgdt", 1))


@cost_only
def load_gdt(m: Machine) -> None:
    """LGDT, because VM exit has set the GDT's limit to the maximum."""
    m.operations.append(("gdt", 1))


@primitive
def vmcs_read(m: Machine, vmcs_field: str) -> int:
    """VMREAD."""
    m.operations.append(("vmread", 1))
    return 0


@cost_only
def vmcs_write(m: Machine, vmcs_field: str, value: object = 0) -> None:
    """VMWRITE."""
    m.operations.append(("vmwrite", 1))


@cost_only
def vm_entry_controls_setbit(m: Machine, bit: str) -> None:
    """Set a bit in the cached VM-entry controls: a VMWRITE, no VMREAD."""
    m.operations.append(("vmwrite", 1))


@cost_only
def vm_entry_controls_clearbit(m: Machine, bit: str) -> None:
    """Clear a bit in the cached VM-entry controls: a VMWRITE, no VMREAD."""
    m.operations.append(("vmwrite", 1))


@cost_only
def vmx_set_host_fs_gs(m: Machine, vcpu: int) -> None:
    """Write host FS and GS to the VMCS if they changed. On the CPU where the vCPU ran last they did
    not, so nothing is counted."""


@cost_only
def kvm_set_shared_msr(m: Machine, count: int) -> None:
    """Set ``count`` shared MSRs. Calls are counted; the real one skips the WRMSR of an unchanged value."""
    if count:
        m.operations.append(("shared_msr", count))


@cost_only
def load_msrs(m: Machine, count: int) -> None:
    """WRMSR of ``count`` other MSRs on the list."""
    m.operations.append(("wrmsr", count))


@cost_only
def save_msrs(m: Machine, count: int) -> None:
    """RDMSR of ``count`` other MSRs on the list."""
    m.operations.append(("rdmsr", count))


@cost_only
def count_host_state_reload(m: Machine) -> None:
    """``++vcpu->stat.host_state_reload``: a full host reload, with guest state loaded."""
    m.operations.append(("full_host_reload", 1))
