"""Linux 4.19-rc1: the seed patch, accessors instead of a full host reload."""

from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.kernel.language import *


class DedicatedAccessors(HostFromThread):
    """678e315e78a7: two accessors read and write the guest's value without a full host reload.

    Its diff removes vmx_load_host_state(), which nothing calls anymore. 4.19-rc1 as released calls enter and
    leave ``vmx_prepare_switch_to_*``; this commit did not rename them.
    """

    id = "dedicated-accessors"
    title = "Dedicated accessors (the seed patch)"
    commit = "678e315e78a7"
    commit_title = "KVM: vmx: add dedicated utility to access guest's kernel_gs_base"
    release = "4.19-rc1"
    story = (
        "Reading or writing one MSR no longer reloads the whole host state: two small functions find out"
        " where the guest's value is now, in the register or in the field, and use that place. Something else"
        " went away with the reload in vmx_set_efer(): nobody loads the guest's value when the guest enters"
        " long mode while its state is loaded. The patch shipped only in release candidates, and broke UEFI"
        " Secure Boot guests."
    )
    changed = (
        "vmx_read_guest_kernel_gs_base() and vmx_write_guest_kernel_gs_base() replace the full host reload in"
        " vmx_get_msr(), vmx_set_msr() and vmx_set_efer()."
    )
    defect = (
        "Stale after entering long mode: when LMA goes from 0 to 1 while guest state is loaded, enter returns"
        " early. The register keeps what it held, usually the host's user GS base, and the guest reads it."
        " The next leave saves it as the guest's value. Fixed by never-trap."
    )

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if is_long_mode(vmx):
            preempt_disable()
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if is_long_mode(vmx):
            preempt_disable()
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, data)
            preempt_enable()
        vmx.msr_guest_kernel_gs_base = data

    def vmx_get_msr(self, vmx):
        return self.vmx_read_guest_kernel_gs_base(vmx)

    def vmx_set_msr(self, vmx, data):
        self.vmx_write_guest_kernel_gs_base(vmx, data)

    def vmx_set_efer(self, vmx, efer):
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)
