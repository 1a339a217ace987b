"""Linux 5.9: saving a task's bases reads the register."""

from vmxsim.designs.guest_state_loaded import GuestStateLoaded
from vmxsim.kernel.language import *


class FsGsBase(GuestStateLoaded):
    """5.9: FSGSBASE. ``current_save_fsgs()`` replaces ``save_fsgs_for_kvm()``."""

    id = "fsgsbase"
    title = "FSGSBASE: saving reads the register"
    commit = None
    release = "5.9"
    story = (
        "User space may now change its GS base with WRGSBASE, without a system call, so thread.gsbase is old"
        " as soon as it does. Saving a task's bases therefore reads the register, at every context switch and"
        " whenever KVM enters the guest, and loading always writes it. A guest's value that is left in the"
        " register is saved as the task's own."
    )
    changed = "enter calls current_save_fsgs(), which reads the register where the processor has FSGSBASE."
    defect = (
        "Booted with nofsgsbase, or on a processor without FSGSBASE, a 64-bit task that has loaded a GS"
        " selector loses its base: the kernel saves 0 for it, and leave restores that. Found by search, not"
        " known to be reported; host-from-thread and all later designs share it."
    )
    fsgsbase = True

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
            current_save_fsgs()
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
