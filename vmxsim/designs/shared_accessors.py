"""Linux 7.1: both accessors go through a pair of functions that FRED's RSP0 uses as well."""

from vmxsim.designs.vcpu_vt import VcpuVt
from vmxsim.kernel.language import *


class SharedAccessors(VcpuVt):
    """7.1; 6.19 has it already (first release not looked up).

    The kernel's pair takes the MSR and the place of its cached value. Here both are fixed: FRED's RSP0, the
    other MSR that uses the pair, is not modeled.
    """

    id = "shared-accessors"
    title = "Accessors shared with FRED's RSP0"
    commit = None
    release = "7.1"
    release_note = "6.19 has it already; first release not looked up"
    story = (
        "FRED brings a second MSR that the guest's state switch leaves in the register, MSR_IA32_FRED_RSP0."
        " Reading and writing the two is the same work, so one pair of functions does it for both. enter"
        " still writes KERNEL_GS_BASE with an ordinary WRMSR."
    )
    changed = "vmx_read_guest_host_msr() and vmx_write_guest_host_msr() do the work of the two accessors."
    defect = None

    def vmx_read_guest_host_msr(self, vmx):
        preempt_disable()
        if vmx.vt.guest_state_loaded:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()

    def vmx_write_guest_host_msr(self, vmx, data):
        preempt_disable()
        if vmx.vt.guest_state_loaded:
            wrmsrns(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data

    def vmx_read_guest_kernel_gs_base(self, vmx):
        self.vmx_read_guest_host_msr(vmx)
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        self.vmx_write_guest_host_msr(vmx, data)
