"""Which values of the register are explored for a design that looks at them, and what they do not reach.

Kernel code that only moves values treats them all alike, and two are enough. A design that compares or
computes with one may do something for a single value of 2^64: then the numbers in its code say which ones are
worth a try, and a line that comes out the same way with all of them is named beside the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from attrs import evolve

from vmxsim.checker.states import NON_CANONICAL
from vmxsim.checker.symbolic import Line, is_readers
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs.history import expressions
from vmxsim.kernel.instructions import is_canonical
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import U64, Host
from vmxsim.kernel.program import (
    VALUE_FIELDS,
    Const,
    Expr,
    Field,
    Function,
    Local,
    Operation,
    Primitive,
    parts,
)
from vmxsim.kernel.simulator import NEW_GS_BASE, PLAIN_GS_BASE, USER_GS_BASE

#: The values of every design that looks at values: 0 and the host's user GS bases.
USUAL = (0, USER_GS_BASE[0], NEW_GS_BASE, PLAIN_GS_BASE)
#: The most pairs of values that are tried, beyond which only one value of interest is at a time; and the most
#: values that a computation in the code suggests.
_MOST_PAIRS, _MOST_NEAR = 60, 40


def looks_at_values(table: TransitionTable) -> bool:
    """Whether what the design does depends on a value of the register."""
    return any(edge.leaf.mask for edge in table.edges)


def pairs(design: type[Kvm], written: tuple[int, int]) -> list[tuple[int, int]]:
    """The pairs of values to write beside ``written``, for a design that looks at values: 0, the host's user
    GS bases and the numbers in the reader's own code, two at a time; and one at a time what that code
    suggests by computing with them."""
    first, second = written
    named = [n for n in dict.fromkeys((*USUAL, *constants(design))) if n != first and is_canonical(n)]
    near = [n for n in nearby(design) if n not in (*named, *written) and is_canonical(n)][:_MOST_NEAR]
    if second == NON_CANONICAL:
        return [(n, second) for n in (*named, *near)]
    found = [(first, n) for n in named]
    both = list(combinations(named, 2))
    return [*found, *(both if len(found) + len(both) <= _MOST_PAIRS else ()), *((first, n) for n in near)]


def constants(design: type[Kvm]) -> list[int]:
    """The numbers with which the reader's own code may compare a value, smallest first: all but the numbers
    of MSRs, and what is set against a field that holds no value of the register."""
    return sorted({n for e, beside in _operands(design) if (n := _number(e)) is not None and beside})


def _number(e: Expr) -> int | None:
    return e.value if isinstance(e, Const) and type(e.value) is int and 0 <= e.value <= U64 else None


def _operands(design: type[Kvm]) -> Iterator[tuple[Expr, bool]]:
    """Every expression of the reader's own code; False beside what has nothing to do with a value."""
    for function in design.code():
        if not is_readers(function):
            continue
        every = list(expressions(function))
        apart = [arg for e in every if _is_apart(e) for arg in e.args]  # type: ignore[union-attr]
        yield from ((e, not any(e is other for other in apart)) for e in every)


def _is_apart(e: Expr) -> bool:
    """Whether an expression takes the number of an MSR, or a field that holds no value of the register."""
    if isinstance(e, Primitive):
        return e.name in ("rdmsr", "wrmsr", "wrmsrns")
    fields = e.args if isinstance(e, Operation) else ()
    return any(isinstance(f, Field) and not f.own and f.name not in VALUE_FIELDS for f in fields)


def nearby(design: type[Kvm]) -> list[int]:
    """Values that turn a comparison after a computation: of a design that tests ``data + 8 == 24``, 16."""
    known, found = constants(design), dict[int, None]()
    for e, beside in _operands(design):
        if not isinstance(e, Operation) or not beside:
            continue
        for c in filter(None, map(_number, e.args)):
            match e.op:
                case "<" | "<=" | ">" | ">=" | "==" | "!=":
                    more = [c - 1, c + 1]
                case "&" | "|" | "^" | "~":
                    more = [c & -c, c + 1, *(k ^ c for k in known), U64 ^ c]
                case "<<":
                    more = [k >> c for k in known]
                case ">>" if c < 64:
                    more = [1 << c, *(k << c for k in known)]
                case "+" | "-":
                    more = [abs(k - c) for k in known] + [k + c for k in known]
                case _:
                    more = []
            found |= dict.fromkeys(n for n in more if 0 <= n <= U64)
    return list(found)


def environments(explored: list[TransitionTable], left: bool) -> Iterator[tuple[Host, tuple[int, int]]]:
    """The hosts and values with which the design of the first table must be explored as well, to be sure of
    what holds there. ``left``: a context switch may leave another value than the task's own in the register.
    The caller adds the tables that it explores to ``explored``; what one of them covers is left out."""
    first = explored[0]
    looks = looks_at_values(first)
    for written in values_to_write(first):
        if not any(one.covers(written) for one in explored):
            yield first.host, written
    if first.host.gs_base_from == "msr" and first.host.bases != "zero":
        # if the design looks at no value, equal numbers hide breaches and cause none, but for a register that
        # is left alone at a context switch
        zero = evolve(first.host, bases="zero")
        if looks or (zero.leaves_zero and (left or first.sections.stores_gs_base)):
            yield zero, first.written


def values_to_write(table: TransitionTable) -> list[tuple[int, int]]:
    """The pairs of values to write besides the table's own: none if the design looks at no value."""
    one_value = "one-value" in table.assumed.names
    return pairs(table.design, table.written) if looks_at_values(table) and not one_value else []


Outcomes = dict[Line, set[Any]]

_COMPUTES = {"&", "|", "^", "~", "<<", ">>", "+", "-"}


def outcomes(table: TransitionTable, taken: Sequence[bool]) -> Outcomes:
    """How the lines that depend on a computation with a value came out in the transitions ``taken``: those of
    the reader's functions that compute with one.

    A comparison of values alone needs no such care: 0, the host's bases, the numbers compared with and two
    values of the guest make every case that there is.
    """
    computing = {function for function, index in table.sections.looked if _computes(function, index)}
    found: Outcomes = {}
    for edge, was in zip(table.edges, taken, strict=True) if computing else ():
        for (function, index), outcome in edge.leaf.outcomes if was else ():
            if function in computing and _may_hold_a_value(function, index):
                found.setdefault((function, index), set()).add(outcome)
    return found


def _parts(function: Function, index: int) -> Iterator[Expr]:
    e = function.instructions[index].expr
    return parts(e) if e is not None else iter(())


def _computes(function: Function, index: int) -> bool:
    return any(isinstance(e, Operation) and e.op in _COMPUTES for e in _parts(function, index))


def _may_hold_a_value(function: Function, index: int) -> bool:
    return any(
        isinstance(e, (Local, Primitive)) or (isinstance(e, Field) and (e.own or e.name in VALUE_FIELDS))
        for e in _parts(function, index)
    )


def one_sided(found: Sequence[Outcomes]) -> list[Line]:
    """The lines that came out the same way in every search."""
    every: Outcomes = {}
    for one in found:
        for line, ways in one.items():
            every.setdefault(line, set()).update(ways)
    return [line for line, ways in every.items() if len(ways) == 1]
