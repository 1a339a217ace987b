"""Lab 8: enter, leave and the accessors from nearly nothing."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import CostAtMost, InvariantsHold, OnlyChanged
from vmxsim.exercises.starts import NotSwitched

_FUNCTIONS = (
    "vmx_prepare_switch_to_guest",
    "vmx_prepare_switch_to_host",
    "vmx_read_guest_kernel_gs_base",
    "vmx_write_guest_kernel_gs_base",
)

EXERCISE = Exercise(
    id="from-scratch",
    title="From scratch",
    task=(
        "The guest's accesses are never intercepted, and nobody switches the register. Write enter, leave"
        " and the two accessors. On a 64-bit host, entering must not read the register; a VM exit that KVM"
        " handles itself must cost nothing."
    ),
    start=NotSwitched,
    edit=_FUNCTIONS,
    goals=(
        OnlyChanged(*_FUNCTIONS),
        InvariantsHold(),
        CostAtMost("run", {"rdmsr_kernel_gs_base": 0, "wrmsr_kernel_gs_base": 1}),
        CostAtMost("exit", {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 1}),
        CostAtMost("emulate rdmsr", {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 0}),
    ),
    hints=(
        "Enter runs before every VM entry, leave when the thread goes to user space or is scheduled out."
        " Keep a flag, vmx.loaded_cpu_state, so that each does its work once: both test it first, and change"
        " it.",
        "Enter: keep the host's value in vmx.msr_host_kernel_gs_base, then load the guest's. For a 64-bit"
        " task (current.bits == 64) the host's value is in current.thread.gsbase; for a 32-bit one only the"
        " register has it.",
        "Leave: the guest's value comes first, since load_gs_index() overwrites the register (lab 4). The"
        " host's comes last.",
        "The accessors ask the flag, and the flag may change at every tick (lab 2).",
    ),
    difficulty=5,
    minutes=30,
)
