"""The variables of a thread outside its functions, and what they are at the start."""

from __future__ import annotations

from typing import Any

from vmxsim.checker.promela.asking import DEEPEST
from vmxsim.checker.promela.store import Store
from vmxsim.checker.values import GUEST_BASE, HOST, RESET, SLOTS, UNKNOWN, USER
from vmxsim.kernel.kvm import Kvm
from vmxsim.model.value import Value
from vmxsim.model.vcpu import reset_cr0, reset_efer

EXITS = (
    "MSR_READ", "MSR_WRITE", "MSR_WRITE of EFER", "CR_ACCESS", "emulated RDMSR", "emulated WRMSR", "SMI",
    "RSM", "IO_INSTRUCTION", "EXTERNAL_INTERRUPT",
)  # fmt: skip
#: What a guest that enters long mode by several instructions does next.
SCRIPTS = ("PG off", "LME on", "PG on")
_FLAGS = ("waiting", "preempt_notifier", "signal_pending", "need_resched", "irqs_disabled")


def start_values(
    design: type[Kvm], bits: int, long_mode: bool, waiting: bool, cpu: int, values: tuple[Value, ...]
) -> dict[str, Any]:
    """Each variable of a thread at the start, in user space or waiting for a CPU."""
    in_array = design.labels["h"].startswith("host_msrs")
    slots = [RESET if waiting else HOST, RESET, HOST if in_array else UNKNOWN, GUEST_BASE, RESET, GUEST_BASE]
    return {
        "mode": "user",
        **dict.fromkeys(_FLAGS, False),
        "waiting": waiting,
        "cpu": cpu,
        "preempt_count": 0,
        "task_gs_sel": 0x63 if bits == 32 else 0,
        "bits": bits,
        "efer": reset_efer(long_mode),
        "cr0": reset_cr0(long_mode),
        "loaded": False,
        "lists_kernel_gs_base": long_mode,
        "save_nmsrs": design.shared_msrs[long_mode],
        "msrs_ready": False,
        "bitmap_passes": long_mode or design.bitmap_passes_at_creation,
        "ldt_sel": 0,
        "gs_sel": 0,
        "exit_reason": "",
        "smm": False,
        "smram_efer": 0,
        "smram_cr0": 0,
        "script": "",
        "guest_wrote": False,
        **{name: values[n] for name, n in zip(SLOTS, [*slots, RESET, HOST], strict=True)},
    }


def declare(store: Store, values: tuple[Value, ...], cpus: int, guest_wrote_first: bool) -> None:
    """Tell which values guest, user space and scheduler put into the variables."""
    store.grow("mode", ["", "user", "kernel", "guest"])
    for name in _FLAGS:
        store.grow(name, [False, True])
    store.grow("cpu", range(cpus))
    store.grow("preempt_count", range(DEEPEST + 1))
    store.grow("exit_reason", ["", *EXITS])
    store.grow("script", ["", *SCRIPTS])
    store.grow("guest_wrote", [False, guest_wrote_first])
    for n, name in enumerate(SLOTS):
        if n != USER:
            store.grow(name, values)
