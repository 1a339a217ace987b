"""Running one step of a thread.

A continuation is a tuple (function, instruction, locals, caller's continuation): plain,
hashable, never changed, so that a state is saved and revisited for free.
"""

from __future__ import annotations

from typing import Any

from vmxsim.errors import SimulationError
from vmxsim.kernel.compiler import KernelSource
from vmxsim.kernel.machine import Machine
from vmxsim.kernel.program import CONDITIONS, Callee, Field, Function, Instruction, Local

Stack = Any  # (Function, int, tuple, Stack) | None


def enter(m: Machine, function: Function, args: tuple[Any, ...], caller: Stack) -> Stack:
    """A stack with ``function`` called on top; its contract is checked.

    Raises SimulationError where the call does not fit the function or its contract.
    """
    if len(args) != function.params:
        raise SimulationError(f"{function.name}() takes {function.params} arguments, not {len(args)}")
    for condition in function.requires:
        if not CONDITIONS[condition](m):
            by = f", called by {caller[0].name}()" if caller else ""
            raise SimulationError(f"contract broken: {function.name}() requires {condition}{by}")
    return (function, 0, args + (None,) * (len(function.locals) - len(args)), caller)


def step(m: Machine, source: type[KernelSource], stack: Stack) -> Stack:
    """Run one instruction of the current task's kernel code; returns the new stack,
    None when the outermost function has returned.

    Raises SimulationError where the instruction cannot be carried out.
    """
    function, index, frame, caller = stack
    i: Instruction = function.instructions[index]
    try:
        value = i.run(m, frame)
    except (TypeError, AttributeError, IndexError, AssertionError) as error:
        line = function.source[i.line - 1].strip()
        raise SimulationError(
            f"'{line}' cannot be carried out: {error}", f"{function.name}, line {i.line}"
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
    """Leave every function whose last statement has run: that takes no step."""
    while stack is not None:
        i = stack[0].instructions[stack[1]]
        if i.kind != "end":
            break
        value = None if i.expr is None else i.run(m, stack[2])
        # an interrupted function goes on with the very instruction it had come to
        stack = stack[3] if stack[0].interrupt else _resume_once(m, stack[3], value)
    return stack


def _resume_once(m: Machine, stack: Stack, value: Any) -> Stack:
    """The caller goes on behind its call; ``value`` goes where the call stores it."""
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
