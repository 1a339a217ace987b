"""Linux 2.6.33: two separate fields, switched only for a guest in long mode."""

from vmxsim.designs.array_passthrough import ArrayPassthrough
from vmxsim.kernel.language import *


class LazyLongMode(ArrayPassthrough):
    """44ea2b1758d8: out of the arrays; host and guest values in fields of the vCPU."""

    id = "lazy-long-mode"
    title = "Fields of its own, switched in long mode"
    commit = "44ea2b1758d8"
    release = "2.6.33"
    story = (
        "The other MSRs on the list became shared MSRs, restored only on return to user space. This one"
        " cannot wait that long, because the host kernel's context switch uses it. So it gets two fields and"
        " is switched by hand, but only if the guest is in long mode. enter_lmode() and exit_lmode() still"
        " change EFER.LMA first, and reload the host state afterward or not at all."
    )
    changed = "The value leaves the arrays; enter and leave switch it only if EFER.LMA is set."
    defect = (
        "LMA changed first: exit_lmode() clears LMA while the register holds the guest's value, so the next"
        " leave skips the register and the host's user space runs with the guest's value; enter_lmode() sets"
        " LMA before the reload, which then saves the host's value as the guest's and restores a stale one."
    )
    labels = {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "host_state.loaded",
    }
    shared_msrs = (1, 5)

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded and vcpu.long_mode

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
        if is_long_mode(vmx):
            vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        kvm_set_shared_msr(vmx.save_nmsrs)

    @requires("preemption disabled", "vCPU loaded")
    def __vmx_load_host_state(self, vmx):
        if not vmx.host_state.loaded:
            return
        count_host_state_reload()
        vmx.host_state.loaded = False
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            local_irq_disable()
            loadsegment("gs", vmx.host_state.gs_sel)
            wrmsr(MSR_GS_BASE, vmcs_read("HOST_GS_BASE"))
            local_irq_enable()
        sgdt()
        ltr()
        if is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)

    def vmx_get_msr(self, vmx):
        self.vmx_load_host_state(vmx)
        return vmx.msr_guest_kernel_gs_base

    def vmx_set_msr(self, vmx, data):
        self.vmx_load_host_state(vmx)
        vmx.msr_guest_kernel_gs_base = data

    def vmx_set_efer(self, vmx, efer):
        self.vmx_load_host_state(vmx)
        vmx.efer = efer
        vmcs_write("VM_ENTRY_CONTROLS", vmcs_read("VM_ENTRY_CONTROLS"))
        self.setup_msrs(vmx)

    def setup_msrs(self, vmx):
        self.vmx_load_host_state(vmx)
        if is_long_mode(vmx):
            vmx.save_nmsrs = 5
        else:
            vmx.save_nmsrs = 1
        vmx.bitmap_passes = is_long_mode(vmx)
        vmcs_write("MSR_BITMAP")
