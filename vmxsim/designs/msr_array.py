"""Up to Linux 2.6.30: an entry in the MSR arrays, switched along with the others."""

from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.language import *


class MsrArray(Kvm):
    """Before 5897297bc228: KERNEL_GS_BASE is an entry in guest_msrs[] and host_msrs[]."""

    id = "msr-array"
    title = "An entry of the MSR arrays"
    commit = None
    release = "up to 2.6.30"
    story = (
        "The register is one of several MSRs on a list: enter writes every guest value, and leave reads them"
        " back and writes every host value. The list holds the register only if it was built in long mode."
        " Every guest access exits, and reading or writing the guest's value first reloads the whole host"
        " state."
    )
    changed = None
    defect = (
        "Slow. And, found by search and not known to be reported: exit_lmode() leaves the register on the"
        " list, so the next enter loads it, but saves the host's value only in long mode. Leave then restores"
        " the one that an earlier enter saved, even if the task has changed its GS base since."
    )
    interception = "always"
    labels = {
        "g": "guest_msrs[KERNEL_GS_BASE]",
        "h": "host_msrs[KERNEL_GS_BASE]",
        "loaded": "host_state.loaded",
    }

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded and vcpu.lists_kernel_gs_base

    # enter

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
            vmx.host_msrs.kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.lists_kernel_gs_base:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.guest_msrs.kernel_gs_base)
            load_msrs(4)

    # leave

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
        if vmx.lists_kernel_gs_base:
            vmx.guest_msrs.kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            save_msrs(4)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.host_msrs.kernel_gs_base)
            load_msrs(4)

    def vmx_load_host_state(self, vmx):
        preempt_disable()
        self.__vmx_load_host_state(vmx)
        preempt_enable()

    @requires("preemption disabled")
    def vmx_vcpu_put(self, vmx):
        self.__vmx_load_host_state(vmx)

    # reading and writing the guest's value

    def vmx_get_msr(self, vmx):
        self.vmx_load_host_state(vmx)
        return vmx.guest_msrs.kernel_gs_base

    def vmx_set_msr(self, vmx, data):
        self.vmx_load_host_state(vmx)
        vmx.guest_msrs.kernel_gs_base = data

    # long mode

    def set_efer(self, vmx):
        self.vmx_load_host_state(vmx)
        super().set_efer(vmx)

    def vmx_set_efer(self, vmx, efer):
        vmx.efer = efer
        vmcs_write("VM_ENTRY_CONTROLS", vmcs_read("VM_ENTRY_CONTROLS"))
        self.setup_msrs(vmx)

    def setup_msrs(self, vmx):
        self.vmx_load_host_state(vmx)
        vmx.lists_kernel_gs_base = is_long_mode(vmx)
        # one VMWRITE, as counted in the next version; of this one no count was recorded
        vmcs_write("MSR_BITMAP")

    def enter_lmode(self, vmx):
        vmcs_read("GUEST_TR_AR_BYTES")
        vmx.efer = vmx.efer | EFER_LMA
        self.vmx_set_efer(vmx, vmx.efer)

    def exit_lmode(self, vmx):
        vmx.efer = vmx.efer & ~EFER_LMA
        vmcs_write("VM_ENTRY_CONTROLS", vmcs_read("VM_ENTRY_CONTROLS"))
