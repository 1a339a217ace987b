"""Current mainline: h and L live in ``struct vcpu_vt``, shared with TDX."""

from vmxsim.designs.fsgsbase import FsGsBase
from vmxsim.kernel.language import *


class VcpuVt(FsGsBase):
    """6.15 to 6.17 (several commits; absent in 6.14, present in 6.17)."""

    id = "vcpu-vt"
    title = "In struct vcpu_vt, shared with TDX"
    commit = None
    release = "6.15 to 6.17"
    story = (
        "TDX guests run on the same threads and switch the same host state, so h and L move to struct"
        " vcpu_vt, which VMX and TDX vCPUs share. The rules are still those of guest-state-loaded."
    )
    changed = "h and L move to struct vcpu_vt."
    defect = None
    labels = {
        "g": "msr_guest_kernel_gs_base",
        "h": "vt.msr_host_kernel_gs_base",
        "loaded": "vt.guest_state_loaded",
    }
    shared_msrs = (0, 3)

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if not vmx.guest_uret_msrs_loaded:
            vmx.guest_uret_msrs_loaded = True
            kvm_set_shared_msr(vmx.save_nmsrs)
        if vmx.vt.guest_state_loaded:
            return
        vmx.host_state.ldt_sel = sldt()
        savesegment("ds")
        savesegment("es")
        if current.bits == 64:
            current_save_fsgs()
            vmx.host_state.gs_sel = current.thread.gsindex
            vmx.vt.msr_host_kernel_gs_base = current.thread.gsbase
        else:
            savesegment("fs")
            vmx.host_state.gs_sel = savesegment("gs")
            rdmsr(MSR_FS_BASE)
            vmx.vt.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        vmx_set_host_fs_gs(vmx)
        vmx.vt.guest_state_loaded = True

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.vt.guest_state_loaded:
            return
        count_host_state_reload()
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        invalidate_tss_limit()
        wrmsr(MSR_KERNEL_GS_BASE, vmx.vt.msr_host_kernel_gs_base)
        load_gdt()
        vmx.vt.guest_state_loaded = False
        vmx.guest_uret_msrs_loaded = False

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.vt.guest_state_loaded:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.vt.guest_state_loaded:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data

    def setup_msrs(self, vmx):
        if is_long_mode(vmx):
            vmx.save_nmsrs = 3
        else:
            vmx.save_nmsrs = 0
        vmx.guest_uret_msrs_loaded = False
