"""The functions that a thread can run, each once for its own stack and once for the scheduler's.

No function calls itself, so that one set of variables a function is enough: its parameters
and variables, and which line called it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define, field

from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.program.ir import Callee, Function, Instruction, Local

#: What user space calls, and what the tick calls.
IOCTLS = (
    "kvm_arch_vcpu_ioctl_run",
    "kvm_vcpu_ioctl_get_msrs",
    "kvm_vcpu_ioctl_set_msrs",
    "kvm_vcpu_ioctl_set_sregs",
)
SCHEDULE = "preempt_schedule_irq"


@define(eq=False)
class Routine:
    """A function on one of the two stacks. ``positions`` are the numbers of its
    instructions, ``leave`` that of its end. ``calls`` are the lines that call it."""

    function: Function
    scheduler: bool
    name: str
    callees: dict[int, Routine] = field(factory=dict)
    calls: list[tuple[Routine, int]] = field(factory=list)
    positions: list[int] = field(factory=list)
    leave: int = 0
    assigned: list[set[int]] = field(factory=list)

    @property
    def pc(self) -> str:
        """The variable that says which line is next."""
        return "T.scheduler_pc" if self.scheduler else "T.pc"

    @property
    def back(self) -> str:
        """The variable that says which line called it."""
        return f"{self.name}__caller"

    def local(self, index: int) -> str:
        """The variable of one of its locals."""
        return f"{self.name}__" + re.sub(r"\W", "_", self.function.locals[index]).rstrip("_")

    def where(self, i: Instruction) -> str:
        """For errors: function and line."""
        return f"{self.function.owner}.{self.function.name}, line {i.line}"

    def source(self, i: Instruction) -> str:
        """The source text of an instruction, fit for a comment."""
        return self.function.source[i.line - 1].strip().replace("*/", "* /")


def collect(design: type[Kvm]) -> tuple[list[Routine], int]:
    """Every function of both stacks, callers before what they call. Positions from the number
    that is returned with them on are ends of functions: to pass one takes no step.

    Raises InputError for a function that calls itself, directly or not.
    """
    found: dict[tuple[bool, Function], Routine] = {}
    names: set[str] = set()

    def visit(function: Function, scheduler: bool, path: tuple[Function, ...]) -> Routine:
        if function in path:
            raise InputError(
                "calls itself: the Promela model has one set of variables for each function", function.name
            )
        known = found.get((scheduler, function))
        if known is not None:
            return known
        name = "sched_" * scheduler + function.name
        name = f"{function.owner}_{name}" if name in names else name
        names.add(name)
        routine = found[scheduler, function] = Routine(function, scheduler, name)
        for index, i in enumerate(function.instructions):
            if i.callee is None:
                continue
            callee = visit(design.link(i.callee), scheduler, (*path, function))
            if callee.function.interrupt:
                raise InputError(
                    f"{i.callee.name}() is run by an interrupt and cannot be called", routine.where(i)
                )
            routine.callees[index] = callee
            callee.calls.append((routine, index))
        return routine

    for name in IOCTLS:
        visit(design.link(Callee("self", name)), False, ())
    visit(design.link(Callee("self", SCHEDULE)), True, ())
    for routine in found.values():
        routine.assigned = _assigned(routine.function)
    return list(found.values()), _number(list(found.values()))


def _number(routines: list[Routine]) -> int:
    step = 1
    end = ends = 1 + sum(i.kind != "end" for routine in routines for i in routine.function.instructions)
    for routine in routines:
        for i in routine.function.instructions:
            if i.kind == "end":
                routine.positions.append(end)
                end += 1
            else:
                routine.positions.append(step)
                step += 1
        routine.leave = end
        end += 1
    return ends


def following(i: Instruction) -> Iterator[int]:
    """The instructions of the same function that can come next."""
    if i.kind in ("do", "call", "branch"):
        yield i.next
    if i.kind in ("branch", "switch"):
        yield i.other
    for _, to in i.cases:
        yield to


def _assigned(function: Function) -> list[set[int]]:
    """For each instruction the locals that have a value whichever way it was reached."""
    everything = set(range(len(function.locals)))
    before = [set(everything) for _ in function.instructions]
    before[0] = set(range(function.params))
    changed = True
    while changed:
        changed = False
        for n, i in enumerate(function.instructions):
            after = before[n] | ({i.target.index} if isinstance(i.target, Local) else set())
            for to in following(i):
                if not before[to] <= after:
                    before[to] &= after
                    changed = True
    return before
