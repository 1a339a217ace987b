"""Linux 5.3: one flag per vCPU says whether guest state is loaded."""

from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class GuestStateLoaded(NeverTrap):
    """5.3: ``guest_state_loaded`` is set at the end of enter and cleared at the end of leave."""

    id = "guest-state-loaded"
    title = "A flag of the vCPU: guest_state_loaded"
    commit = None
    release = "5.3"
    story = (
        "L becomes a plain bool in the vCPU, set at the very end of enter and cleared at the very end of"
        " leave. enter first reloads the shared MSRs if their list changed while guest state was loaded"
        " (since 4.20), which restores the side effect that the seed patch lost. Linux 6.1 still works this"
        " way."
    )
    changed = "L is a per-vCPU bool, set last in enter and cleared last in leave."
    defect = None
    labels = {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "guest_state_loaded",
    }

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if not vmx.guest_msrs_ready:
            vmx.guest_msrs_ready = True
            kvm_set_shared_msr(vmx.save_nmsrs)
        if vmx.guest_state_loaded:
            return
        vmx.host_state.ldt_sel = sldt()
        savesegment("ds")
        savesegment("es")
        if current.bits == 64:
            save_fsgs_for_kvm()
            vmx.host_state.gs_sel = current.thread.gsindex
            vmx.msr_host_kernel_gs_base = current.thread.gsbase
        else:
            savesegment("fs")
            vmx.host_state.gs_sel = savesegment("gs")
            rdmsr(MSR_FS_BASE)
            vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        vmx_set_host_fs_gs(vmx)
        vmx.guest_state_loaded = True

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.guest_state_loaded:
            return
        count_host_state_reload()
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        invalidate_tss_limit()
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()
        vmx.guest_state_loaded = False
        vmx.guest_msrs_ready = False

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.guest_state_loaded:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.guest_state_loaded:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data

    def setup_msrs(self, vmx):
        if is_long_mode(vmx):
            vmx.save_nmsrs = 4
        else:
            vmx.save_nmsrs = 0
        vmx.guest_msrs_ready = False
