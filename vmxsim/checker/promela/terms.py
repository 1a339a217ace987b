"""Expressions of the kernel language in Promela, each with the values it can have."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from attrs import frozen

from vmxsim.checker.promela.encoding import VALUE_NAMES, Encoding
from vmxsim.checker.promela.routines import Routine
from vmxsim.checker.promela.store import Store
from vmxsim.errors import InputError
from vmxsim.model.primitive import COST_ONLY
from vmxsim.model.registers import EFER_LMA, MSR_KERNEL_GS_BASE
from vmxsim.model.value import Value
from vmxsim.model.value import number_of as number
from vmxsim.program.ir import Const, Current, Expr, Field, Instruction, Local, Operation, Primitive

OPERATORS: dict[str, tuple[str, Callable[..., Any]]] = {
    "&": ("&", operator.and_), "|": ("|", operator.or_), "^": ("^", operator.xor), "+": ("+", operator.add),
    "-": ("-", operator.sub), "<<": ("<<", operator.lshift), ">>": (">>", operator.rshift),
    "==": ("==", operator.eq), "!=": ("!=", operator.ne), "is": ("==", operator.eq),
    "is not": ("!=", operator.ne), "<": ("<", operator.lt), "<=": ("<=", operator.le),
    ">": (">", operator.gt), ">=": (">=", operator.ge),
}  # fmt: skip
_EQUALITY = {"==", "!=", "is", "is not"}
_BITWISE = {"&", "|", "^", "~"}
#: Fields of the task that kernel code may use, and the variables that hold them.
TASK_VARIABLES = {
    "mode": "mode", "preempt_notifier": "preempt_notifier", "signal_pending": "signal_pending",
    "gs_sel": "task_gs_sel", "bits": "bits", "gs_base": "user_gs_base",
}  # fmt: skip


@frozen
class Term:
    """An expression: its text, every value it can have, and the conditions under which it
    cannot be evaluated (a variable that holds None where a number is needed)."""

    text: str
    values: frozenset[Any]
    fails: tuple[str, ...] = ()


class Terms:
    """Translates expressions. ``store`` knows the values of variables found so far."""

    def __init__(self, store: Store, non_canonical: bool) -> None:
        self.store, self.non_canonical = store, non_canonical

    @property
    def encoding(self) -> Encoding:
        """How values are written."""
        return self.store.encoding

    def variable(self, name: str, extra: Iterable[Any] = ()) -> Term:
        """A variable, or the constant that it always is."""
        domain = self.store.domains.get(name, set())
        values = frozenset((*domain, *extra))
        if not self.store.kept(name):  # always the same, or in a function that nothing calls
            return Term(self.encoding.text(next(iter(domain), 0)), values)
        return Term(f"T.{name}", values)

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
                if at in routine.assigned[index]:  # the None it starts with is gone, unless None was stored
                    return Term(found.text, frozenset(self.store.given.get(routine.local(at), ())))
                return found
            case Field(Current(), name):
                if name not in TASK_VARIABLES:
                    raise InputError(f"the Promela model does not hold current.{name}", routine.where(i))
                return self.variable(TASK_VARIABLES[name])
            case Field(base, name):
                self.handle(base, routine, index)
                return self.variable(name)
            case Primitive():
                return self._primitive(e, routine, index)
            case Operation("and" | "or" | "not"):
                found = self._logical(e, routine, index)
                if not found.values <= {False, True}:
                    raise InputError(
                        f"'{e.op}' between other things than conditions: write if and else", routine.where(i)
                    )
                return found
            case Operation():
                return self._operation(e, routine, index)
        raise InputError(f"the Promela model does not hold {e!r}", routine.where(i))

    def handle(self, base: Expr, routine: Routine, index: int) -> None:
        """Refuses an object other than the thread's own vCPU."""
        found = self.term(base, routine, index).values
        if not found <= {0}:
            raise InputError(
                "a field of something that is not always the vCPU: the Promela model knows no other object",
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
                "a value of the register as a condition: the Promela model compares values by == and !="
                " and looks at them in no other way",
                where,
            )
        if any(bool(x) != bool(self.encoding.code(x)) for x in found.values if x is not None):
            raise InputError("a number of more than 32 bits as a condition", where)
        if None in found.values and found.text != "NONE":
            return Term(f"({found.text} != NONE && {found.text})", found.values, found.fails)
        return Term("0" if found.text == "NONE" else found.text, found.values, found.fails)

    # -- calls of primitives that only look

    def _primitive(self, e: Primitive, routine: Routine, index: int) -> Term:
        """What a primitive without an effect returns."""
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
            case "preempt_notifier_registered":
                return self.variable("preempt_notifier")
            case "savesegment":
                gs = isinstance(e.args[0], Const) and e.args[0].value == "gs"
                return self.variable("task_gs_sel") if gs else Term("0", frozenset([0]))
            case "sldt" | "vmcs_read":
                return Term("0", frozenset([0]))
        raise InputError(
            f"{e.name}() inside an expression: the Promela model gives it a meaning in a statement of its own"
            " only, if at all",
            routine.where(i),
        )

    def msr(self, e: Primitive, routine: Routine, i: Instruction) -> Any:
        """Which MSR is meant: a constant."""
        if not isinstance(e.args[0], Const):
            raise InputError(f"{e.name}() of an MSR that is not written as a constant", routine.where(i))
        return e.args[0].value

    def register_value(self, found: Term, routine: Routine, index: int) -> Term:
        """A term that has to be a value of the register: None makes the line fail."""
        where = routine.where(routine.function.instructions[index])
        others = [x for x in found.values if x is not None and not isinstance(x, Value)]
        if others:
            raise InputError(f"{others[0]!r} stands where a value of the register was expected", where)
        if None in found.values:
            fail = "true" if found.text in ("NONE", *VALUE_NAMES) else f"{found.text} == NONE"
            return Term(found.text, found.values - {None}, (*found.fails, fail))
        return found

    # -- operators

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
                    f"'{e.op}' between a value of the register and a number: the Promela model numbers the"
                    " values and does not know what they are",
                    where,
                )
            if looked == {True} and e.op in ("==", "!="):
                # one number may have several owners: kernel code sees the number
                args = [
                    Term(f"number_of({arg.text})", frozenset(number(x) for x in arg.values), arg.fails)
                    for arg in args
                ]
        else:
            if any(isinstance(x, (Value, str)) for x in everything):
                raise InputError(
                    f"'{e.op}' on a word or on a value of the register: the Promela model compares those by"
                    " == and != and looks at them in no other way",
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
