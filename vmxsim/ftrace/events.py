"""One event of a recorded trace, in the few kinds that tell something about the register.

``kind`` is a short word, ``data`` depends on it:

=============== ====================================================================
kind            data
=============== ====================================================================
``rdmsr``       the value read from KERNEL_GS_BASE
``wrmsr``       the value written to it
``entry``       the vCPU number of ``kvm_entry`` (it repeats across VMs)
``exit``        the exit reason, a word
``userspace``   None: KVM_RUN returns to user space
``msr``         (is a write, MSR number, value): a guest's access that KVM emulated
``cr0``         the value that the guest moves to CR0
``switch``      (prev pid, prev name, next pid, next name)
``marker``      the text somebody wrote to trace_marker
``probe``       (function, fields): a kprobe at a function's entry
``return``      (function, fields): its return
``leaf``        (function, fields): both, with no event in between (function_graph)
``lost``        None: events of this CPU are missing here
=============== ====================================================================
"""

from __future__ import annotations

from typing import Any, NamedTuple

#: MSR_KERNEL_GS_BASE, the one register this is all about.
KERNEL_GS_BASE = 0xC0000102
#: MSR_EFER; bit 8 is LME (long mode enabled), bit 10 LMA (long mode active).
EFER = 0xC0000080
EFER_LME = 1 << 8
EFER_LMA = 1 << 10
#: CR0.PG.
CR0_PG = 1 << 31

#: The role of a kernel function, whatever it is called in which release: *enter* loads the
#: guest's state, *leave* restores the host's, *put* and *load* are the calls around them.
FUNCTIONS = {
    "vmx_save_host_state": "enter",
    "vmx_prepare_guest_switch": "enter",
    "vmx_prepare_switch_to_guest": "enter",
    "vmx_load_host_state": "leave",
    "__vmx_load_host_state": "leave",
    "vmx_prepare_switch_to_host": "leave",
    "vcpu_put": "put",
    "kvm_arch_vcpu_put": "put",
    "vmx_vcpu_put": "put",
    "kvm_sched_out": "put",
    "vcpu_load": "load",
    "kvm_arch_vcpu_load": "load",
    "vmx_vcpu_load": "load",
    "kvm_sched_in": "load",
    "vmx_vcpu_run": "run",
    "vmx_get_msr": "get",
    "vmx_set_msr": "set",
    "vmx_set_efer": "efer",
    "vmx_set_efer_part": "efer_work",
    "vmx_set_cr0": "set_cr0",
    "vmx_read_guest_kernel_gs_base": "accessor_read",
    "vmx_write_guest_kernel_gs_base": "accessor_write",
    "vmx_enable_intercept_for_msr": "intercept_on",
    "vmx_disable_intercept_for_msr": "intercept_off",
}

Fields = dict[str, int]


class Event(NamedTuple):
    """An event: where it stands in the file (line from 1), when (seconds), on which CPU, by whom.

    ``preemptible`` is whether preemption was enabled, from the flags column; None: it does not tell.
    """

    line: int
    time: float
    cpu: int
    pid: int
    comm: str
    name: str
    kind: str
    data: Any
    preemptible: bool | None = None
