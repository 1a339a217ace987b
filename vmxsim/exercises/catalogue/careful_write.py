"""Lab 2: where preemption must be disabled."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import CostAtMost, InvariantsHold, OnlyChanged
from vmxsim.exercises.starts import UnguardedWrite

_WRITE = "vmx_write_guest_kernel_gs_base"

EXERCISE = Exercise(
    id="careful-write",
    title="A careful write",
    task=(
        "KVM's write of the guest's MSR_KERNEL_GS_BASE tests whether guest state is loaded, and then writes"
        " the register. Put preempt_disable() and preempt_enable() where they belong."
    ),
    start=UnguardedWrite,
    edit=(_WRITE,),
    goals=(
        OnlyChanged(_WRITE),
        InvariantsHold(),
        CostAtMost("emulate wrmsr", {"wrmsr_kernel_gs_base": 1, "full_host_reload": 0}),
    ),
    hints=(
        "Check the function as it is, and play the counterexample. Between which two lines does the tick"
        " come, and what has changed when the thread goes on?",
        "What must not be parted is not a single line. It is a question and what is done because of its"
        " answer.",
        "preempt_disable() must come before the flag is tested. And on every way out of the function"
        " preempt_enable() must have been called as often as preempt_disable().",
    ),
    difficulty=1,
    minutes=15,
)
