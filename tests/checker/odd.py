"""Designs that no kernel ever had: each does one unusual thing that a reader's own design may do."""

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class CallsItsParent(NeverTrap):
    """Two functions of one name are on the stack, with lines of the same numbers."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        vmcs_write("A")
        vmcs_write("B")
        data = super().vmx_read_guest_kernel_gs_base(vmx)
        vmcs_write("C")
        return data

    def vmx_set_efer(self, vmx, efer):
        super().vmx_set_efer(vmx, efer)
        super().vmx_set_efer(vmx, efer)


class Polls(NeverTrap):
    """Asks for a tick where it cannot be preempted, twice, and once where it can."""

    def vmx_set_msr(self, vmx, data):
        preempt_disable()
        vmcs_write("A")
        if need_resched():
            vmcs_write("B")
        vmcs_write("A")
        if need_resched():
            vmx.msr_host_kernel_gs_base = data
        preempt_enable()
        if need_resched():
            return
        self.vmx_write_guest_kernel_gs_base(vmx, data)


class PollsInALoop(NeverTrap):
    """The same line asks again and again, with preemption disabled."""

    def vmx_get_msr(self, vmx):
        preempt_disable()
        left = 3
        while left:
            vmcs_write("A")
            if need_resched():
                left = 1
            left = left - 1
        preempt_enable()
        return self.vmx_read_guest_kernel_gs_base(vmx)


class LooksAtValues(NeverTrap):
    """Skips a write that would change nothing."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.msr_guest_kernel_gs_base == data:
            vmcs_write("A")
            if not vmx.loaded_cpu_state:
                return
        preempt_disable()
        if vmx.loaded_cpu_state:
            if vmx.msr_guest_kernel_gs_base != data:
                wrmsr(MSR_KERNEL_GS_BASE, data)
            else:
                wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data


class KeepsValues(DedicatedAccessors):
    """Values in several variables of nested functions, over points where a tick may come."""

    def vmx_get_msr(self, vmx):
        old = vmx.msr_guest_kernel_gs_base
        new = self.vmx_read_guest_kernel_gs_base(vmx)
        vmx.msr_guest_kernel_gs_base = old
        vmcs_write("A")
        vmx.msr_guest_kernel_gs_base = new
        return new


class TurnsInterruptsOff(NeverTrap):
    """Interrupts off around the accessors, in the order of spin_lock_irq()."""

    def vmx_get_msr(self, vmx):
        local_irq_disable()
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        local_irq_enable()
        vmcs_write("A")
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base


def register_or_copy(vmx):
    if vmx.loaded_cpu_state:
        return rdmsr(MSR_KERNEL_GS_BASE)
    return vmx.msr_guest_kernel_gs_base


class KeepsFields(NeverTrap):
    """Fields of its own decide what a read returns; with a helper, ``|=``, a loop and a choice."""

    fields = {"dirty": False, "reads": 0, "last": u64}

    def vmx_read_guest_kernel_gs_base(self, vmx):
        for most in (1, 3):
            vmx.reads += 1 if vmx.reads < most else 0
        preempt_disable()
        last = register_or_copy(vmx)
        preempt_enable()
        vmx.last, before = last, vmx.last
        vmx.msr_guest_kernel_gs_base = before if vmx.dirty else vmx.last
        vmx.dirty = vmx.efer & EFER_LMA if vmx.reads == 3 else False
        return vmx.last

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        vmx.dirty |= vmx.reads == 2
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnReturn(NeverTrap):
    """Guest state stays loaded until the thread returns to user space or another task runs."""

    @requires("preemption disabled")
    def vmx_vcpu_put(self, vmx):
        return

    def give_back(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.loaded_cpu_state = False
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            if vmx.host_state.gs_sel & 7:
                load_gs_index(vmx.host_state.gs_sel)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)

    def prepare_task_switch(self, vcpu):
        self.give_back(vcpu)

    def exit_to_user_mode(self, vcpu):
        preempt_disable()
        self.give_back(vcpu)
        preempt_enable()


class OnReturnOnly(OnReturn):
    """... but nobody gives it back when another task runs."""

    def prepare_task_switch(self, vcpu):
        return

    def finish_task_switch(self, vcpu):
        vmcs_write("A")


ODD = (
    CallsItsParent,
    Polls,
    PollsInALoop,
    LooksAtValues,
    KeepsValues,
    TurnsInterruptsOff,
    KeepsFields,
    OnReturn,
    OnReturnOnly,
)
