"""A C function as a small tree: statements with the file's line on which each begins, and expressions.

What the grammar could not read is an :class:`Unparsed` statement or an :class:`Other` expression with its
text: harmless where it does not matter, refused where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from attrs import define, field, frozen

# -- expressions


@frozen
class Num:
    value: int


@frozen
class Name:
    name: str


@frozen
class Call:
    function: Any
    args: tuple[Any, ...]


@frozen
class Member:
    base: Any
    name: str


@frozen
class Index:
    base: Any
    index: Any


@frozen
class Unary:
    op: str
    arg: Any


@frozen
class Binary:
    op: str
    left: Any
    right: Any


@frozen
class Assign:
    """``op`` is ``=``, ``|=`` and so on; ``++`` and ``--`` are ``+=`` and ``-=``. ``after``: the value of the
    expression is the one before, as that of ``n++``."""

    op: str
    left: Any
    right: Any
    after: bool = False


@frozen
class Choose:
    """``test ? yes : no``. ``yes`` is None in ``test ?: no``."""

    test: Any
    yes: Any
    no: Any


@frozen
class Other:
    """An expression that is only text: a string, an initializer, a statement expression."""

    text: str


# -- statements


@frozen
class Expression:
    line: int
    expr: Any


@frozen
class Declare:
    line: int
    name: str
    type: str
    init: Any


@frozen
class If:
    line: int
    test: Any
    yes: tuple[Any, ...]
    no: tuple[Any, ...]


@frozen
class Loop:
    """``test_last``: a do-while loop."""

    line: int
    init: Any
    test: Any
    step: Any
    body: tuple[Any, ...]
    test_last: bool = False


@frozen
class Switch:
    line: int
    value: Any
    body: tuple[Any, ...]


@frozen
class Case:
    """``values`` are expressions; () is default. ``range``: a GNU range, first to last."""

    line: int
    values: tuple[Any, ...]
    range: bool = False


@frozen
class Return:
    line: int
    value: Any


@frozen
class Jump:
    """``kind`` is ``break``, ``continue`` or ``goto``."""

    line: int
    kind: str
    label: str = ""


@frozen
class Label:
    line: int
    name: str


@frozen
class Block:
    """Braces. ``guard``: what a scoped_guard() or guard() holds to the end of it. ``last``: the line on which
    it is released."""

    line: int
    body: tuple[Any, ...]
    guard: str = ""
    last: int = 0


@frozen
class Unparsed:
    line: int
    text: str


#: Types that a value of the register does not fit in.
_NARROW = frozenset(
    {
        "bool", "char", "short", "int", "unsigned", "signed", "u8", "u16", "u32", "s8", "s16", "s32",
        "__u8", "__u16", "__u32", "__s8", "__s16", "__s32", "uint8_t", "uint16_t", "uint32_t",
        "int8_t", "int16_t", "int32_t",
    }
)  # fmt: skip


def is_narrow(kind: str) -> bool:
    """Whether a type has fewer than 64 bits."""
    words = [word for word in kind.split() if word not in ("const", "volatile", "static", "inline", "extern")]
    return bool(words) and _NARROW.issuperset(words)


@define(eq=False, slots=False)
class CFunction:
    """A function definition. ``params`` are (name, type) pairs, a type with its stars; ``returns`` is its
    type; ``words`` all the names in it; ``body`` is read when it is first asked for. ``asm`` are its pieces
    of inline assembly, ``errors`` the lines on which the grammar found an error, ``skipped`` those that are
    not compiled."""

    name: str
    params: tuple[tuple[str, str], ...]
    file: str
    first: int
    source: tuple[str, ...]
    words: frozenset[str]
    read_body: Callable[[], tuple[Any, ...]] = field(repr=False)
    returns: str = ""
    asm: tuple[tuple[int, str], ...] = ()
    errors: tuple[int, ...] = ()
    skipped: frozenset[int] = frozenset()

    @cached_property
    def body(self) -> tuple[Any, ...]:
        """Its statements."""
        return self.read_body()

    @property
    def is_static(self) -> bool:
        """Whether only its own file can call it."""
        return self.source[0].startswith("static ")

    @cached_property
    def statements(self) -> tuple[Any, ...]:
        """All its statements, nested ones too."""
        return tuple(statements(self.body))

    @cached_property
    def expressions(self) -> tuple[tuple[int, Any], ...]:
        """All its expressions, nested ones too, each with its statement's line."""
        return tuple((s.line, e) for s in self.statements for e in expressions_of(s))

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.first + len(self.source) - 1


def statements(body: Iterable[Any]) -> Iterator[Any]:
    """The statements of a body, nested ones too."""
    for s in body:
        yield s
        match s:
            case If(_, _, yes, no):
                yield from statements(yes)
                yield from statements(no)
            case Loop(body=inner) | Switch(body=inner) | Block(body=inner):
                yield from statements(inner)


def expressions_of(s: Any) -> Iterator[Any]:
    """The expressions of a statement, nested ones too, but not those of statements inside it."""
    match s:
        case Expression(_, e) | Declare(_, _, _, e) | Return(_, e) | Switch(_, e, _) | If(_, e, _, _):
            yield from parts(e)
        case Loop(_, init, test, step, _):
            for e in (init, test, step):
                yield from parts(e)


def parts(e: Any) -> Iterator[Any]:
    """An expression and its subexpressions."""
    waiting = [e]
    while waiting:
        one = waiting.pop()
        if one is None:
            continue
        yield one
        match one:
            case Call(function, args):
                waiting += [function, *args]
            case Member(base, _) | Unary(_, base):
                waiting.append(base)
            case Index(a, b) | Binary(_, a, b) | Assign(_, a, b):
                waiting += [a, b]
            case Choose(a, b, c):
                waiting += [a, b, c]


def substitute(e: Any, names: dict[str, Any]) -> Any:
    """The expression with names replaced, as a macro's parameters are by its arguments."""

    def swap(inner: Any) -> Any:
        return substitute(inner, names)

    match e:
        case Name(name):
            return names.get(name, e)
        case Call(function, args):
            return Call(swap(function), tuple(map(swap, args)))
        case Member(base, name):
            return Member(swap(base), name)
        case Index(a, b):
            return Index(swap(a), swap(b))
        case Unary(op, arg):
            return Unary(op, swap(arg))
        case Binary(op, a, b):
            return Binary(op, swap(a), swap(b))
        case Assign(op, a, b, after):
            return Assign(op, swap(a), swap(b), after)
        case Choose(a, b, c):
            return Choose(swap(a), swap(b), swap(c))
    return e


def show(e: Any) -> str:
    """An expression as text."""
    match e:
        case None:
            return ""
        case Num(value):
            return str(value)
        case Name(name) | Other(name):
            return " ".join(name.split())
        case Call(function, args):
            return f"{show(function)}({', '.join(map(show, args))})"
        case Member(base, name):
            return f"{show(base)}->{name}"
        case Index(base, index):
            return f"{show(base)}[{show(index)}]"
        case Unary(op, arg):
            return f"{op}{show(arg)}"
        case Binary(op, left, right):
            return f"({show(left)} {op} {show(right)})"
        case Assign(op, left, right):
            return f"{show(left)} {op} {show(right)}"
        case Choose(test, yes, no):
            return f"({show(test)} ? {show(yes)} : {show(no)})"
    return str(e)
