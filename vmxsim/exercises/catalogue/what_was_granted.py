"""Lab 5: a schedule that an author's assumptions do not exclude."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import Breaks, Reaches
from vmxsim.model.value import Value
from vmxsim.runtrace import RunTrace

_GRANTED = ("no-kernel-preemption", "no-mode-switch", "guest-wrote-first")


def _guest_reads_hosts(trace: RunTrace) -> bool:
    """Whether the last action is the guest's own read, and it returns the vCPU thread's GS base."""
    last = trace.scenario.actions[-1]
    machine = trace.environment.m
    returned = machine.vcpus[last.vcpu].returned
    return (
        last.verb == "guest rdmsr"
        and isinstance(returned, Value)
        and returned.number == machine.threads[0].gs_base.number
    )


EXERCISE = Exercise(
    id="what-was-granted",
    title="What was granted",
    task=(
        "The author of the patch says: nothing happens before the guest has written its register in long"
        " mode, a running guest does not change its mode itself, and inside these short functions no tick"
        " comes. Grant all three. Find a schedule on which the patch fails all the same."
    ),
    start="dedicated-accessors",
    schedule=("run", "guest wrmsr 0xA000", "guest rdmsr"),
    long_mode=True,
    goals=(
        Breaks("guest-value", actions=7, assume=_GRANTED),
        Reaches(
            "Its last action is 'guest rdmsr', and it returns the host thread's GS base",
            _guest_reads_hosts,
            7,
        ),
    ),
    hints=(
        "The guest does not change its mode itself. Who else can take it out of long mode, and back?",
        "In system-management mode the guest is outside long mode. The handler is guest code like any other:"
        " it may be scheduled out, or need user space.",
        "Outside long mode leave gives the host its value back, and the next enter does not load the guest's."
        " Let that happen between 'guest smi' and 'guest rsm'.",
    ),
    difficulty=3,
    minutes=20,
)
