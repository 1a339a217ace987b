"""Traces that the tests of the views look at."""

from __future__ import annotations

from functools import cache

import vmxsim
from vmxsim.kernel.machine import Value
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Box, Cell, Change, Move, Scene, Step, Violation

#: What stands for text from outside: markup, quotes, a control character, an ANSI escape.
HOSTILE = "<script>alert('x')</script>&\"\x1b[31m\x07"


@cache
def seed(*more: str) -> RunTrace:
    """The seed patch's defect: the guest enters long mode while loaded, then reads."""
    actions = ["run", "guest long-mode on", "guest rdmsr", *more]
    return vmxsim.run(actions, design="dedicated-accessors", title="Entering long mode")


@cache
def crowded() -> RunTrace:
    """Four CPUs, two vCPUs, a 32-bit host, a design that uses load_gs_index()."""
    actions = [{f"vcpu{i}": a} for a in ("run", "guest long-mode on", "guest swapgs") for i in (0, 1)]
    actions += [{"vcpu0": "preempt cpu3"}, {"vcpu1": "preempt cpu2"}, {"vcpu0": "exit"}]
    return vmxsim.run(actions, design="load-gs-index", cpus=4, vcpus=2, host="32-bit")


class Hostile:
    """A trace by hand in which every text from outside is hostile, and values are unknown or unowned."""

    title = HOSTILE
    name = HOSTILE
    subtitle = HOSTILE
    actions = (HOSTILE,)
    notes = (HOSTILE,)

    def __init__(self) -> None:
        self.violations = (Violation(0, "host-value", HOSTILE, 0),)
        self.steps = (
            Step(
                0, 0, HOSTILE, 0, "kernel", HOSTILE, 0, HOSTILE,
                changes=(Change("cpu0.preempt_count", HOSTILE, HOSTILE),),
                moves=(Move(HOSTILE, "cpu0.kernel_gs_base", "vcpu0.g"),),
                notes=(HOSTILE,), held_back=HOSTILE, violations=self.violations,
            ),
        )  # fmt: skip

    def scene(self, index: int) -> Scene:
        value = Value(0xA000, "unknown" if index else HOSTILE)
        cpu = Cell("cpu0.kernel_gs_base", HOSTILE, value, "foreign")
        g = Cell("vcpu0.g", HOSTILE, None, "unknown")
        h = Cell("vcpu0.h", HOSTILE, None, "unused")
        boxes = (
            Box("cpu0", "cpu", HOSTILE, ((HOSTILE, HOSTILE),), (cpu,)),
            Box("vcpu0", "vcpu", HOSTILE, (), (g, h)),
            Box("task", "task", HOSTILE, (("mode", HOSTILE),), ()),
        )
        return Scene(boxes, (("guest-value", HOSTILE),))

    def listing(self, function: str) -> tuple[str, ...]:
        return (HOSTILE,)
