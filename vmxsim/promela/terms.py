"""Expressions of the kernel language in Promela, each with the values that it can take."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from attrs import define, field, frozen

from vmxsim.checker.states import HOST, SLOTS, USER
from vmxsim.errors import InputError
from vmxsim.kernel.instructions import COST_ONLY
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import EFER_LMA, MSR_KERNEL_GS_BASE, Host, Value
from vmxsim.kernel.machine import number_of as number
from vmxsim.kernel.program import (
    MOST,
    Callee,
    Const,
    Current,
    Expr,
    Field,
    Function,
    Instruction,
    Local,
    Operation,
    Primitive,
    ThisCpu,
)

#: Names of the values of the register, by number (see ``checker/states.py``).
VALUE_NAMES = ("RESET", "FIRST", "SECOND", "GUEST_BASE", "HOST", "OTHER", "ZERO", "UNKNOWN")


class Encoding:
    """Python's values as numbers and names in Promela. None gets a number that nothing else has."""

    def __init__(self, values: tuple[Value, ...], names: Iterable[str]) -> None:
        self._numbers = {value: n for n, value in enumerate(values)}
        self._taken = {*VALUE_NAMES, "NONE", *names}
        self.words: dict[str, str] = {"": "NOTHING"}

    def text(self, x: Any) -> str:
        """A Python value as the model writes it."""
        if x is None:
            return "NONE"
        if isinstance(x, Value):
            return VALUE_NAMES[self._numbers[x]]
        if isinstance(x, str):
            return self._word(x)
        number = wrapped(x)
        if number == -(1 << 31):
            return "(1 << 31)"
        return str(number) if number >= 0 else f"({number})"

    def code(self, x: Any, none: int = -1) -> int:
        """The number of a Python value; ``none`` for None."""
        if x is None:
            return none
        if isinstance(x, Value):
            return self._numbers[x]
        if isinstance(x, str):
            self._word(x)
            return list(self.words).index(x)
        return wrapped(x)

    def _word(self, word: str) -> str:
        name = self.words.get(word)
        if name is None:
            name = stem = re.sub(r"\W", "_", word).upper()
            while name in self._taken:
                name += f"_{stem}"
            self._taken.add(name)
            self.words[word] = name
        return name

    def distinct(self, values: Iterable[Any], where: str) -> None:
        """Raises InputError if two of the values have the same number in the model."""
        known: dict[int, Any] = {}
        for x in values:
            other = known.setdefault(self.code(x, none=1 << 40), x)
            if other != x:
                raise InputError(
                    f"the Promela model cannot tell {other!r} from {x!r} in one variable: do not mix numbers,"
                    " words and values of the register",
                    where,
                )


def wrapped(number: int) -> int:
    """A number as a 32-bit int."""
    return (int(number) + (1 << 31)) % (1 << 32) - (1 << 31)


#: What user space calls, and what the tick calls.
IOCTLS = (
    "kvm_arch_vcpu_ioctl_run",
    "kvm_vcpu_ioctl_get_msrs",
    "kvm_vcpu_ioctl_set_msrs",
    "kvm_vcpu_ioctl_set_sregs",
)
SCHEDULE = "preempt_schedule_irq"


@define(eq=False)
class Routine:
    """A function on one of two stacks, the thread's own or the scheduler's.

    ``positions`` are the numbers of its instructions, ``leave`` that of its end; ``calls`` are
    the lines that call it; ``assigned`` has the locals that surely have a value at each line.
    """

    function: Function
    scheduler: bool
    name: str
    callees: dict[int, Routine] = field(factory=dict)
    calls: list[tuple[Routine, int]] = field(factory=list)
    positions: list[int] = field(factory=list)
    leave: int = 0
    assigned: list[set[int]] = field(factory=list)

    @property
    def pc(self) -> str:
        """The variable that holds the next line."""
        return "T.scheduler_pc" if self.scheduler else "T.pc"

    @property
    def back(self) -> str:
        """The variable that holds the calling line."""
        return f"{self.name}__caller"

    def local(self, index: int) -> str:
        """The variable for one of its locals."""
        return f"{self.name}__" + re.sub(r"\W", "_", self.function.locals[index]).rstrip("_")

    def where(self, i: Instruction) -> str:
        """Function and line, for errors."""
        return f"{self.function.owner}.{self.function.name}, {self.function.at(i.line).name}"

    def source(self, i: Instruction) -> str:
        """The source text of an instruction, safe inside a comment."""
        return self.function.text(i.line).replace("*/", "* /").replace("/*", "/ *")


def collect(design: type[Kvm]) -> tuple[list[Routine], int]:
    """Every function of both stacks, callers first, and the position from which on there are
    only ends of functions, which take no step.

    Raises InputError for a function that calls itself, directly or not.
    """
    found: dict[tuple[bool, Function], Routine] = {}
    names: set[str] = set()

    def visit(function: Function, scheduler: bool, path: tuple[Function, ...]) -> Routine:
        if function in path:
            raise InputError(
                "calls itself: the Promela model has only one set of variables for each function",
                function.name,
            )
        known = found.get((scheduler, function))
        if known is not None:
            return known
        name = "sched_" * scheduler + function.name
        name = f"{function.owner}_{name}" if name in names else name
        names.add(name)
        routine = found[scheduler, function] = Routine(function, scheduler, name)
        for index, i in enumerate(function.instructions):
            if i.callee is None:
                continue
            callee = visit(design.link(i.callee), scheduler, (*path, function))
            if callee.function.interrupt:
                raise InputError(
                    f"{i.callee.name}() is run by an interrupt and cannot be called", routine.where(i)
                )
            routine.callees[index] = callee
            callee.calls.append((routine, index))
        return routine

    for name in IOCTLS:
        visit(design.link(Callee("self", name)), False, ())
    visit(design.link(Callee("self", SCHEDULE)), True, ())
    for routine in found.values():
        routine.assigned = _assigned(routine.function)
    return list(found.values()), _number(list(found.values()))


def _number(routines: list[Routine]) -> int:
    step = 1
    end = ends = 1 + sum(i.kind != "end" for routine in routines for i in routine.function.instructions)
    for routine in routines:
        for i in routine.function.instructions:
            if i.kind == "end":
                routine.positions.append(end)
                end += 1
            else:
                routine.positions.append(step)
                step += 1
        routine.leave = end
        end += 1
    return ends


def following(i: Instruction) -> Iterator[int]:
    """The instructions of the same function that can follow."""
    if i.kind in ("do", "call", "branch"):
        yield i.next
    if i.kind in ("branch", "switch"):
        yield i.other
    for _, to in i.cases:
        yield to


def _assigned(function: Function) -> list[set[int]]:
    """For each instruction, the locals that have a value on every path to it."""
    everything = set(range(len(function.locals)))
    before = [set(everything) for _ in function.instructions]
    before[0] = set(range(function.params))
    changed = True
    while changed:
        changed = False
        for n, i in enumerate(function.instructions):
            after = before[n] | ({i.target.index} if isinstance(i.target, Local) else set())
            for to in following(i):
                if not before[to] <= after:
                    before[to] &= after
                    changed = True
    return before


#: A variable with more values than this is taken for a counter, which a finite model cannot hold.
MOST_VALUES = 64
#: A number in a field of a design's own with more values than this is taken to have all.
FEW = 8
#: Variables that the hand-written part of the model uses.
ALWAYS = {"efer", "cr0", "smm", "exit_reason", "script", "preempt_count"}


class Store:
    """Variables by name, each with the values found to reach it so far.

    A variable with a single value is a constant and not part of the state.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.domains: dict[str, set[Any]] = {}
        #: The values stored in a function's locals, without their initial None.
        self.given: dict[str, set[Any]] = {}
        self.grown = False

    def grow(self, name: str, values: Iterable[Any], where: str = "") -> None:
        """Add values that the variable can take.

        Raises InputError for values that a variable of the model cannot hold.
        """
        values = list(values)
        for x in values:
            self.encoding.text(x)  # numbers words in order of the text, not of a set
        domain = self.domains.setdefault(name, set())
        before = len(domain)
        domain.update(values)
        if len(domain) == before:
            return
        self.grown = True
        if len(domain) > (MOST + 1 if name.startswith("own_") else MOST_VALUES):
            raise InputError(
                f"'{name}' takes more than {MOST_VALUES} values: too much state for the Promela model",
                where,
            )
        self.encoding.distinct(domain, where)

    def give(self, name: str, values: Iterable[Any], where: str = "") -> None:
        """Add values that are stored in a local."""
        values = set(values)
        self.given.setdefault(name, set()).update(values)
        self.grow(name, values, where)

    def kept(self, name: str) -> bool:
        """Whether the variable is part of the state."""
        return len(self.domains.get(name, ())) > 1 or name in ALWAYS

    def none(self) -> int:
        """A number for None that no variable otherwise takes."""
        codes = {self.encoding.code(x) for domain in self.domains.values() for x in domain}
        return next(n for n in range(8, 1 << 20) if n not in codes)

    def declaration(self, name: str) -> str:
        """The declaration of a variable, as narrow as possible."""
        none = self.none()
        codes = [self.encoding.code(x, none) for x in self.domains[name]]
        if min(codes) < 0 or max(codes) >= 1 << 16:
            return f"int {name}"
        return f"unsigned {name} : {max(1, max(codes).bit_length())}"


OPERATORS: dict[str, tuple[str, Callable[..., Any]]] = {
    "&": ("&", operator.and_), "|": ("|", operator.or_), "^": ("^", operator.xor), "+": ("+", operator.add),
    "-": ("-", operator.sub), "<<": ("<<", operator.lshift), ">>": (">>", operator.rshift),
    "==": ("==", operator.eq), "!=": ("!=", operator.ne), "is": ("==", operator.eq),
    "is not": ("!=", operator.ne), "<": ("<", operator.lt), "<=": ("<=", operator.le),
    ">": (">", operator.gt), ">=": (">=", operator.ge),
}  # fmt: skip
_EQUALITY = {"==", "!=", "is", "is not"}
_BITWISE = {"&", "|", "^", "~"}
#: The task's fields that kernel code may use, and their variables.
TASK_VARIABLES = {
    "mode": "mode", "preempt_notifier": "preempt_notifier", "signal_pending": "signal_pending",
    "gs_sel": "task_gs_sel", "bits": "bits", "gs_base": "user_gs_base",
}  # fmt: skip


def variable_of(name: str, own: bool) -> str:
    """The variable for a field of the vCPU: those of a design's own can have any name."""
    return f"own_{name}" if own else name


@frozen
class Term:
    """An expression: its text, the values that it can take, and the conditions under which it
    cannot be evaluated (for example None where a number is needed)."""

    text: str
    values: frozenset[Any]
    fails: tuple[str, ...] = ()


class Terms:
    """Translates expressions. ``store`` has the values of variables found so far."""

    def __init__(self, store: Store, non_canonical: bool, host: Host) -> None:
        self.store, self.non_canonical, self.host = store, non_canonical, host

    @property
    def encoding(self) -> Encoding:
        """The encoding of values."""
        return self.store.encoding

    def variable(self, name: str, extra: Iterable[Any] = ()) -> Term:
        """A variable, or its value if it is constant."""
        domain = self.store.domains.get(name, set())
        values = frozenset((*domain, *extra))
        if not self.store.kept(name):  # constant, or in a function that is never called
            return Term(self.encoding.text(next(iter(domain), 0)), values)
        return Term(f"T.{name}", values)

    def base_to_load(self) -> str:
        """The user GS base that a context switch to the thread loads."""
        saved = self.host.fsgsbase or self.host.gs_base_from == "msr"
        return self.variable(SLOTS[USER]).text if saved else VALUE_NAMES[HOST]

    def term(self, e: Expr, routine: Routine, index: int) -> Term:
        """An expression at an instruction of a function.

        Raises InputError for what the model cannot express.
        """
        i = routine.function.instructions[index]
        match e:
            case Const(value):
                return Term(self.encoding.text(value), frozenset([value]))
            case Local(at, _):
                found = self.variable(routine.local(at))
                if at in routine.assigned[index]:  # its initial None has been overwritten
                    return Term(found.text, frozenset(self.store.given.get(routine.local(at), ())))
                return found
            case Field(Current(), name):
                if name not in TASK_VARIABLES:
                    raise InputError(f"the Promela model does not support current.{name}", routine.where(i))
                return self.variable(TASK_VARIABLES[name])
            case Field(ThisCpu(), name):
                raise InputError(
                    f"the Promela model has no fields of the CPU, such as '{name}'", routine.where(i)
                )
            case Field(base, name, own):
                self.handle(base, routine, index)
                return self.variable(variable_of(name, own))
            case Operation("if"):
                return self._choice(e, routine, index)
            case Operation("bool", (inner,)):
                found = self.truth(inner, routine, index)
                return Term(f"({found.text} != 0)", frozenset(map(bool, found.values)), found.fails)
            case Operation("u8", (inner,)):
                return self._small(self.term(inner, routine, index))
            case Primitive():
                return self._primitive(e, routine, index)
            case Operation("and" | "or" | "not"):
                found = self._logical(e, routine, index)
                if not found.values <= {False, True}:
                    raise InputError(
                        f"'{e.op}' between operands other than conditions: write if and else",
                        routine.where(i),
                    )
                return found
            case Operation():
                return self._operation(e, routine, index)
        raise InputError(f"the Promela model does not support {e!r}", routine.where(i))

    def _choice(self, e: Operation, routine: Routine, index: int) -> Term:
        """``x if c else y``"""
        test, yes, no = (
            self.truth(e.args[0], routine, index),
            *(self.term(arg, routine, index) for arg in e.args[1:]),
        )
        fails = [f"({test.text} && {fail})" for fail in yes.fails]
        fails += [f"(!({test.text}) && {fail})" for fail in no.fails]
        return Term(f"({test.text} -> {yes.text} : {no.text})", yes.values | no.values, (*test.fails, *fails))

    def _small(self, found: Term) -> Term:
        """A number that fits a field of the design's own; the line fails with any other."""
        fits = frozenset(x for x in found.values if isinstance(x, int) and 0 <= x <= MOST)
        if len(fits) > FEW:  # it counts: that it may reach any number is found out at once
            fits = frozenset(range(MOST + 1))
        others = [f"{found.text} == {self.encoding.text(x)}" for x in found.values - fits]
        return Term(found.text, fits, (*found.fails, *sorted(others)))

    def handle(self, base: Expr, routine: Routine, index: int) -> None:
        """Refuse any object other than the thread's vCPU."""
        found = self.term(base, routine, index).values
        if not found <= {0}:
            raise InputError(
                "a field of something that is not always the vCPU: the Promela model has no other object",
                routine.where(routine.function.instructions[index]),
            )

    def truth(self, e: Expr, routine: Routine, index: int) -> Term:
        """An expression as a condition."""
        if isinstance(e, Operation) and e.op in ("and", "or", "not"):
            return self._logical(e, routine, index)
        found = self.term(e, routine, index)
        where = routine.where(routine.function.instructions[index])
        if any(isinstance(x, Value) for x in found.values):
            raise InputError(
                "a value of the register as a condition: the Promela model can only compare values by =="
                " and !=",
                where,
            )
        if any(bool(x) != bool(self.encoding.code(x)) for x in found.values if x is not None):
            raise InputError("a number of more than 32 bits as a condition", where)
        if None in found.values and found.text != "NONE":
            return Term(f"({found.text} != NONE && {found.text})", found.values, found.fails)
        return Term("0" if found.text == "NONE" else found.text, found.values, found.fails)

    def _primitive(self, e: Primitive, routine: Routine, index: int) -> Term:
        """The result of a primitive without an effect."""
        i = routine.function.instructions[index]
        args = [self.term(arg, routine, index) for arg in e.args]
        fails = tuple(fail for arg in args for fail in arg.fails)
        if e.name in COST_ONLY:
            return Term("NONE", frozenset([None]), fails)
        match e.name:
            case "rdmsr":
                if self.msr(e, routine, i) != MSR_KERNEL_GS_BASE:
                    return Term("NONE", frozenset([None]))
                return self.variable("kernel_gs_base")
            case "is_long_mode":
                self.handle(e.args[0], routine, index)
                efer = self.variable("efer")
                return Term(
                    f"(({efer.text} & {EFER_LMA}) != 0)", frozenset(bool(x & EFER_LMA) for x in efer.values)
                )
            case "is_noncanonical_address":
                data = self.register_value(args[0], routine, index)
                if not self.non_canonical:
                    return Term("0", frozenset([False]), data.fails)
                return Term(f"({data.text} == SECOND)", frozenset([False, True]), data.fails)
            case "need_resched" | "signal_pending":
                return self.variable(e.name)
            case "not_modeled":
                if len(e.args) < 2 or not isinstance(e.args[1], Const):
                    raise InputError("not_modeled() of what is not True or False", routine.where(i))
                holds = bool(e.args[1].value)
                return Term(str(int(holds)), frozenset([holds]))
            case "preempt_notifier_registered":
                return self.variable("preempt_notifier")
            case "savesegment":
                gs = isinstance(e.args[0], Const) and e.args[0].value == "gs"
                return self.variable("task_gs_sel") if gs else Term("0", frozenset([0]))
            case "sldt" | "vmcs_read":
                return Term("0", frozenset([0]))
        raise InputError(
            f"{e.name}() inside an expression: the Promela model supports it only as a statement, if at all",
            routine.where(i),
        )

    def msr(self, e: Primitive, routine: Routine, i: Instruction) -> Any:
        """The MSR's number, which must be a constant."""
        if not isinstance(e.args[0], Const):
            raise InputError(f"{e.name}() of an MSR that is not a constant", routine.where(i))
        return e.args[0].value

    def register_value(self, found: Term, routine: Routine, index: int) -> Term:
        """A term that must be a value of the register; None makes the line fail."""
        where = routine.where(routine.function.instructions[index])
        others = [x for x in found.values if x is not None and not isinstance(x, Value)]
        if others:
            raise InputError(f"{others[0]!r} is used where a value of the register is expected", where)
        if None in found.values:
            fail = "true" if found.text in ("NONE", *VALUE_NAMES) else f"{found.text} == NONE"
            return Term(found.text, found.values - {None}, (*found.fails, fail))
        return found

    def _logical(self, e: Operation, routine: Routine, index: int) -> Term:
        if e.op == "not":
            inner = self.truth(e.args[0], routine, index)
            return Term(f"(!{inner.text})", frozenset(not x for x in inner.values), inner.fails)
        sign = "&&" if e.op == "and" else "||"
        text, values = "", set[Any]()
        fails: tuple[str, ...] = ()
        for arg in e.args:
            found = self.truth(arg, routine, index)
            reached = f"{'' if e.op == 'and' else '!'}({text}) && " if text else ""
            fails += tuple(f"({reached}{fail})" for fail in found.fails)
            text = f"{text} {sign} {found.text}" if text else found.text
            values |= found.values
        return Term(f"({text})", frozenset(values), fails)

    def _operation(self, e: Operation, routine: Routine, index: int) -> Term:
        where = routine.where(routine.function.instructions[index])
        args = [self.term(arg, routine, index) for arg in e.args]
        fails = tuple(fail for arg in args for fail in arg.fails)
        everything = frozenset(x for arg in args for x in arg.values)
        if len(args) == 1:
            sign, function = ("~", operator.invert) if e.op == "~" else ("-", operator.neg)
        else:
            sign, function = OPERATORS[e.op]
        if e.op in _EQUALITY:
            self.encoding.distinct(everything, where)
            looked = {isinstance(x, Value) for x in everything if x is not None}
            if looked == {True, False}:
                raise InputError(
                    f"'{e.op}' between a value of the register and a number: the Promela model does not"
                    " know the numbers behind the values",
                    where,
                )
            if looked == {True} and e.op in ("==", "!="):
                # values of several owners may be equal: compare numbers
                args = [
                    Term(f"number_of({arg.text})", frozenset(number(x) for x in arg.values), arg.fails)
                    for arg in args
                ]
        else:
            if any(isinstance(x, (Value, str)) for x in everything):
                raise InputError(
                    f"'{e.op}' on a word or on a value of the register: the Promela model can only"
                    " compare those by == and !=",
                    where,
                )
            fails += tuple(f"{arg.text} == NONE" for arg in args if None in arg.values)
        given = [arg.values if e.op in _EQUALITY else arg.values - {None} for arg in args]
        values = frozenset(function(*combination) for combination in product(*given))
        if e.op not in _BITWISE and e.op not in _EQUALITY:
            numbers = [*everything, *values]
            if any(x is not None and not -(1 << 31) <= x < 1 << 31 for x in numbers):
                raise InputError(f"'{e.op}' on numbers of more than 31 bits", where)
        texts = [arg.text for arg in args]
        text = f"({sign}{texts[0]})" if len(texts) == 1 else f"({f' {sign} '.join(texts)})"
        return Term(text, values, fails)
