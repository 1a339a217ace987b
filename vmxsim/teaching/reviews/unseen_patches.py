"""The patches that notebooks 07 and 07b have reviewed. No kernel ever had them; all apply to ``never-trap``.

Whether each of them is right is held by tests/notebooks/test_exercises_review.py, and is not said here.
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: check-untyped-defs=False
# ruff: noqa: F403, F405

from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class SavedValue(NeverTrap):
    """Get and set the saved value directly."""

    def vmx_get_msr(self, vmx):
        return vmx.msr_guest_kernel_gs_base

    def vmx_set_msr(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data


class TestFirst(NeverTrap):
    """Leave preemption alone while nothing is loaded."""

    __test__ = False  # it is no test class

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            preempt_disable()
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            preempt_disable()
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, data)
            preempt_enable()
        vmx.msr_guest_kernel_gs_base = data


class AlwaysKnown(NeverTrap):
    """Intercept the register, and do not read it back."""

    interception = "always"

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        count_host_state_reload()
        vmx.loaded_cpu_state = False
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        invalidate_tss_limit()
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()

    def vmx_read_guest_kernel_gs_base(self, vmx):
        return vmx.msr_guest_kernel_gs_base


class AskTheThread(NeverTrap):
    """Leave takes a 64-bit task's value from the thread."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        count_host_state_reload()
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        invalidate_tss_limit()
        if current.bits == 64:
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)
        else:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()


class OnTheWayOut(NeverTrap):
    """Do not restore the host's value for a thread that is scheduled out."""

    @requires("preemption disabled")
    def kvm_sched_out(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.loaded_cpu_state = False
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
                lldt(vmx.host_state.ldt_sel)
                load_gs_index(vmx.host_state.gs_sel)
            invalidate_tss_limit()
            load_gdt()


class StoreFirst(NeverTrap):
    """Store the new value before the register is written."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data
        preempt_disable()
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
