"""Designs that no kernel ever had: starts of exercises, which lack something."""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: check-untyped-defs=False
# ruff: noqa: F403, F405

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class CopyFirst(NeverTrap):
    """never-trap, its read accessor with the saved copy taken before preemption is disabled."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        data = vmx.msr_guest_kernel_gs_base
        preempt_disable()
        if vmx.loaded_cpu_state:
            data = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return data


class TwoSections(NeverTrap):
    """never-trap, its write accessor with the test and the access each in a section of its own."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        loaded = vmx.loaded_cpu_state
        preempt_enable()
        if loaded:
            preempt_disable()
            wrmsr(MSR_KERNEL_GS_BASE, data)
            preempt_enable()
        vmx.msr_guest_kernel_gs_base = data


class EnterIsTold(DedicatedAccessors):
    """The seed patch, with a note from vmx_set_efer() to the next enter that the mode has changed."""

    fields = {"mode_changed": False}

    def vmx_set_efer(self, vmx, efer):
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        if (efer ^ vmx.efer) & EFER_LMA:
            vmx.mode_changed = True
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.loaded_cpu_state:
            if vmx.mode_changed and is_long_mode(vmx):
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            vmx.mode_changed = False
            return
        vmx.loaded_cpu_state = True
        vmx.host_state.ldt_sel = sldt()
        if current.bits == 64:
            save_fsgs_for_kvm()
            vmx.host_state.gs_sel = current.thread.gsindex
            vmx.msr_host_kernel_gs_base = current.thread.gsbase
        else:
            savesegment("fs")
            vmx.host_state.gs_sel = savesegment("gs")
            rdmsr(MSR_FS_BASE)
            vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if is_long_mode(vmx):
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        kvm_set_shared_msr(vmx.save_nmsrs)


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
