"""Variables of one name in nested blocks, told apart: an inner one gets a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from vmxsim.csource.syntax import (
    Block,
    Case,
    Declare,
    Expression,
    If,
    Loop,
    Name,
    Return,
    Switch,
    statements,
    substitute,
)


def unshadowed(body: tuple[Any, ...], params: Iterable[str]) -> tuple[Any, ...]:
    """A function's body in which no variable hides another."""
    outer = set(params)
    declared = [s.name for s in statements(body) if isinstance(s, Declare)]
    if len({*declared, *outer}) == len(declared) + len(outer):
        return body
    return _inner(body, {}, outer, {*declared, *outer})


def _inner(
    body: Iterable[Any], names: Mapping[str, Name], outer: set[str], taken: set[str]
) -> tuple[Any, ...]:
    """A block with what ``names`` says replaced; ``outer`` are the variables around it."""
    mine = dict(names)
    here = set(outer)

    def renamed(e: Any) -> Any:
        return substitute(e, mine)

    def block(inner: Iterable[Any]) -> tuple[Any, ...]:
        return _inner(inner, mine, here, taken)

    made: list[Any] = []
    for s in body:
        match s:
            case Declare(_, name, _, init):
                if name in outer:
                    new = name
                    while new in taken:
                        new += "'"
                    taken.add(new)
                    mine[name] = Name(new)
                here.add(name)
                made.append(evolve(s, name=mine.get(name, Name(name)).name, init=renamed(init)))
            case Expression(_, e):
                made.append(evolve(s, expr=renamed(e)))
            case If(_, test, yes, no):
                made.append(evolve(s, test=renamed(test), yes=block(yes), no=block(no)))
            case Loop(_, init, test, step, inner):
                made.append(
                    evolve(s, init=renamed(init), test=renamed(test), step=renamed(step), body=block(inner))
                )
            case Switch(_, value, inner):
                made.append(evolve(s, value=renamed(value), body=block(inner)))
            case Case(_, values):
                made.append(evolve(s, values=tuple(map(renamed, values))))
            case Return(_, value):
                made.append(evolve(s, value=renamed(value)))
            case Block(_, inner):
                made.append(evolve(s, body=block(inner)))
            case _:
                made.append(s)
    return tuple(made)
