"""By Linux 2.6.35: reload the host first, change EFER.LMA afterward."""

from vmxsim.designs.lazy_long_mode import LazyLongMode
from vmxsim.kernel.language import *


class LmaFix(LazyLongMode):
    """da38f4385946: enter_lmode() and exit_lmode() leave LMA to vmx_set_efer()."""

    id = "lma-fix"
    title = "Host state reloaded before LMA changes"
    commit = "da38f4385946"
    release = "by 2.6.35"
    story = (
        "32-bit host user space on a 64-bit kernel had faulted. Both functions now pass the new EFER to"
        " vmx_set_efer(), which reloads the host state before it stores EFER: what is loaded gets switched"
        " back under the rule by which it was switched in."
    )
    changed = (
        "enter_lmode() and exit_lmode() call vmx_set_efer() with the new value and change nothing first."
    )
    defect = None

    def enter_lmode(self, vmx):
        vmcs_read("GUEST_TR_AR_BYTES")
        self.vmx_set_efer(vmx, vmx.efer | EFER_LMA)

    def exit_lmode(self, vmx):
        vmcs_write("VM_ENTRY_CONTROLS", vmcs_read("VM_ENTRY_CONTROLS"))
        self.vmx_set_efer(vmx, vmx.efer & ~EFER_LMA)
