"""A kernel function as a list of instructions, one a step.

Nothing here knows which language the function was written in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen


@frozen
class Const:
    """A number, a word, True, False or None."""

    value: Any


@frozen
class Local:
    """A parameter or local variable, by its place in the frame."""

    index: int
    name: str


@frozen
class Current:
    """The task that runs (the kernel's ``current``)."""


@frozen
class Field:
    """A field of a vCPU held in a local, or of the current task."""

    base: Local | Current
    name: str


@frozen
class Primitive:
    """A call of a registered primitive."""

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
    """Which function a call means: ``self`` (the design's own), ``super`` (the one that
    ``owner`` overrides) or ``ops`` (an entry of ``kvm_x86_ops``)."""

    kind: str
    name: str
    owner: str = ""


@define
class Instruction:
    """One step. ``kind`` is one of

    ``do``      evaluate ``expr``; store it in ``target`` if there is one
    ``branch``  go to ``next`` if ``expr`` holds, else to ``other``
    ``switch``  go where ``cases`` sends the value of ``expr``, else to ``other``
    ``call``    call ``callee`` with ``args``; its result goes to ``target``
    ``return``  leave with the value of ``expr``
    ``end``     leave with None, or with what the call before it returned; no step of its own

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

    ``owner`` is the class that defines it, ``source`` its lines from ``def`` on,
    ``params`` how many of ``locals`` are parameters, ``requires`` its contract,
    ``interrupt`` whether it runs on top of a function that it interrupts and did not call it.
    """

    name: str
    owner: str
    source: tuple[str, ...]
    params: int
    locals: tuple[str, ...]
    instructions: list[Instruction]
    requires: tuple[str, ...] = ()
    interrupt: bool = False

    def __repr__(self) -> str:
        return f"<{self.owner}.{self.name}>"
