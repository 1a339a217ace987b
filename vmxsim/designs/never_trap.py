"""Linux 4.19: the register is the guest's whenever its state is loaded."""

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.kernel.language import *


class NeverTrap(DedicatedAccessors):
    """2018-09-24, Fixes: 678e315e78a7: passed through in any mode, and switched in any mode."""

    id = "never-trap"
    title = "Never intercepted, always switched"
    commit = None
    commit_title = "KVM: x86: never trap MSR_KERNEL_GS_BASE"
    release = "4.19"
    release_note = "rc7"
    story = (
        "The optimization for guests outside long mode is dropped: the guest's value is always switched in"
        " and out, and its accesses never exit. Where the value lives no longer depends on EFER.LMA, so"
        " there is nothing left to get wrong when LMA changes."
    )
    changed = "enter and leave always switch the register; nothing is intercepted; the accessors test only L."
    defect = (
        "The syscall MSRs are not reloaded when LMA changes while guest state is loaded (since 678e315e78a7;"
        " fixed in 4.20). It does not touch this register."
    )
    interception = "never"
    kvm_x86_ops = {**DedicatedAccessors.kvm_x86_ops, "prepare_guest_switch": "vmx_prepare_switch_to_guest"}

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded

    @requires("preemption disabled", "vCPU loaded")
    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
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
        kvm_set_shared_msr(vmx.save_nmsrs)

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
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()

    @requires("preemption disabled")
    def vmx_vcpu_put(self, vmx):
        self.vmx_prepare_switch_to_host(vmx)

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data

    def vmx_set_efer(self, vmx, efer):
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)

    def setup_msrs(self, vmx):
        if is_long_mode(vmx):
            vmx.save_nmsrs = 4
        else:
            vmx.save_nmsrs = 0
