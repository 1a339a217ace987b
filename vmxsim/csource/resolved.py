"""C whose names are resolved to what the model knows: expressions, statements, and functions specialised for
one way of being called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, field, frozen

from vmxsim.csource.interface import REGISTER
from vmxsim.csource.syntax import CFunction, is_narrow, width

#: A field of the vCPU, as its last two names.
Key = tuple[str, ...]

# -- expressions


@frozen
class Const:
    """A number, an enumerator or the number of an MSR: by value, by name, or both."""

    value: int | None
    name: str = ""


@frozen
class Assumed:
    """A condition that the model does not know, and how it is taken to come out. ``calls`` in it are made all
    the same."""

    text: str
    holds: bool
    calls: tuple[Any, ...] = ()


@frozen
class VcpuPointer:
    """The vCPU, as any of its structs, or a pointer to it."""


@frozen
class Current:
    """The current task, or a part of it."""

    part: str = ""


@frozen
class MsrInfo:
    """struct msr_data: its index is known, its data are a local variable."""

    index: Const
    data: str


@frozen
class Place:
    """A field of the vCPU."""

    path: tuple[str, ...]

    @property
    def key(self) -> Key:
        """Its last two names: how often a struct was moved makes no difference."""
        return self.path[-2:]

    def __str__(self) -> str:
        return ".".join(self.path)


@frozen
class Address:
    """A pointer to a place or a variable."""

    of: Any


@frozen
class Variable:
    name: str


@frozen
class Thread:
    """A field of the current task: ``gs_base``, ``gs_sel`` or ``bits``."""

    name: str


@frozen
class Prim:
    """A primitive of the model."""

    name: str
    args: tuple[Any, ...] = ()


@frozen
class Invoke:
    """A call of a function of the files."""

    spec: Any
    args: tuple[Any, ...]


@frozen
class Op:
    op: str
    args: tuple[Any, ...]


@frozen
class Unknown:
    """What the model does not know."""

    text: str


# -- statements; ``line`` is the number in the file


@define(eq=False)
class Do:
    line: int
    target: Any
    value: Any


@define(eq=False)
class Toggle:
    """Preemption or interrupts go on or off."""

    line: int
    name: str


@define(eq=False)
class When:
    line: int
    test: Any
    yes: list[Any]
    no: list[Any]


@define(eq=False)
class Repeat:
    """A loop; without ``test`` a block that ``break`` leaves, as a switch is of which the value is known."""

    line: int
    before: list[Any]
    test: Any
    after: list[Any]
    body: list[Any]
    test_last: bool = False


@define(eq=False)
class Leave:
    line: int
    value: Any


@define(eq=False)
class Go:
    line: int
    kind: str
    label: str


@define(eq=False)
class Mark:
    line: int
    name: str


@define(eq=False)
class Held:
    """What stands under a guard, which is released on line ``last``."""

    line: int
    body: list[Any]
    guard: str
    last: int


@define(eq=False)
class Choice:
    """A switch whose value is not known."""

    line: int
    value: Any
    cases: list[tuple[Any, list[Any]]]


@define(eq=False)
class Spec:
    """A function for one way of being called. ``bindings`` say what its parameters are, ``params`` which of
    them are passed when it runs, ``result`` through which variable it returns a value by pointer."""

    function: CFunction
    bindings: tuple[tuple[str, Any], ...]
    params: tuple[str, ...]
    result: str = ""
    body: list[Any] = field(factory=list)
    #: Calls that were left out: the line of the first of each.
    calls_dropped: dict[str, int] = field(factory=dict)
    #: Fields of the vCPU of which the address is handed to a function that is not known.
    escapes: list[tuple[int, Place, str]] = field(factory=list)
    #: Variables that a function that is not known may set.
    given_away: set[str] = field(factory=set)
    #: Local variables of which every change is seen.
    steady: frozenset[str] = frozenset()
    #: Calls left out of functions that disable or enable preemption or interrupts for good.
    unbalanced: list[tuple[int, str]] = field(factory=list)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    def where(self, line: int) -> str:
        """A line of it, for messages."""
        return f"{self.function.file}:{line}, {self.name}()"

    def __repr__(self) -> str:
        return f"<{self.name} {dict(self.bindings)}>"


def accesses_register(e: Any) -> bool:
    """Whether it is a read or a write of the register."""
    return (
        isinstance(e, Prim)
        and e.name in ("rdmsr", "wrmsr", "wrmsrns")
        and getattr(e.args[0], "name", "") == REGISTER
    )


def reads_register(e: Any) -> bool:
    return accesses_register(e) and e.name == "rdmsr"


def writes_register(e: Any) -> bool:
    return accesses_register(e) and e.name != "rdmsr"


def parts(e: Any) -> Iterator[Any]:
    """An expression and its subexpressions."""
    yield e
    match e:
        case Prim(_, args) | Op(_, args) | Invoke(_, args):
            for arg in args:
                yield from parts(arg)


def statements(body: Iterable[Any]) -> Iterator[Any]:
    """The statements of a body, nested ones too."""
    for s in body:
        yield s
        match s:
            case When():
                yield from statements(s.yes)
                yield from statements(s.no)
            case Repeat():
                yield from statements(s.before)
                yield from statements(s.after)
                yield from statements(s.body)
            case Held():
                yield from statements(s.body)
            case Choice():
                for _, arm in s.cases:
                    yield from statements(arm)


def expression_of(s: Any) -> Any:
    """The expression that a statement evaluates, None if there is none."""
    match s:
        case Do() | Leave() | Choice():
            return s.value
        case When() | Repeat():
            return s.test
    return None


def calls_of(spec: Spec) -> Iterator[Invoke]:
    """The calls in a function of functions of the files."""
    for s in statements(spec.body):
        for part in parts(expression_of(s)):
            if isinstance(part, Invoke):
                yield part


def reachable(roots: Iterable[Spec]) -> list[Spec]:
    """The functions that calls reach, each once, callers first."""
    found: dict[int, Spec] = {}
    waiting = list(roots)
    while waiting:
        spec = waiting.pop(0)
        if id(spec) not in found:
            found[id(spec)] = spec
            waiting += [call.spec for call in calls_of(spec)]
    return list(found.values())


def same(a: Any, b: Any) -> bool:
    """Whether two constants are surely the same."""
    return a == b or (
        isinstance(a, Const)
        and isinstance(b, Const)
        and ((bool(a.name) and a.name == b.name) or (a.value is not None and a.value == b.value))
    )


def is_number(e: Any) -> bool:
    """Whether it is a constant of which the number is known."""
    return isinstance(e, Const) and e.value is not None


def cut_to(kind: str, e: Any) -> Any:
    """A value as a variable of this type holds it: ``cut`` where a value of the register would not fit, with
    the number of bits, and whether one is a sign, where a number may not fit either."""
    found = width(kind)
    if found is None:
        return e
    bits, signed = found
    match e:
        case Const(int(number)):
            low = int(bool(number)) if kind == "bool" else number & (1 << bits) - 1
            return Const(low - (1 << bits) if signed and low >> bits - 1 else low)
        case Place() | Variable() | Thread() | Op() | Prim() | Invoke() if kind == "bool":
            return e if _is_truth(e) else _not(_not(e))
        case Place() | Variable() | Thread() | Op() | Prim() | Invoke():
            pass
        case _:
            return e
    if bits == 64:
        return e if signed or not may_be_negative(e) else Op("cut", (e, Const(64), Const(0)))
    if not _fits(e, bits, signed):
        return Op("cut", (e, Const(bits), Const(int(signed))))
    return Op("cut", (e,)) if _may_be_wide(e) else e


def _may_be_wide(e: Any) -> bool:
    """Whether an expression may be a value of the register, as far as its form tells."""
    match e:
        case Place() | Variable() | Thread() | Prim("rdmsr", _):
            return True
        case Invoke(spec, _):
            return not is_narrow(spec.function.returns)
    return isinstance(e, Op) and not _is_truth(e)


def _not(e: Any) -> Any:
    return Op("not", (e,))


def _fits(e: Any, bits: int, signed: bool) -> bool:
    """Whether a number is surely the same in so many bits. Fields that the model has hold 0 to 255, EFER
    twelve bits; of a variable, only the declared type is known."""
    room = bits - signed
    match e:
        case Const(None, _):
            return True
        case Const(int(value), _):
            return -(1 << room) * signed <= value < 1 << room
        case Place(("efer",)):
            return room >= 12
        case Place(("cr0",)):
            return room >= 32
        case Place() | Thread():
            return room >= 8
        case Variable() | Invoke() | Prim("rdmsr", _):
            return room >= 31
        case Prim():
            return True
        case Op("&", args) if any(is_number(a) and 0 <= a.value < 1 << room for a in args):
            return True
        case Op("cut", (_, to, sign)):
            return bool(to.value - sign.value <= room and signed >= sign.value)
        case Op("&" | "|" | "^" | "cut", args):
            return all(_fits(a, bits, signed) for a in args)
    return _is_truth(e)


def may_be_negative(e: Any) -> bool:
    """Whether a number may be below 0, so that it matters whether its type has a sign, and how wide it is."""
    match e:
        case Const(int() as value, _):
            return value < 0
        case Op("~" | "-", _):
            return True
        case Op("&", args):
            return all(map(may_be_negative, args))
        case Op("cut", (_, _, sign)):
            return bool(sign.value)
        case Op(op, args) if op not in TRUTH:
            return any(map(may_be_negative, args))
    return False


def depends_on_types(op: str, args: tuple[Any, ...]) -> bool:
    """Whether what an operator gives depends on the types of its operands, which are not followed: on whether
    -1 is less than 0 or the greatest number there is, or on how many bits are left of a shift."""
    below = any(map(may_be_negative, args))
    if op in ("<", "<=", ">", ">=", ">>"):
        return below
    if op in ("==", "!="):
        return below and any(is_number(a) and a.value >= 1 << 31 for a in args)
    return op == "<<" and not (
        is_number(args[-1]) and all(_fits(a, 32 - args[-1].value, True) for a in args[:1])
    )


def _is_truth(e: Any) -> bool:
    return e == Prim("is_long_mode") or (isinstance(e, Op) and e.op in TRUTH)


#: Operators whose result is 0 or 1.
TRUTH = frozenset({"not", "and", "or", "==", "!=", "<", ">", "<=", ">="})
_COMPUTE: dict[str, Any] = {
    "+": lambda x, y=0: x + y, "-": lambda x, y=None: -x if y is None else x - y, "~": lambda x: ~x,
    "not": lambda x: int(not x), "&": lambda x, y: x & y, "|": lambda x, y: x | y, "^": lambda x, y: x ^ y,
    "==": lambda x, y: int(x == y), "!=": lambda x, y: int(x != y), "<": lambda x, y: int(x < y),
    ">": lambda x, y: int(x > y), "<=": lambda x, y: int(x <= y), ">=": lambda x, y: int(x >= y),
    "and": lambda x, y: int(bool(x and y)), "or": lambda x, y: int(bool(x or y)),
    "<<": lambda x, y: x << y if 0 <= y < 64 else None, ">>": lambda x, y: x >> y if 0 <= y < 64 else None,
}  # fmt: skip


def fold(op: str, args: tuple[Any, ...]) -> Any:
    """An operator, computed where its operands are constants: by their names where their numbers are not
    known."""
    if op == "not" and isinstance(args[0], (Address, VcpuPointer, MsrInfo)):
        return Const(0)
    if op in ("==", "!=") and all(isinstance(a, Const) for a in args):
        a, b = args
        if a.name and b.name and (a.value is None or b.value is None):
            return Const(int((a.name == b.name) == (op == "==")))
    if op in _COMPUTE and all(map(is_number, args)):
        value = _COMPUTE[op](*(a.value for a in args))
        return Op(op, args) if value is None else Const(value)
    if op in ("and", "or") and any(is_number(a) and bool(a.value) == (op == "or") for a in args[:1]):
        return Const(int(op == "or"))
    return Op(op, args)


def words(e: Any) -> str:
    """An expression in words, for messages."""
    match e:
        case Unknown(text):
            return text
        case Place(path):
            return ".".join(path)
        case Variable(name):
            return name
        case Const(value, name):
            return name or str(value)
        case Op("cut", (one, *_)):
            return f"{words(one)}, cut to fewer bits"
        case Op(op, (one,)):
            return f"{'!' if op == 'not' else op}{words(one)}"
        case Op(op, args):
            return f" {({'and': '&&', 'or': '||'}).get(op, op)} ".join(map(words, args))
        case Invoke(spec, _):
            return f"{spec.name}()"
        case Prim(name, _):
            return f"{name}()"
        case Thread(name):
            return f"current.{name}"
        case Current(part):
            return f"current.{part}" if part else "current"
        case Address(of):
            return f"&{words(of)}"
    return "the vCPU" if isinstance(e, VcpuPointer) else type(e).__name__
