"""Linux 4.18: the host's value comes from the thread, without an RDMSR."""

from vmxsim.designs.host_always import HostAlways
from vmxsim.kernel.language import *


class HostFromThread(HostAlways):
    """The state of 4.18 (several commits): h from ``current->thread.gsbase``."""

    id = "host-from-thread"
    title = "Host value taken from the thread"
    commit = None
    release = "by 4.18 (4.17, not looked up)"
    story = (
        "A 64-bit task's user GS base is in its thread structure already, so enter takes it from there; only"
        " a 32-bit host task still costs an RDMSR. KVM now checks that an address is canonical before it"
        " stores it. Every VMCS has an MSR bitmap of its own. Reading or writing the guest's value still"
        " reloads the whole host state first."
    )
    changed = "h comes from the thread on a 64-bit host; the value's address is checked; a bitmap per VMCS."
    defect = (
        "Pass-through before the first long mode (4.16 to 4.18, inferred from code): vCPU creation disables"
        " interception and only a mode change updates the bitmap. Outside the default interception rule."
    )
    bitmap_passes_at_creation = True
    shared_msrs = (0, 4)

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.host_state.loaded:
            return
        vmx.host_state.loaded = True
        vmx.host_state.ldt_sel = sldt()
        savesegment("fs")
        vmx.host_state.gs_sel = savesegment("gs")
        if current.bits == 64:
            vmx.msr_host_kernel_gs_base = current.thread.gsbase
        else:
            rdmsr(MSR_FS_BASE)
            vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        savesegment("ds")
        savesegment("es")
        vmcs_write("HOST_FS_SELECTOR")
        vmcs_write("HOST_GS_SELECTOR")
        vmcs_write("HOST_FS_BASE")
        vmcs_write("HOST_GS_BASE")
        if is_long_mode(vmx):
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        kvm_set_shared_msr(vmx.save_nmsrs)

    @requires("preemption disabled", "vCPU loaded")
    def __vmx_load_host_state(self, vmx):
        if not vmx.host_state.loaded:
            return
        count_host_state_reload()
        vmx.host_state.loaded = False
        if is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        invalidate_tss_limit()
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()

    def kvm_set_msr(self, vmx, data):
        if is_noncanonical_address(data):
            return 1
        self.kvm_x86_ops.set_msr(vmx, data)
        return 0

    def vmx_set_efer(self, vmx, efer):
        self.vmx_load_host_state(vmx)
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)

    def setup_msrs(self, vmx):
        if is_long_mode(vmx):
            vmx.save_nmsrs = 4
        else:
            vmx.save_nmsrs = 0
        vmx.bitmap_passes = is_long_mode(vmx)

    def exit_lmode(self, vmx):
        vm_entry_controls_clearbit("IA32E_MODE")
        self.vmx_set_efer(vmx, vmx.efer & ~EFER_LMA)

    def set_efer(self, vmx):
        # 4.18 reloads the host in vmx_set_efer() only
        self.kvm_x86_ops.set_efer(vmx, vmx.efer | EFER_LME)
