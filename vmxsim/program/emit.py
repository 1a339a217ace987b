"""Instructions to callables: each expression becomes one small Python function."""

from __future__ import annotations

from typing import Any

from vmxsim.model.primitive import PRIMITIVES
from vmxsim.model.value import number_of
from vmxsim.program.ir import Const, Current, Expr, Field, Function, Instruction, Local, Operation, Primitive

#: Fields of a vCPU or a task that hold a value of the register.
VALUE_FIELDS = frozenset({"g", "h", "gs_base", "msr_data", "returned"})


def emit(function: Function) -> None:
    """Compile every instruction of ``function``: ``run(m, L)`` with the frame's locals L."""
    names: dict[str, Any] = {f"P_{name}": call for name, call in PRIMITIVES.items()}
    names["N"] = number_of
    lines = []
    for number, instruction in enumerate(function.instructions):
        body = _instruction(instruction)
        if body:
            lines.append(f"def i{number}(m, L):\n    {body}")
    exec(compile("\n".join(lines), f"<steps of {function.name}>", "exec"), names)
    for number, instruction in enumerate(function.instructions):
        instruction.run = names.get(f"i{number}", _nothing)


def _nothing(m: Any, L: Any) -> None:
    return None


def _instruction(i: Instruction) -> str:
    if i.kind == "call":
        return f"return ({''.join(_text(arg) + ', ' for arg in i.args)})"
    if i.expr is None:
        return ""
    if i.kind == "do" and isinstance(i.target, Field):
        holder = "m.task" if isinstance(i.target.base, Current) else f"m.objects[L[{i.target.base.index}]]"
        return f"m.set({holder}, {i.target.name!r}, {_text(i.expr)})"
    return f"return {_number(i.expr) if i.kind in ('branch', 'switch') else _text(i.expr)}"


def _text(e: Expr) -> str:
    match e:
        case Const(value):
            return repr(value)
        case Local(index, _):
            return f"L[{index}]"
        case Current():
            return "m.task"
        case Field(Current(), name):
            return f"m.task.{name}"
        case Field(Local(index, _), name):
            return f"m.objects[L[{index}]].{name}"
        case Primitive(name, args):
            return f"P_{name}(m{''.join(', ' + _text(arg) for arg in args)})"
        case Operation(op, (only,)):
            return f"({op} {_number(only)})"
        case Operation("is" | "is not" as op, (left, right)):
            return f"({_text(left)} {op} {_text(right)})"
        case Operation(op, args):
            return "(" + f" {op} ".join(_number(arg) for arg in args) + ")"
    raise AssertionError(e)


def _number(e: Expr) -> str:
    """An expression whose number is looked at, not its owner."""
    text = _text(e)
    can_be_value = isinstance(e, (Local, Primitive)) or (isinstance(e, Field) and e.name in VALUE_FIELDS)
    return f"N({text})" if can_be_value else text
