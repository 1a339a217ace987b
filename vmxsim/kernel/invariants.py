"""The invariants, and the sentence for each violation. Verdicts compare numbers; owners supply the words.

``guest-value``: the guest, KVM_GET_MSRS and the emulator read the true guest value, and the register
holds it whenever the guest runs with access passed through.
``host-value``: a host task in user space finds the GS base that it last set itself (a ghost variable: no
kernel code can change it) in the register.
``no-leak``: no guest can read a host task's value, and no host task a guest's.
``no-host-fault``: the host never executes a WRMSR that raises #GP.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vmxsim.kernel.machine import Cpu, Machine, Task, Value, Vcpu, owner_words

#: A violation: the invariant, whose value it is about, and the sentence.
Breach = tuple[str, str, str]

INVARIANTS = ("guest-value", "host-value", "no-leak", "no-host-fault")


def describe(value: Value) -> str:
    """The value with its owner: ``0x7f0000001000 (vCPU thread 0's)``."""
    return f"{value} ({owner_words(value.owner)}'s)"


def is_host(value: Value) -> bool:
    """Whether a host task owns the value."""
    return value.owner.startswith("thread") or value.owner == "plain"


def guest_runs(m: Machine, vcpu: Vcpu, cpu: Cpu) -> Iterator[Breach]:
    """The violations if this guest runs on this CPU now, with access passed through."""
    found, true, who = cpu.kernel_gs_base, vcpu.true_guest_value, owner_words(vcpu.id)
    return _guest_finds(
        vcpu,
        found,
        true,
        f"{who} runs on CPU {cpu.index} with access passed through; KERNEL_GS_BASE holds {describe(found)},"
        f" the guest's true value is {true}. {where(m, vcpu)}",
        f"{who} can read {describe(found)} in KERNEL_GS_BASE of CPU {cpu.index}",
    )


def guest_reads(m: Machine, vcpu: Vcpu, value: Value) -> Iterator[Breach]:
    """The violations if ``value`` is returned as the guest's register."""
    true, who = vcpu.true_guest_value, owner_words(vcpu.id)
    return _guest_finds(
        vcpu,
        value,
        true,
        f"the read of {who}'s KERNEL_GS_BASE returns {describe(value)}; the true value is {true}."
        f" {where(m, vcpu)}",
        f"{describe(value)} was read as {who}'s KERNEL_GS_BASE",
    )


def guest_swaps(vcpu: Vcpu, found: Value, true: Value) -> Iterator[Breach]:
    """The violations if SWAPGS gives the guest ``found`` where ``true`` should have been."""
    told = f"SWAPGS makes {describe(found)} the GS base of {owner_words(vcpu.id)}"
    return _guest_finds(vcpu, found, true, f"{told}; it should be {true}", f"{told}, which can read it")


def _guest_finds(vcpu: Vcpu, found: Value, true: Value, wrong: str, leak: str) -> Iterator[Breach]:
    if found.number != true.number:
        yield "guest-value", vcpu.id, wrong
        if is_host(found):
            yield "no-leak", vcpu.id, leak


def user_runs(task: Task, cpu: Cpu) -> Iterator[Breach]:
    """The violations if this task runs in user space on this CPU now."""
    found = cpu.kernel_gs_base
    if found.number == task.true_user_gs_base.number:
        return
    yield (
        "host-value",
        task.id,
        f"{owner_words(task.id)} is in user space on CPU {cpu.index}; KERNEL_GS_BASE holds {describe(found)},"
        f" its own user GS base is {task.true_user_gs_base}",
    )
    if found.owner.startswith("vcpu"):
        yield (
            "no-leak",
            task.id,
            f"{owner_words(task.id)} runs in user space with {describe(found)} as its GS base",
        )


def where(m: Machine, vcpu: Vcpu) -> str:
    """A sentence that says where the guest's true value is."""
    true = vcpu.true_guest_value
    places = [f"KERNEL_GS_BASE of CPU {cpu.index}" for cpu in m.cpus if cpu.kernel_gs_base == true]
    if vcpu.g == true:
        places.append("the vCPU's saved copy")
    return (
        f"The true value is in {' and in '.join(places)}."
        if places
        else "The true value is no longer stored anywhere: it is lost."
    )


def check_event(m: Machine, event: tuple[Any, ...], passes: bool) -> Iterator[Breach]:
    """The violations caused by an event of the current step. ``passes``: guest access is passed through."""
    if event[0] == "guest-runs" and passes:
        yield from guest_runs(m, event[1], m.cpu)
    elif event[0] == "returned":
        yield from guest_reads(m, event[1], event[2])
    elif event[0] == "swapgs":
        yield from guest_swaps(*event[1:])
    elif event[0] == "host-fault":
        yield (
            "no-host-fault",
            f"cpu{event[1]}",
            f"the host's WRMSR of KERNEL_GS_BASE on CPU {event[1]} raises #GP: {describe(event[2])} is not a"
            " canonical address; the register does not change",
        )


def check_user_space(m: Machine) -> Iterator[Breach]:
    """The violations for tasks that are in user space now."""
    for cpu in m.cpus:
        task = m.task_named(cpu.current)
        if task.mode == "user":
            yield from user_runs(task, cpu)
