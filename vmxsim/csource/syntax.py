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


#: What an operator beside it may take hold of a part of, where it is not in parentheses.
LOOSE = (Binary, Assign, Choose)


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


#: How many bits the words of a type stand for; 0: only that there is a sign, or none.
_BITS = {
    "bool": 1, "char": 8, "short": 16, "int": 32, "unsigned": 0, "signed": 0, "long": 64,
    "u8": 8, "u16": 16, "u32": 32, "u64": 64, "s8": 8, "s16": 16, "s32": 32, "s64": 64,
    "__u8": 8, "__u16": 16, "__u32": 32, "__u64": 64, "__s8": 8, "__s16": 16, "__s32": 32, "__s64": 64,
    "uint8_t": 8, "uint16_t": 16, "uint32_t": 32, "uint64_t": 64, "size_t": 64, "gpa_t": 64, "gva_t": 64,
    "int8_t": 8, "int16_t": 16, "int32_t": 32, "int64_t": 64,
}  # fmt: skip
_UNSIGNED = ("bool", "unsigned", "size_t", "gpa_t", "gva_t")
_NOT_TYPES = ("const", "volatile", "static", "inline", "extern")


def width(kind: str) -> tuple[int, bool] | None:
    """How many bits a type of numbers has (``unsigned int : 3`` is a bit-field), and whether it has a sign;
    None for any other type."""
    kind, _, field_bits = kind.partition(":")
    words = [word for word in kind.split() if word not in _NOT_TYPES]
    if not words or not _BITS.keys() >= set(words):
        return None
    signed = not any(word in _UNSIGNED or word.lstrip("_").startswith("u") for word in words)
    if field_bits:
        return (int(field_bits), signed) if field_bits.strip().isdigit() else None
    if "long" in words:
        return 64, signed
    return min((_BITS[word] for word in words if _BITS[word]), default=32), signed


def is_narrow(kind: str) -> bool:
    """Whether a type has fewer than 64 bits, so that a value of the register does not fit."""
    found = width(kind)
    return found is not None and found[0] < 64


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
