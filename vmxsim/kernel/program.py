"""A kernel function as a list of instructions, one per step.

Nothing here knows which language the function was written in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field, frozen

from vmxsim.errors import unknown
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.machine import Machine, number_of

F = TypeVar("F", bound=Callable[..., Any])

CONDITIONS: dict[str, Callable[[Machine], bool]] = {
    "preemption disabled": lambda m: m.cpu.preempt_count > 0,
    "preemption enabled": lambda m: m.cpu.preempt_count == 0,
    "vCPU loaded": lambda m: m.task.preempt_notifier,
}


def interrupt(function: F) -> F:
    """Mark a kernel function that an interrupt runs on top of the code that it interrupts."""
    function.__interrupt__ = True  # type: ignore[attr-defined]
    return function


def requires(*conditions: str) -> Callable[[F], F]:
    """State a kernel function's contract: ``preemption disabled``, ``preemption enabled``
    or ``vCPU loaded`` (between vcpu_load() and vcpu_put()). A call that breaks the contract
    stops the run and names the condition.

    Raises InputError for a condition that does not exist.
    """
    for condition in conditions:
        if condition not in CONDITIONS:
            raise unknown("condition", condition, CONDITIONS, "@requires")

    def mark(function: F) -> F:
        function.__requires__ = conditions  # type: ignore[attr-defined]
        return function

    return mark


@frozen
class Const:
    """A number, a word, True, False or None."""

    value: Any


@frozen
class Local:
    """A parameter or local variable, by its index in the frame."""

    index: int
    name: str


@frozen
class Current:
    """The current task."""


@frozen
class Field:
    """A field of the current task, or of a vCPU in a local variable."""

    base: Local | Current
    name: str


@frozen
class Primitive:
    """A call to a primitive."""

    name: str
    args: tuple[Any, ...]


@frozen
class Operation:
    """An operator on one or more expressions: ``not``, ``and``, ``|``, ``==``, ..."""

    op: str
    args: tuple[Any, ...]


Expr = Const | Local | Current | Field | Primitive | Operation
Target = Local | Field | None


@frozen
class Callee:
    """The function that a call refers to: ``self`` (the design's), ``super`` (the one that class
    ``owner`` overrides) or ``ops`` (an entry in ``kvm_x86_ops``)."""

    kind: str
    name: str
    owner: Any = None


@define
class Instruction:
    """One step. ``kind`` is one of

    ``do``      evaluate ``expr``; store it in ``target`` if there is one
    ``branch``  go to ``next`` if ``expr`` is true, else to ``other``
    ``switch``  go where ``cases`` maps the value of ``expr``, else to ``other``
    ``call``    call ``callee`` with ``args``; its result goes to ``target``
    ``return``  return the value of ``expr``
    ``end``     return None, or what the preceding call returned; not a step

    ``line`` counts from the function's ``def``. ``run`` is the compiled expression.
    """

    kind: str
    line: int
    expr: Expr | None = None
    target: Target = None
    next: int = -1
    other: int = -1
    cases: tuple[tuple[Any, int], ...] = ()
    callee: Callee | None = None
    args: tuple[Expr, ...] = ()
    run: Callable[..., Any] = field(default=None, eq=False, repr=False)


@define(eq=False)
class Function:
    """A lowered kernel function.

    ``owner`` names the class that defines it, ``source`` are its lines from ``def`` on,
    ``params`` says how many of ``locals`` are parameters, ``requires`` is its contract, ``interrupt``
    whether it runs on top of a function that did not call it. ``receiver`` is its first parameter (``self``
    or ''), ``home`` the class, and ``python`` the function as written.
    """

    name: str
    owner: str
    source: tuple[str, ...]
    params: int
    locals: tuple[str, ...]
    instructions: list[Instruction]
    requires: tuple[str, ...] = ()
    interrupt: bool = False
    receiver: str = "self"
    home: Any = None
    python: Any = None

    def __repr__(self) -> str:
        return f"<{self.owner}.{self.name}>"


# -- each instruction's expression becomes one small Python function

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
    """An expression of which only the number matters, not the owner."""
    text = _text(e)
    can_be_value = isinstance(e, (Local, Primitive)) or (isinstance(e, Field) and e.name in VALUE_FIELDS)
    return f"N({text})" if can_be_value else text
