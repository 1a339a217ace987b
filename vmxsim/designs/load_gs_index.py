"""Linux 2.6.36/37: leave reloads GS with load_gs_index()."""

from vmxsim.designs.lma_fix import LmaFix
from vmxsim.kernel.language import *


class LoadGsIndex(LmaFix):
    """9581d442b905: load_gs_index() instead of MOV %gs and a WRMSR of GS_BASE."""

    id = "load-gs-index"
    title = "GS reloaded by load_gs_index()"
    commit = "9581d442b905"
    release = "2.6.36/37"
    story = (
        "Returning to a 32-bit host process means loading its GS selector. load_gs_index() does that without"
        " disturbing the kernel's own GS base: SWAPGS, MOV %gs, SWAPGS. That leaves the base that MOV %gs"
        " loads from the descriptor in KERNEL_GS_BASE, which still held the guest's value."
    )
    changed = "leave loads GS with load_gs_index() and then writes the thread's base to the register."
    defect = (
        "gsbase corruption: with a 32-bit host process, load_gs_index() overwrites the register before the"
        " guest's value has been read back, so the guest's value is lost. The line after it writes thread.gs,"
        " which is 0 for a process whose base comes from a descriptor: with a guest outside long mode, the"
        " host's value is lost as well (found by search)."
    )

    @requires("preemption disabled", "vCPU loaded")
    def __vmx_load_host_state(self, vmx):
        if not vmx.host_state.loaded:
            return
        count_host_state_reload()
        vmx.host_state.loaded = False
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gs)
        ltr()
        if is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()
