"""Linux 2.6.37: the host's value is always saved and restored."""

from vmxsim.designs.load_gs_index import LoadGsIndex
from vmxsim.kernel.language import *


class HostAlways(LoadGsIndex):
    """c8770e7ba63b: save the guest's value before load_gs_index(), restore the host's at the end."""

    id = "host-always"
    title = "Host value always saved and restored"
    commit = "c8770e7ba63b"
    release = "2.6.37"
    story = (
        "The guest's value is read back before load_gs_index() can overwrite it, and the host's value is"
        " saved on every enter and written on every leave, in long mode or not, because load_gs_index() may"
        " have clobbered it."
    )
    changed = "h is always saved and restored; g is saved before load_gs_index(), if in long mode."
    defect = None

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.host_state.loaded:
            return
        vmx.host_state.loaded = True
        vmx.host_state.ldt_sel = sldt()
        vmcs_write("HOST_FS_SELECTOR", savesegment("fs"))
        vmx.host_state.gs_sel = savesegment("gs")
        vmcs_write("HOST_GS_SELECTOR", vmx.host_state.gs_sel)
        vmcs_write("HOST_FS_BASE", rdmsr(MSR_FS_BASE))
        vmcs_write("HOST_GS_BASE", rdmsr(MSR_GS_BASE))
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
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
        ltr()
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()
