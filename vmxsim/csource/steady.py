"""Local variables of which every change is seen, so that two tests of one find the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from vmxsim.csource.interface import words_in
from vmxsim.csource.resolved import Do, Go, Held, Spec, Variable, expression_of, parts, statements
from vmxsim.csource.syntax import (
    Assign,
    Call,
    Declare,
    Expression,
    Name,
    Other,
    Unary,
    Unparsed,
    expressions_of,
)


def steady_locals(
    spec: Spec, by_value: Callable[[str], bool], macros: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """The local variables of a function that nothing but the statements of its resolved body sets, the first
    of which runs before anything reads them. ``by_value``: what is called so cannot change a variable that it
    is handed, as a macro could; ``macros`` are the names in what each macro stands for."""
    f = spec.function
    declared = {s.name for s in f.statements if isinstance(s, Declare)}
    if not declared:
        return frozenset()
    unseen = {word for _, asm in f.asm for word in words_in(asm)}
    for name in f.words & macros.keys():
        unseen |= macros[name]
    for s in f.statements:
        unseen.update(_may_change(s, by_value))
    return frozenset(name for name in declared - unseen if _is_set_first(spec.body, name))


def _may_change(s: Any, by_value: Callable[[str], bool]) -> Iterator[str]:
    """The names that a statement of C may give another value, other than as an assignment that stands
    alone."""
    if isinstance(s, Unparsed):
        yield from words_in(s.text)
    for e in expressions_of(s):
        match e:
            case Other(text):
                yield from words_in(text)
            case Unary("&", Name(name)):
                yield name
            case Call(function, args) if not (isinstance(function, Name) and by_value(function.name)):
                yield from (arg.name for arg in args if isinstance(arg, Name))
            case Assign(_, Name(name)) if not (isinstance(s, Expression) and s.expr is e):
                yield name


def _is_set_first(body: Iterable[Any], name: str) -> bool:
    """Whether a function sets a variable on every way to where it is read."""
    for s in _in_a_row(body):
        if isinstance(s, Do) and s.target == Variable(name):
            return True
        for t in statements([s]):
            if isinstance(t, Go) and t.kind == "goto":
                return False
            if Variable(name) in (getattr(t, "target", None), *parts(expression_of(t))):
                return False
    return False


def _in_a_row(body: Iterable[Any]) -> Iterator[Any]:
    """The statements that run one after the other."""
    for s in body:
        yield from _in_a_row(s.body) if isinstance(s, Held) else (s,)
