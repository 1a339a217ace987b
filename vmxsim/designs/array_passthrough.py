"""Linux 2.6.31: a guest in long mode reaches the register itself."""

from vmxsim.designs.msr_array import MsrArray
from vmxsim.kernel.language import *


class ArrayPassthrough(MsrArray):
    """5897297bc228: two MSR bitmaps; in long mode the register is passed through."""

    id = "array-passthrough"
    title = "The array, passed through in long mode"
    commit = "5897297bc228"
    release = "2.6.31"
    story = (
        "A 64-bit guest kernel uses the register all the time, so its accesses no longer exit: there are two"
        " MSR bitmaps, and the one for long mode lets them through. Storage and switching stay as they were:"
        " an entry in the arrays."
    )
    changed = "The MSR bitmap lets the guest's accesses through in long mode."
    defect = "Leave may restore an old value of the host's, as in msr-array."
    interception = "outside long mode"

    def setup_msrs(self, vmx):
        self.vmx_load_host_state(vmx)
        vmx.lists_kernel_gs_base = is_long_mode(vmx)
        vmx.bitmap_passes = is_long_mode(vmx)
        vmcs_write("MSR_BITMAP")
