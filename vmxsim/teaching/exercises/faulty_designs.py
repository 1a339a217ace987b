"""Designs that no kernel ever had: starts of exercises, which lack something."""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: check-untyped-defs=False
# ruff: noqa: F403, F405

from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class UnguardedRead(NeverTrap):
    """never-trap, its read accessor without preempt_disable()."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


class UnguardedWrite(NeverTrap):
    """never-trap, its write accessor without preempt_disable()."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class NotSwitched(NeverTrap):
    """The guest reaches the register itself, and nobody switches it yet."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        vmx.host_state.ldt_sel = sldt()
        vmx.host_state.gs_sel = savesegment("gs")

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)

    def vmx_read_guest_kernel_gs_base(self, vmx):
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data
