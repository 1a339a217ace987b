"""Questions about expressions and statements that take no more than a look."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from vmxsim.csource import interface as api
from vmxsim.csource.resolved import Const, MsrInfo, Prim, is_number
from vmxsim.csource.syntax import (
    Assign,
    Block,
    Call,
    CFunction,
    If,
    Jump,
    Label,
    Member,
    Name,
    Return,
    Switch,
    Unary,
    parts,
    statements,
)


def hands_on(f: CFunction, number: int, owner: Any) -> bool:
    """Whether a function hands the pointer that it is given to one that is not known, or stores the whole."""
    if number >= len(f.params):
        return True
    pointer = Name(f.params[number][0])
    for _, e in f.expressions:
        match e:
            case Call(Name(name), args) if pointer in args and owner.unit.find(name, f.file) is None:
                if name not in api.ASSERTS:
                    return True
            case Assign(_, Unary("*", target), _) if target == pointer:
                return True
    return False


def is_efer(e: Any) -> bool:
    """Whether it is EFER's number, or a struct msr_data for it."""
    return (isinstance(e, MsrInfo) and e.index.name == "MSR_EFER") or e == Const(None, "MSR_EFER")


def is_access(e: Any) -> bool:
    """Whether it changes the register."""
    return (
        isinstance(e, Prim)
        and e.name in ("wrmsr", "wrmsrns", "load_gs_index")
        and (e.name == "load_gs_index" or getattr(e.args[0], "name", "") == api.REGISTER)
    )


def continues(s: Any) -> bool:
    """Whether a statement continues the loop around it."""
    match s:
        case Jump(_, "continue"):
            return True
        case If(_, _, yes, no):
            return any(map(continues, (*yes, *no)))
        case Block(body=inner) | Switch(body=inner):
            return any(map(continues, inner))
    return False


def running_once(s: Any) -> Any:
    """A statement of a loop that runs once: where it continues, it breaks."""
    match s:
        case Jump(_, "continue"):
            return evolve(s, kind="break")
        case If(_, _, yes, no):
            return evolve(s, yes=tuple(map(running_once, yes)), no=tuple(map(running_once, no)))
        case Block(body=inner):
            return evolve(s, body=tuple(map(running_once, inner)))
    return s


def calls_something(e: Any) -> bool:
    """Whether an expression of C calls a function or a macro."""
    return any(isinstance(p, Call) for p in parts(e))


def matters_inside(e: Any, owner: Any) -> bool:
    """Whether an expression calls a function that is followed, or stores what matters."""
    match e:
        case Call(Name(name), _):
            return name in owner.touching
        case Assign(_, Member(_, name), _):
            return name in owner.stored
    return False


def in_range(values: list[Any], value: Any) -> Any:
    """A range of cases: ``value`` itself if it surely lies in it, else a constant like no other."""
    if len(values) == 2 and all(map(is_number, values)) and is_number(value):
        if values[0].value <= value.value <= values[1].value:
            return value
    return Const(None, "a range")


def up_to_a_jump(body: list[Any]) -> list[Any]:
    """What surely does not run is left out, unless something jumps to it."""
    for n, s in enumerate(body):
        if isinstance(s, (Jump, Return)) and not any(isinstance(t, Label) for t in statements(body)):
            return body[: n + 1]
    return body
