"""Lab 6: accessors that are right and cost little."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import CostAtMost, InvariantsHold, OnlyChanged

_ACCESSORS = ("vmx_get_msr", "vmx_set_msr")

EXERCISE = Exercise(
    id="cheap-accessors",
    title="Right and cheap",
    task=(
        "In Linux 4.18 KVM gives the host all of its state back whenever it reads or writes the guest's"
        " MSR_KERNEL_GS_BASE. Rewrite the two accessors: right on every schedule, without a full host reload,"
        " with one access of the register at most, and with none outside long mode."
    ),
    start="host-from-thread",
    edit=_ACCESSORS,
    goals=(
        OnlyChanged(*_ACCESSORS),
        InvariantsHold(),
        CostAtMost(
            "emulate rdmsr",
            {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 0, "full_host_reload": 0},
            long_modes=(True,),
        ),
        CostAtMost(
            "emulate wrmsr",
            {"rdmsr_kernel_gs_base": 0, "wrmsr_kernel_gs_base": 1, "full_host_reload": 0},
            long_modes=(True,),
        ),
        CostAtMost("emulate rdmsr", {"rdmsr_kernel_gs_base": 0, "full_host_reload": 0}, long_modes=(False,)),
    ),
    hints=(
        "Where is the guest's value? In the register, or in vmx.msr_guest_kernel_gs_base: it depends on two"
        " things that you can ask, is_long_mode(vmx) and vmx.host_state.loaded.",
        "The answer to 'is it loaded?' is worth nothing after the next tick. See lab 2.",
        "A read may store what it found in the saved copy, and return that. A write must reach the saved"
        " copy in any case: whoever loads the register next takes it from there.",
    ),
    difficulty=3,
    minutes=25,
)
