"""The actions of a scenario: what user space, the guest and the scheduler can do.

:data:`VERBS` is the one table of them. The scenario reader takes its vocabulary from it, the
simulator and the checker learn from it which ioctl or VM exit an action is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from vmxsim.kernel.instructions import guest_rdmsr, guest_swapgs, guest_wrmsr
from vmxsim.kernel.machine import EFER_LMA, EFER_LME, MODE_WORDS, X86_CR0_PG, Vcpu


@frozen
class Verb:
    """A kind of action."""

    #: Where the thread must be: in ``user`` space, in the ``guest``, or ``either``.
    when: str
    #: What the action's text ends with: a ``value``, a ``cpu``, or nothing.
    takes: str = ""
    #: It returns a value.
    returns: bool = False
    #: What a write returns that KVM or the processor rejects.
    rejection: str = ""
    #: In user space: the ioctl's request, and the kernel function that serves it.
    ioctl: str = ""
    function: str = ""
    #: In the guest: what the guest executes, as the source line of a step, and the reason of its VM exit.
    source: str = ""
    exit: str = ""
    #: In the guest: what the processor does if there is no VM exit.
    instruction: Callable[..., None] | None = None

    @property
    def handled(self) -> bool:
        """Whether it may exit to KVM, which handles it and enters the guest again if no signal is pending."""
        return bool(self.exit) and self.exit != "IO_INSTRUCTION"


#: Every verb, in the order in which the checker tries them.
VERBS: dict[str, Verb] = {
    "run": Verb("user", ioctl="KVM_RUN", function="kvm_arch_vcpu_ioctl_run"),
    "run cancelled": Verb("user", ioctl="KVM_RUN", function="kvm_arch_vcpu_ioctl_run"),
    "get-msr": Verb("user", returns=True, ioctl="KVM_GET_MSRS", function="kvm_vcpu_ioctl_get_msrs"),
    "set-msr": Verb(
        "user", takes="value", rejection="refused", ioctl="KVM_SET_MSRS", function="kvm_vcpu_ioctl_set_msrs"
    ),
    "set-efer long-mode on": Verb("user", ioctl="KVM_SET_SREGS", function="kvm_vcpu_ioctl_set_sregs"),
    "set-efer long-mode off": Verb("user", ioctl="KVM_SET_SREGS", function="kvm_vcpu_ioctl_set_sregs"),
    "guest rdmsr": Verb(
        "guest", returns=True, source="RDMSR KERNEL_GS_BASE", exit="MSR_READ", instruction=guest_rdmsr
    ),
    "guest wrmsr": Verb(
        "guest", takes="value", rejection="#GP",
        source="WRMSR KERNEL_GS_BASE, {}", exit="MSR_WRITE", instruction=guest_wrmsr,
    ),
    "emulate rdmsr": Verb(
        "guest", returns=True,
        source="VM exit: KVM emulates the guest's RDMSR KERNEL_GS_BASE", exit="emulated RDMSR",
    ),
    "emulate wrmsr": Verb(
        "guest", takes="value", rejection="#GP",
        source="VM exit: KVM emulates the guest's WRMSR KERNEL_GS_BASE, {}", exit="emulated WRMSR",
    ),
    "exit": Verb("guest", source="OUT: VM exit, for user space to handle", exit="IO_INSTRUCTION"),
    "guest long-mode on": Verb("guest", source="MOV to CR0, PG = 1: VM exit", exit="CR_ACCESS"),
    "guest long-mode off": Verb("guest", source="MOV to CR0, PG = 0: VM exit", exit="CR_ACCESS"),
    "guest smi": Verb("guest", source="an SMI arrives: VM exit", exit="SMI"),
    "guest rsm": Verb("guest", source="RSM: VM exit, KVM emulates it", exit="RSM"),
    "guest swapgs": Verb("guest", source="SWAPGS", instruction=guest_swapgs),
    "user gs-base": Verb("user", takes="value"),
    "preempt": Verb("either", takes="cpu"),
}  # fmt: skip


def why_impossible(name: str, mode: str, vcpu: Any) -> str:
    """Why the verb ``name`` is not possible now, '' if it is.

    ``mode`` is the thread's, ``vcpu`` anything with the vCPU's ``long_mode`` and ``smm``.
    """
    when, on = VERBS[name].when, int(vcpu.long_mode)
    if when not in ("either", mode):
        first = "run" if when == "guest" else "exit"
        return f"the thread is {MODE_WORDS[mode]}, and it must be {MODE_WORDS[when]} ('{first}' first)"
    if name == "guest swapgs" and not on:
        return "SWAPGS exists in long mode only, and EFER.LMA is 0"
    if name == "guest smi" and vcpu.smm:
        return "the vCPU is already in SMM ('guest rsm' first)"
    if name == "guest rsm" and not vcpu.smm:
        return "the vCPU is not in SMM ('guest smi' first)"
    if name.endswith(("long-mode on", "long-mode off")) and name.endswith(" on") == on:
        return f"it would change nothing, because EFER.LMA is already {on}"
    if VERBS[name].ioctl == "KVM_SET_SREGS" and vcpu.smm:
        return "the vCPU is in SMM ('guest rsm' first)"
    return ""


def user_gs_base_source(by_descriptor: bool, fsgsbase: bool) -> str:
    """What user space does to change its GS base, as the source line of a step."""
    if by_descriptor:
        return "set_thread_area(), MOV %gs: base {}"
    return "WRGSBASE {}" if fsgsbase else "arch_prctl(ARCH_SET_GS, {})"


def sregs(vcpu: Vcpu, long_mode: bool) -> tuple[int, int]:
    """EFER and CR0 as KVM_SET_SREGS passes them to switch long mode."""
    if long_mode:
        return vcpu.efer | EFER_LME | EFER_LMA, vcpu.cr0 | X86_CR0_PG
    return vcpu.efer & ~EFER_LMA, vcpu.cr0 & ~X86_CR0_PG


@frozen
class PreemptPoint:
    """Where in the kernel a tick comes: the ``nth`` point before a primitive or a line."""

    #: The primitive's name, or ``line N``.
    before: str
    #: The function, None for any.
    function: str | None = None
    nth: int = 1
    #: The CPU on which the thread resumes, None for the same one.
    cpu: int | None = None


@frozen
class Action:
    """One action, ready to run."""

    verb: str
    #: As a reader would write it.
    text: str
    vcpu: int = 0
    value: int | None = None
    cpu: int | None = None
    #: What the arrow states: a number, ``#GP`` or ``refused``.
    expected: int | str | None = None
    #: The ticks inside the kernel, in order.
    preempt: tuple[PreemptPoint, ...] = ()
    #: A signal is pending once the VM exit has been handled.
    signal: bool = False
    #: The tests of conditions that are not modeled, from 1, that come out the other way.
    otherwise: tuple[int, ...] = ()
