"""A vCPU: what ``struct vcpu_vmx`` holds of this puzzle, under every name it has had."""

from __future__ import annotations

from attrs import define

from vmxsim.model.registers import EFER_LMA, EFER_LME, EFER_NX, EFER_SCE, X86_CR0_PG
from vmxsim.model.value import Value

#: The kernel's names of a field, old and new, and the field of :class:`Vcpu` they mean.
FIELD_NAMES = {
    # where the guest's value is saved
    "msr_guest_kernel_gs_base": "g",
    "guest_msrs.kernel_gs_base": "g",
    # where the host's value is saved
    "msr_host_kernel_gs_base": "h",
    "host_msrs.kernel_gs_base": "h",
    "vt.msr_host_kernel_gs_base": "h",
    # guest state is loaded
    "host_state.loaded": "loaded",
    "loaded_cpu_state": "loaded",
    "guest_state_loaded": "loaded",
    "vt.guest_state_loaded": "loaded",
    # the list of shared MSRs (user return MSRs)
    "guest_msrs_ready": "msrs_ready",
    "guest_uret_msrs_loaded": "msrs_ready",
    # selectors saved on the way in
    "host_state.ldt_sel": "ldt_sel",
    "host_state.gs_sel": "gs_sel",
    # the task's own saved base: thread.gs until 4.x, thread.gsbase since
    "thread.gs": "gs_base",
    "thread.gsbase": "gs_base",
}


@define(eq=False)
class Vcpu:
    """One virtual CPU.

    ``g`` and ``h`` are the saved values of guest and host, ``loaded`` whether guest state
    is loaded, ``gs_base`` the guest's active GS base (switched by the VMCS). ``efer`` and
    ``cr0`` are the guest's, as KVM caches them. ``lists_kernel_gs_base``: the array
    designs' list of MSRs to switch holds the register; ``save_nmsrs``: how many shared
    MSRs *enter* sets. ``bitmap_passes``: the MSR bitmap installed passes the register
    through. ``true_guest_value`` and ``true_gs_base`` are ghosts: what the guest's
    KERNEL_GS_BASE and GS base would be on a machine of its own. Only the invariants and
    the views see them.
    """

    id: str
    g: Value
    h: Value
    gs_base: Value
    true_guest_value: Value
    true_gs_base: Value
    efer: int
    cr0: int
    loaded: bool = False
    lists_kernel_gs_base: bool = False
    save_nmsrs: int = 0
    msrs_ready: bool = False
    bitmap_passes: bool = False
    ldt_sel: int = 0
    gs_sel: int = 0
    exit_reason: str = ""
    msr_data: Value | None = None
    returned: Value | str | None = None
    smm: bool = False
    smram_efer: int = 0
    smram_cr0: int = 0

    @property
    def long_mode(self) -> bool:
        """EFER.LMA as KVM caches it."""
        return bool(self.efer & EFER_LMA)


def reset_efer(long_mode: bool) -> int:
    """EFER of a guest that starts in (or out of) long mode: SCE, LME and NX are set."""
    return EFER_SCE | EFER_LME | EFER_NX | (EFER_LMA if long_mode else 0)


def reset_cr0(long_mode: bool) -> int:
    """CR0 of a guest that starts with paging on or off."""
    return X86_CR0_PG if long_mode else 0
