"""Running one step of a thread.

A continuation is a tuple (function, instruction, locals, caller's continuation): plain, hashable and
immutable, so that a state can be saved and revisited for free.
"""

from __future__ import annotations

from typing import Any

from vmxsim.errors import SimulationError
from vmxsim.kernel.machine import Cpu, Machine
from vmxsim.kernel.patch import KernelSource
from vmxsim.kernel.program import CONDITIONS, Callee, Field, Function, Instruction, Local

Stack = Any  # (Function, int, tuple, Stack) | None


def enter(m: Machine, function: Function, args: tuple[Any, ...], caller: Stack) -> Stack:
    """Call ``function``: the continuation with it on top.

    Raises SimulationError if the call does not fit the function or breaks its contract.
    """
    if len(args) != function.params:
        raise SimulationError(f"{function.name}() takes {function.params} arguments, not {len(args)}")
    for condition in function.requires:
        if not CONDITIONS[condition](m):
            by = f", called by {caller[0].name}()" if caller else ""
            raise SimulationError(f"contract broken: {function.name}() requires {condition}{by}")
    return (function, 0, args + (None,) * (len(function.locals) - len(args)), caller)


def step(m: Machine, source: type[KernelSource], stack: Stack) -> Stack:
    """Run one instruction of the current task's kernel code. Returns the new continuation, None once the
    outermost function has returned.

    Raises SimulationError if the instruction cannot be executed.
    """
    function, index, frame, caller = stack
    i: Instruction = function.instructions[index]
    try:
        value = i.run(m, frame)
    except (TypeError, AttributeError, IndexError, ValueError, AssertionError) as error:
        raise SimulationError(
            f"cannot execute '{function.text(i.line)}': {error}",
            f"{function.name}, {function.at(i.line).name}",
        ) from error
    kind = i.kind
    if kind == "do":
        if type(i.target) is Local:
            at = i.target.index
            frame = (*frame[:at], value, *frame[at + 1 :])
        return settle(m, (function, i.next, frame, caller))
    if kind == "branch":
        return settle(m, (function, i.next if value else i.other, frame, caller))
    if kind == "call":
        callee: Callee = i.callee  # type: ignore[assignment]
        return settle(m, enter(m, source.link(callee), value, stack))
    if kind == "switch":
        goes = next((to for case, to in i.cases if case == value), i.other)
        return settle(m, (function, goes, frame, caller))
    return settle(m, caller if function.interrupt else _resume_once(m, caller, value))


def settle(m: Machine, stack: Stack) -> Stack:
    """Return from every function whose last statement has run, which is not a step."""
    while stack is not None:
        i = stack[0].instructions[stack[1]]
        if i.kind != "end":
            break
        value = None if i.expr is None else i.run(m, stack[2])
        # an interrupted function resumes at the instruction it was about to run
        stack = stack[3] if stack[0].interrupt else _resume_once(m, stack[3], value)
    return stack


def _resume_once(m: Machine, stack: Stack, value: Any) -> Stack:
    """Resume the caller after its call, with ``value`` stored where the call says."""
    if stack is None:
        return None
    function, index, frame, caller = stack
    i = function.instructions[index]
    if type(i.target) is Local:
        at = i.target.index
        frame = (*frame[:at], value, *frame[at + 1 :])
    elif type(i.target) is Field:
        holder = m.objects[frame[i.target.base.index]] if type(i.target.base) is Local else m.task
        m.set(holder, i.target.name, value)
    return (function, i.next, frame, caller)


def holds_tick(cpu: Cpu, stack: Stack) -> str:
    """What keeps a tick on this CPU from taking effect in this kernel code: ``interrupts``, ``preemption`` or
    ``scheduler``; '' if nothing does."""
    if cpu.irqs_disabled:
        return "interrupts"
    if cpu.preempt_count:
        return "preemption"
    return "scheduler" if stack is not None and stack[0].interrupt else ""


def why_tick_waits(cpu: Cpu, stack: Stack) -> str:
    """The same in words."""
    words = {
        "": "",
        "interrupts": "interrupts are off",
        "preemption": f"preemption is disabled (preempt_count {cpu.preempt_count})",
        "scheduler": "the scheduler is already running",
    }
    return words[holds_tick(cpu, stack)]
