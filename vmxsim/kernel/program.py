"""A kernel function as a list of instructions, one per step.

Nothing here knows which language the function was written in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from attrs import define, field, frozen

from vmxsim.errors import unknown
from vmxsim.kernel.instructions import PRIMITIVES, QUERIES
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


def this_cpu_read(name: str) -> Any:
    """In kernel code: a field that the design declares in ``cpu_fields``, on the CPU that runs the code."""
    raise TypeError(f"this_cpu_read({name!r}) means something in kernel code only")


def this_cpu_write(name: str, value: Any) -> None:
    """In kernel code: store ``value`` in a field that the design declares in ``cpu_fields``."""
    raise TypeError(f"this_cpu_write({name!r}, ...) means something in kernel code only")


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
class ThisCpu:
    """The CPU that runs the code."""


@frozen
class Field:
    """A field of the current task, of the CPU, or of a vCPU in a local variable. ``own``: the design declares
    it."""

    base: Local | Current | ThisCpu
    name: str
    own: bool = False


@frozen
class Primitive:
    """A call to a primitive."""

    name: str
    args: tuple[Any, ...]


@frozen
class Operation:
    """An operator on one or more expressions: ``not``, ``and``, ``|``, ``==``, ...; ``if`` (condition, then,
    else); ``bool`` and ``u8``, which make a number fit a field of the design's own."""

    op: str
    args: tuple[Any, ...]


Expr = Const | Local | Current | ThisCpu | Field | Primitive | Operation
Target = Local | Field | None


def parts(e: Expr) -> Iterator[Expr]:
    """An expression and its subexpressions."""
    yield e
    if isinstance(e, (Primitive, Operation)):
        for arg in e.args:
            yield from parts(arg)


@frozen(cache_hash=True)
class Callee:
    """The function that a call refers to: ``self`` (the design's), ``super`` (the one that class
    ``owner`` overrides), ``ops`` (an entry in ``kvm_x86_ops``) or ``helper`` (the function ``owner``, outside
    all classes)."""

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
    #: The primitives that ``expr`` calls to ask something, ``need_resched`` for one.
    queries: frozenset[str] = field(default=frozenset(), eq=False, repr=False)


@frozen
class SourceLine:
    """A line of kernel code, and what people call it. ``line`` counts from 1 at the function's first line,
    which is line ``first`` of ``file`` for a C function; a function written in Python has no file."""

    function: str
    line: int
    file: str = ""
    first: int = 1

    @property
    def number(self) -> int:
        """The line's number in the file for C, else from the ``def``."""
        return self.first + self.line - 1

    @property
    def name(self) -> str:
        """``line 12``; for C ``vmx.c:1290``."""
        return f"{self.file}:{self.number}" if self.file else f"line {self.line}"

    @property
    def words(self) -> str:
        """``line 12 of vmx_get_msr``; for C ``vmx.c:1290 in vmx_get_msr``."""
        return f"{self.name} {'in' if self.file else 'of'} {self.function}"

    @property
    def place(self) -> str:
        """``vmx_get_msr:12``; for C ``vmx.c:1290``."""
        return self.name if self.file else f"{self.function}:{self.line}"


#: The most lines that a statement of C is taken to go on for.
_LONGEST = 8


@define(eq=False)
class Function:
    """A lowered kernel function.

    ``owner`` names the class that defines it, ``source`` are its lines from ``def`` on,
    ``params`` says how many of ``locals`` are parameters, ``requires`` is its contract, ``interrupt``
    whether it runs on top of a function that did not call it. ``scope`` is the class with what it
    declares, and ``python`` the function as written.
    """

    name: str
    owner: str
    source: tuple[str, ...]
    params: int
    locals: tuple[str, ...]
    instructions: list[Instruction]
    requires: tuple[str, ...] = ()
    interrupt: bool = False
    scope: Any = None
    python: Any = None
    #: The module's constants and helpers that it uses, as they were when it was lowered.
    uses: dict[str, Any] = field(factory=dict)
    #: The file of a C function, '' for one written in Python, and the number of its first line there.
    file: str = ""
    first: int = 1
    #: Lines of a C function, from 1 at its first, that were left out, and why.
    dropped: Mapping[int, str] = field(factory=dict)

    def __repr__(self) -> str:
        return f"<{self.owner}.{self.name}>"

    def at(self, line: int) -> SourceLine:
        """Line ``line`` (from 1) of this function."""
        return SourceLine(self.name, line, self.file, self.first)

    def text(self, line: int) -> str:
        """What line ``line`` says; of C the whole statement, which may go on below it."""
        text = self.source[line - 1]
        if not self.file:
            return text.strip()
        for more in self.source[line : line + _LONGEST]:
            if text.count("(") <= text.count(")"):
                break
            text += f" {more}"
        return " ".join(text.split())


# -- each instruction's expression becomes one small Python function

#: Fields of a vCPU or a task that hold a value of the register.
VALUE_FIELDS = frozenset({"g", "h", "gs_base", "msr_data", "returned"})


def emit(function: Function) -> None:
    """Compile every instruction of ``function``: ``run(m, L)`` with the frame's locals L."""
    names: dict[str, Any] = {f"P_{name}": call for name, call in PRIMITIVES.items()}
    names |= {"N": number_of, "SHL": _shift_left, "U8": _u8}
    lines = []
    for number, instruction in enumerate(function.instructions):
        body = _instruction(instruction)
        if body:
            lines.append(f"def i{number}(m, L):\n    {body}")
    exec(compile("\n".join(lines), f"<steps of {function.name}>", "exec"), names)
    for number, instruction in enumerate(function.instructions):
        instruction.run = names.get(f"i{number}", _nothing)
        every = parts(instruction.expr) if instruction.expr else ()
        instruction.queries = frozenset(e.name for e in every if isinstance(e, Primitive)) & QUERIES


def _nothing(m: Any, L: Any) -> None:
    return None


def _shift_left(number: int, by: int) -> int:
    if not 0 <= by < 64:
        raise TypeError(f"a shift by {by}; a register has 64 bits")
    return number << by


#: The largest number in a field of a design's own.
MOST = 255


def _u8(number: int) -> int:
    if not isinstance(number, int) or not 0 <= number <= MOST:
        raise TypeError(f"{number} in a field that holds 0 to {MOST}")
    return int(number)


def _instruction(i: Instruction) -> str:
    if i.kind == "call":
        return f"return ({''.join(_text(arg) + ', ' for arg in i.args)})"
    if i.expr is None:
        return ""
    if i.kind == "do" and isinstance(i.target, Field):
        return f"m.set({_holder(i.target.base)}, {i.target.name!r}, {_text(i.expr)})"
    return f"return {_number(i.expr) if i.kind in ('branch', 'switch') else _text(i.expr)}"


def _holder(base: Local | Current | ThisCpu) -> str:
    if isinstance(base, Local):
        return f"m.objects[L[{base.index}]]"
    return "m.task" if isinstance(base, Current) else "m.cpu"


def _text(e: Expr) -> str:
    match e:
        case Const(value):
            return repr(value)
        case Local(index, _):
            return f"L[{index}]"
        case Current():
            return "m.task"
        case Field(base, name):
            return f"{_holder(base)}.{name}"
        case Primitive(name, args):
            return f"P_{name}(m{''.join(', ' + _text(arg) for arg in args)})"
        case Operation("bool" | "u8" as op, (only,)):
            return f"{'U8' if op == 'u8' else op}({_number(only)})"
        case Operation("if", (test, yes, no)):
            return f"({_text(yes)} if {_number(test)} else {_text(no)})"
        case Operation("<<", (left, right)):
            return f"SHL({_number(left)}, {_number(right)})"
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
    match e:
        case Local() | Primitive() | Field(own=True) | Operation("if"):
            return f"N({text})"
        case Field(name=name) if name in VALUE_FIELDS:
            return f"N({text})"
    return text
