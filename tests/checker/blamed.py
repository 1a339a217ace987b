"""Wrong designs of every kind, each with the line to blame and what should stand there instead."""

from __future__ import annotations

from attrs import frozen

from tests.checker.failing import (
    SwitchesNothing,
    TakesEqualForDone,
    WithoutPreemptDisable,
    WrongAtTheSecondPoll,
)
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.designs.lazy_long_mode import LazyLongMode
from vmxsim.designs.load_gs_index import LoadGsIndex
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.language import *


class WriteNoPreempt(NeverTrap):
    """WRMSR may come after the thread was preempted, in host state."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class WritesOnePlace(NeverTrap):
    """The same, and the saved copy is written only if state was not loaded."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        loaded = vmx.loaded_cpu_state
        if loaded:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        else:
            vmx.msr_guest_kernel_gs_base = data


class FieldOnlyRead(HostFromThread):
    def vmx_get_msr(self, vmx):
        return vmx.msr_guest_kernel_gs_base


class FieldIntoLocal(HostFromThread):
    def vmx_get_msr(self, vmx):
        data = vmx.msr_guest_kernel_gs_base
        return data  # noqa: RET504


class RegisterOnlyRead(NeverTrap):
    def vmx_get_msr(self, vmx):
        return rdmsr(MSR_KERNEL_GS_BASE)


class ReadInLongModeOnly(NeverTrap):
    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state and is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class FieldOnlyWrite(HostFromThread):
    def vmx_set_msr(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data


class RegisterOnlyWrite(NeverTrap):
    def vmx_set_msr(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()


class Enter(NeverTrap):
    """Enter, as short as it can be."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class Leave(Enter):
    """Leave, as short as it can be."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class SkipLoadOfZero(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.msr_guest_kernel_gs_base != 0:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class LoadsTheHosts(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class LoadsBeforeItSaves(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)


class SavesTheGuestsAsHosts(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = vmx.msr_guest_kernel_gs_base
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class HostCachedOnce(Leave):
    """The host's value is saved by the first enter only, and user space may change it later."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        if not vmx.guest_msrs_ready:
            vmx.guest_msrs_ready = True
            vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class ThreadBaseAlways(Leave):
    """thread.gsbase is 0 for a task whose base comes from a descriptor."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = current.thread.gsbase
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class Steals(NeverTrap):
    """The thread is given the guest's value for its own."""

    def vmx_vcpu_put(self, vmx):
        self.vmx_prepare_switch_to_host(vmx)
        current.thread.gsbase = vmx.msr_guest_kernel_gs_base
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class IgnoreWriteOfZero(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data == 0:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class DoesNotSayLoaded(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class NeverEnters(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        sldt()


class DoesNotSave(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class DoesNotSaveFlagLast(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        vmx.loaded_cpu_state = False


class SavesInLongModeOnly(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        if is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class DoesNotRestore(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)


class RestoresTheGuests(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class RestoresBeforeItSaves(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)


class StaysLoaded(Leave):
    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class SwitchesOutInLongModeOnly(NeverTrap):
    def kvm_sched_out(self, vcpu):
        if is_long_mode(vcpu):
            self.kvm_x86_ops.vcpu_put(vcpu)
        else:
            sldt()


class DirtyTooLate(Leave):
    """A flag says that the saved copy is newer than the register. It is set after the store."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data
        vmx.guest_msrs_ready = True

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            if not vmx.guest_msrs_ready:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            if vmx.guest_msrs_ready:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        vmx.guest_msrs_ready = False
        super().vmx_prepare_switch_to_guest(vmx)

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        if not vmx.guest_msrs_ready:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        vmx.guest_msrs_ready = False
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


SAVE = "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)"
LOAD = "wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)"
SAVE_HOST = "vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)"
RESTORE = "wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)"
WRITE = "wrmsr(MSR_KERNEL_GS_BASE, data)"
LOADED, LEFT = "vmx.loaded_cpu_state = True", "vmx.loaded_cpu_state = False"
COPY = "vmx.msr_guest_kernel_gs_base"


@frozen
class Case:
    """A design, the invariant that it breaks on a host width, and the line to blame.

    ``instead`` is what mends the schedule in that line's place: nothing, another line, or more lines.
    """

    design: type[Kvm]
    invariant: str
    function: str
    line: str
    kind: str
    instead: tuple[str, ...] = ()
    host: str = "64-bit"

    def __str__(self) -> str:
        return f"{self.design.__name__} {self.invariant} {self.host}"


ENTER, LEAVE = "vmx_prepare_switch_to_guest", "vmx_prepare_switch_to_host"
READ, WRITER = "vmx_read_guest_kernel_gs_base", "vmx_write_guest_kernel_gs_base"
STALE, LOST, WRONG = "stale read", "lost write", "wrong restore"
TAKEN, MISSING, GONE = "taken for another's", "missing step", "lost value"
G, H = "guest-value", "host-value"
ENTERED = (*(line.replace("vmx", "vcpu") for line in (LOADED, SAVE_HOST, LOAD)), "vm_entry(vcpu)")
PUT = "self.kvm_x86_ops.vcpu_put(vcpu)"

CASES = [
    # the history's own defects
    Case(DedicatedAccessors, G, "vmx_set_efer", "vmx.efer = efer", MISSING, ("vmx.efer = efer", LOAD)),
    Case(LazyLongMode, G, "__vmx_load_host_state", SAVE, TAKEN),
    Case(
        LazyLongMode, H, "exit_lmode", "vmx.efer = vmx.efer & ~EFER_LMA", MISSING,
        ("self.vmx_load_host_state(vmx)", "vmx.efer = vmx.efer & ~EFER_LMA"),
    ),
    Case(
        LoadGsIndex, G, "__vmx_load_host_state", "load_gs_index(vmx.host_state.gs_sel)", GONE,
        (SAVE, "load_gs_index(vmx.host_state.gs_sel)", RESTORE, "return"), "32-bit",
    ),
    # preempted
    Case(WithoutPreemptDisable, G, READ, SAVE, TAKEN),
    Case(WriteNoPreempt, H, WRITER, WRITE, GONE, host="32-bit"),
    Case(WritesOnePlace, G, WRITER, WRITE, LOST, (f"{COPY} = data",)),
    # reads
    Case(FieldOnlyRead, G, "vmx_get_msr", f"return {COPY}", STALE, (SAVE, f"return {COPY}")),
    Case(FieldIntoLocal, G, "vmx_get_msr", f"data = {COPY}", STALE, ("data = rdmsr(MSR_KERNEL_GS_BASE)",)),
    Case(RegisterOnlyRead, G, "vmx_get_msr", "return rdmsr(MSR_KERNEL_GS_BASE)", STALE, (f"return {COPY}",)),
    Case(
        ReadInLongModeOnly, G, READ, "if vmx.loaded_cpu_state and is_long_mode(vmx):", STALE,
        ("if vmx.loaded_cpu_state:",),
    ),
    Case(
        WrongAtTheSecondPoll, G, "vmx_get_msr", "return vmx.msr_host_kernel_gs_base", TAKEN,
        (f"return {COPY}",),
    ),
    # writes
    Case(TakesEqualForDone, G, WRITER, f"if {COPY} == data:", LOST, ("if is_noncanonical_address(data):",)),
    Case(FieldOnlyWrite, G, "vmx_set_msr", f"{COPY} = data", LOST, (f"{COPY} = data", WRITE)),
    Case(
        RegisterOnlyWrite, G, "vmx_set_msr", "preempt_enable()", LOST, (f"{COPY} = data", "preempt_enable()")
    ),
    Case(DirtyTooLate, G, LEAVE, SAVE, LOST),
    # enter
    Case(SkipLoadOfZero, G, ENTER, f"if {COPY} != 0:", MISSING, ("if vmx.loaded_cpu_state:",)),
    Case(LoadsTheHosts, G, ENTER, RESTORE, WRONG, (LOAD,)),
    Case(LoadsBeforeItSaves, H, ENTER, LOAD, GONE, (SAVE_HOST, "return")),
    Case(
        SavesTheGuestsAsHosts, H, ENTER, "vmx.msr_host_kernel_gs_base = vmx.msr_guest_kernel_gs_base", TAKEN,
        (SAVE_HOST,),
    ),
    Case(HostCachedOnce, H, ENTER, "if not vmx.guest_msrs_ready:", WRONG, ("if vmx.loaded_cpu_state:",)),
    Case(
        ThreadBaseAlways, H, ENTER, "vmx.msr_host_kernel_gs_base = current.thread.gsbase", TAKEN,
        (SAVE_HOST,), "32-bit",
    ),
    Case(Steals, H, "vmx_vcpu_put", LOAD, WRONG),
    Case(IgnoreWriteOfZero, G, WRITER, "if data == 0:", LOST, ("if is_noncanonical_address(data):",)),
    Case(DoesNotSayLoaded, H, ENTER, LOAD, MISSING, (LOAD, LOADED)),
    Case(NeverEnters, G, "vcpu_enter_guest", "vm_entry(vcpu)", MISSING, ENTERED),
    Case(NeverEnters, H, "vcpu_enter_guest", "vm_entry(vcpu)", MISSING, ENTERED),
    # leave
    Case(DoesNotSave, G, LEAVE, LEFT, MISSING, (LEFT, SAVE)),
    Case(DoesNotSaveFlagLast, G, LEAVE, RESTORE, MISSING, (SAVE, RESTORE)),
    Case(SavesInLongModeOnly, G, LEAVE, "if is_long_mode(vmx):", MISSING, ("if not vmx.loaded_cpu_state:",)),
    Case(DoesNotRestore, H, LEAVE, LEFT, MISSING, (LEFT, SAVE, RESTORE, "return")),
    Case(RestoresTheGuests, H, LEAVE, LOAD, WRONG, (RESTORE,)),
    Case(RestoresBeforeItSaves, G, LEAVE, RESTORE, GONE, (SAVE, RESTORE, "return")),
    Case(StaysLoaded, G, LEAVE, RESTORE, MISSING, (RESTORE, LEFT)),
    # scheduled out
    Case(SwitchesNothing, G, "preempt_schedule_irq", "context_switch()", MISSING, (PUT, "context_switch()")),
    Case(
        SwitchesOutInLongModeOnly, G, "kvm_sched_out", "if is_long_mode(vcpu):", MISSING,
        ("if vcpu.loaded_cpu_state:",),
    ),
]  # fmt: skip
