"""What the processor does with KERNEL_GS_BASE.

Sources: Intel SDM volume 2 (RDMSR, WRMSR, SWAPGS), volume 3 chapters "VM entries",
"VM exits" and "MSR bitmaps".
"""

from __future__ import annotations

from vmxsim.model.machine import Machine
from vmxsim.model.primitive import primitive, query
from vmxsim.model.registers import EFER_LMA, MSR_KERNEL_GS_BASE
from vmxsim.model.value import Value, no_owner
from vmxsim.model.vcpu import Vcpu


def is_canonical(number: int) -> bool:
    """Whether bits 63 to 47 are all alike (48-bit linear addresses)."""
    return number >> 47 in (0, 0x1FFFF)


@query
def is_noncanonical_address(m: Machine, data: Value) -> bool:
    """Whether WRMSR of this value would raise #GP."""
    return not is_canonical(data.number)


@query
def is_long_mode(m: Machine, vcpu: int) -> bool:
    """EFER.LMA of the vCPU, as KVM caches it."""
    return bool(m.objects[vcpu].efer & EFER_LMA)


@primitive
def rdmsr(m: Machine, msr: int) -> Value | None:
    """RDMSR. Of other MSRs only the cost is modelled."""
    if msr != MSR_KERNEL_GS_BASE:
        m.operations.append(("rdmsr", 1))
        return None
    value = m.cpu.kernel_gs_base
    m.operations.append(("rdmsr_kernel_gs_base", 1))
    m.accesses.append(("rdmsr", m.cpu.index, value.number))
    return value


@primitive
def wrmsr(m: Machine, msr: int, value: Value | None = None) -> None:
    """WRMSR. A non-canonical base raises #GP; the kernel's handler then skips the write."""
    if msr != MSR_KERNEL_GS_BASE:
        m.operations.append(("wrmsr", 1))
        return
    assert value is not None
    if isinstance(value, int):  # from kernel code, which nothing has typed
        raise TypeError(no_owner(value))
    m.operations.append(("wrmsr_kernel_gs_base", 1))
    if not is_canonical(value.number):
        m.events.append(("host-fault", m.cpu.index, value))
        return
    m.set(m.cpu, "kernel_gs_base", value)
    m.accesses.append(("wrmsr", m.cpu.index, value.number))


@primitive
def load_gs_index(m: Machine, selector: int) -> None:
    """SWAPGS; MOV %gs; SWAPGS: leaves the *descriptor's* base in KERNEL_GS_BASE."""
    m.operations.append(("load_gs_index", 1))
    m.set(m.cpu, "kernel_gs_base", m.descriptor_base)
    m.accesses.append(("load_gs_index", m.cpu.index, m.descriptor_base.number))


@primitive
def vm_entry(m: Machine, vcpu: int) -> None:
    """VMLAUNCH or VMRESUME: the guest runs on this CPU until something exits.

    FS.base and GS.base come from the VMCS; KERNEL_GS_BASE stays what it is.
    """
    if m.cpu.preempt_count != 1:
        raise TypeError(f"the guest is entered with preempt_count {m.cpu.preempt_count}, 1 was expected")
    m.set(m.task, "mode", "guest")
    m.events.append(("guest-runs", m.objects[vcpu]))


def vm_exit(m: Machine, vcpu: Vcpu, reason: str) -> None:
    """The guest stops and the host kernel goes on behind its VM entry, interrupts off."""
    m.set(m.task, "mode", "kernel")
    m.set(vcpu, "exit_reason", reason)


def guest_rdmsr(m: Machine, vcpu: Vcpu) -> None:
    """The guest reads the register itself, access passed through."""
    value = m.cpu.kernel_gs_base
    m.accesses.append(("guest_rdmsr", m.cpu.index, value.number))
    m.set(vcpu, "returned", value)
    m.events.append(("returned", vcpu, value))


def guest_wrmsr(m: Machine, vcpu: Vcpu, value: Value) -> None:
    """The guest writes the register itself; the processor checks the address."""
    if not is_canonical(value.number):
        m.set(vcpu, "returned", "#GP")
        return
    m.set(m.cpu, "kernel_gs_base", value)
    m.set(vcpu, "true_guest_value", value)
    m.accesses.append(("guest_wrmsr", m.cpu.index, value.number))


def guest_swapgs(m: Machine, vcpu: Vcpu) -> None:
    """SWAPGS in the guest: never intercepted, so it reaches the register even where RDMSR and
    WRMSR exit. The ghosts are exchanged as well."""
    register, base = m.cpu.kernel_gs_base, vcpu.gs_base
    m.set(m.cpu, "kernel_gs_base", base)
    m.set(vcpu, "gs_base", register)
    truth, true_base = vcpu.true_guest_value, vcpu.true_gs_base
    m.set(vcpu, "true_guest_value", true_base)
    m.set(vcpu, "true_gs_base", truth)
    m.accesses.append(("guest_swapgs", m.cpu.index, base.number))
    m.events.append(("swapgs", vcpu, register, truth))
