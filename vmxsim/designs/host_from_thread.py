"""The tree that the seed patch applies to, after Linux 4.18: the host's value comes from the thread."""

from vmxsim.designs.host_always import HostAlways
from vmxsim.kernel.language import *


class HostFromThread(HostAlways):
    """The parent of 678e315e78a7: 4.18 (several commits) and the first patches toward 4.19.

    4.18 as released called the flag ``host_state.loaded``. Between it and the seed patch, bd9966de4e14 and
    d7ee039e2ba5 turned the flag into ``loaded_cpu_state``, a pointer to the ``loaded_vmcs`` whose host
    state is loaded. Enter and leave still had their old names.
    """

    id = "host-from-thread"
    title = "Host value taken from the thread"
    commit = None
    release = "by 4.18"
    release_note = "4.17, not looked up"
    story = (
        "A 64-bit task's user GS base is already in its thread structure, so enter takes it from there; only"
        " a 32-bit host task still costs an RDMSR. KVM now checks that an address is canonical before storing"
        " it. Every VMCS has its own MSR bitmap. Reading or writing the guest's value still reloads the whole"
        " host state first."
    )
    changed = "h comes from the thread on a 64-bit host; the value's address is checked; a bitmap per VMCS."
    defect = (
        "Pass-through before the first long mode (4.16 to 4.18, inferred from code): vCPU creation disables"
        " interception and only a mode change updates the bitmap. Outside the default interception rule."
    )
    labels = {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "loaded_cpu_state",
    }
    bitmap_passes_at_creation = True
    shared_msrs = (0, 4)

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.loaded_cpu_state:
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
        if not vmx.loaded_cpu_state:
            return
        count_host_state_reload()
        vmx.loaded_cpu_state = False
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
        # only vmx_set_efer() reloads the host now
        self.kvm_x86_ops.set_efer(vmx, vmx.efer | EFER_LME)
