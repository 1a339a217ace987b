"""Lab 1: be the scheduler."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import Breaks, Reaches
from vmxsim.exercises.starts import UnguardedRead
from vmxsim.runtrace import RunTrace

_READ = "vmx_read_guest_kernel_gs_base"


def _scheduled_out_inside(trace: RunTrace) -> bool:
    """Whether the vCPU thread was scheduled out in the middle of the read; on which CPU it goes on does
    not matter."""
    begun: set[int] = set()
    out: set[int] = set()
    for step in trace.steps:
        if step.thread == "thread0" and step.function == _READ:
            if step.action in out:
                return True
            begun.add(step.action)
        elif step.action in begun and any(access.kind == "ctxsw" for access in step.accesses):
            out.add(step.action)
    return False


EXERCISE = Exercise(
    id="one-tick",
    title="Be the scheduler: one tick",
    task=(
        "Someone left preempt_disable() out of KVM's read of the guest's MSR_KERNEL_GS_BASE. You are the"
        " scheduler. Place one tick inside the kernel, so that the read returns a value that is not the"
        " guest's."
    ),
    start=UnguardedRead,
    schedule=("run", "emulate rdmsr"),
    long_mode=True,
    goals=(
        Reaches(
            f"Your tick takes the vCPU thread off its CPU in the middle of {_READ}()",
            _scheduled_out_inside,
            3,
        ),
        Breaks("guest-value", actions=3, ticks=1),
    ),
    hints=(
        f"{_READ}() has three lines. A tick that comes before its first line, or after its last, does no"
        " harm.",
        "A tick inside an action is written with the action as the key:"
        ' {"emulate rdmsr": {"preempt": {"before": ..., "in": ..., "cpu": ...}}}.'
        " 'before' names a primitive, such as wrmsr or preempt_enable, or 'line N' of the function in 'in';"
        " 'cpu' says on which CPU the thread goes on: it need not be another one.",
        "The function tests a flag and then believes what it has seen. When the thread is scheduled out,"
        " leave clears the flag and takes the guest's value out of the register. Let that happen after the"
        " test and before the access.",
    ),
    difficulty=1,
    minutes=15,
)
