"""What is kept of a specialised C function, as a Function of the Program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmxsim.csource.fields import Fields
from vmxsim.csource.interface import CONSTANTS, GUARDS
from vmxsim.csource.resolved import (
    Assumed,
    Const,
    Do,
    Go,
    Held,
    Invoke,
    Leave,
    Mark,
    Op,
    Place,
    Prim,
    Repeat,
    Spec,
    Thread,
    Toggle,
    Variable,
    VcpuPointer,
    When,
    is_number,
    words,
)
from vmxsim.csource.slicing import Slice
from vmxsim.errors import NotUnderstoodError
from vmxsim.kernel import program as ir

#: Jumps that wait for the instruction they go to: (instruction, ``next`` or ``other``).
Dangling = list[tuple[int, str]]


def cut(e: ir.Expr, bits: int = 0, signed: int = 0) -> ir.Expr:
    """A number as so many bits hold it; 0: it is known to fit."""
    if not bits:
        return e
    low = ir.Operation("&", (e, ir.Const((1 << bits) - 1)))
    if not signed:
        return low
    sign = ir.Const(1 << bits - 1)
    return ir.Operation("-", (ir.Operation("^", (low, sign)), sign))


class Lowering:
    """Lowers one function. ``names`` are the model's names of the functions, by the id of their Spec."""

    def __init__(
        self,
        spec: Spec,
        cut: Slice,
        fields: Fields,
        names: Mapping[int, str],
        requires: tuple[str, ...],
        owner: str,
    ) -> None:
        self.spec, self.cut, self.fields, self.names = spec, cut, fields, names
        self.requires, self.owner = requires, owner
        self.locals = list(spec.params)
        self.out: list[ir.Instruction] = []
        self.dangling: Dangling = []
        self.labels: dict[str, int] = {}
        self.waiting: dict[str, Dangling] = {}
        self.breaks: list[Dangling] = []
        self.continues: list[Dangling | None] = []
        #: Guards that are held: what releases each, and on which line; and how many were held around each
        #: loop.
        self.guards: list[tuple[str, int]] = []
        self.held_around: list[int] = []
        #: Variables with results that the expression at hand has not used yet.
        self.pending: list[str] = []
        self.line = spec.function.first
        bound = dict(spec.bindings)
        self.handle = next(
            (n for n, p in enumerate(spec.params) if isinstance(bound.get(p), VcpuPointer)), None
        )

    def function(self, dropped: Mapping[int, str]) -> ir.Function:
        """The lowered function; ``dropped`` are its lines that were left out."""
        f = self.spec.function
        self.block(self.spec.body)
        value = self.local(self.spec.result) if self.spec.result else None
        self.line = f.last
        self.add("return" if value else "end", value)
        for label in self.waiting:
            raise self.refused(f"there is no label '{label}'")
        made = ir.Function(
            self.names[id(self.spec)], self.owner, f.source, len(self.spec.params), tuple(self.locals),
            self.out, self.requires, file=f.file, first=f.first, dropped=dropped,
        )  # fmt: skip
        ir.emit(made)
        return made

    def refused(self, message: str) -> NotUnderstoodError:
        return NotUnderstoodError(message, self.spec.where(self.line))

    # -- instructions

    def add(self, kind: str, expr: ir.Expr | None = None, **how: Any) -> int:
        index = len(self.out)
        self.patch(self.dangling, index)
        self.dangling = []
        self.out.append(ir.Instruction(kind, self.line - self.spec.function.first + 1, expr, **how))
        return index

    def patch(self, jumps: Dangling, index: int) -> None:
        for number, name in jumps:
            setattr(self.out[number], name, index)

    def step(self, kind: str, expr: ir.Expr | None = None, **how: Any) -> None:
        self.dangling = [(self.add(kind, expr, **how), "next")]

    def prim(self, name: str) -> None:
        if name:
            self.step("do", ir.Primitive(name, ()))

    def local(self, name: str) -> ir.Local:
        if name not in self.locals:
            self.locals.append(name)
        return ir.Local(self.locals.index(name), name)

    @property
    def vcpu(self) -> ir.Local:
        if self.handle is None:
            raise self.refused("it has no vCPU to work on")
        return ir.Local(self.handle, self.locals[self.handle])

    # -- statements

    def block(self, body: list[Any]) -> None:
        for s in body:
            if id(s) in self.cut.kept or isinstance(s, Mark):
                self.line = s.line
                self.statement(s)

    def statement(self, s: Any) -> None:
        self.pending.clear()
        match s:
            case Do(_, target, value):
                if (chosen := self.cut.choice(self.spec, s)) is None:
                    self.do(target, value)
                else:
                    self.step("do", self.with_calls(chosen), target=self.target(target))
            case Toggle(_, name):
                self.prim(name)
            case When():
                self.when(s)
            case Repeat():
                self.loop(s)
            case Held():
                self.held(s)
            case Leave():
                self.leave(s)
            case Go():
                self.go(s)
            case Mark(_, name):
                self.dangling += self.waiting.pop(name, [])
                self.labels[name] = len(self.out)

    def when(self, s: When) -> None:
        test = self.cut.test(self.spec, s)
        if is_number(test):
            self.block(s.yes if test.value else s.no)
            return
        self.dangling, no = self.branch(test)
        self.block(s.yes)
        after = self.dangling
        self.dangling = no
        self.block(s.no)
        self.dangling = after + self.dangling

    def held(self, s: Held) -> None:
        on, off = GUARDS[s.guard]
        self.prim(on)
        self.guards.append((off, s.last))
        self.block(s.body)
        self.guards.pop()
        if self.dangling:
            self.line = s.last
            self.prim(off)

    def loop(self, s: Repeat) -> None:
        self.block(s.before)
        self.breaks.append([])
        self.continues.append(None if s.test is None else [])
        self.held_around.append(len(self.guards))
        if s.test is None:
            self.block(s.body)
        else:
            self.repeat(s)
        self.held_around.pop()
        self.continues.pop()
        self.dangling += self.breaks.pop()

    def repeat(self, s: Repeat) -> None:
        test = self.cut.simple(self.spec, s.test)
        head = len(self.out)
        no: Dangling = []
        if not s.test_last:
            self.line = s.line
            self.dangling, no = self.branch(test)
        self.block(s.body)
        self.dangling += self.continues[-1] or []
        self.block(s.after)
        if s.test_last:
            self.line = s.line
            self.dangling, no = self.branch(test)
        self.patch(self.dangling, head)
        self.dangling = no

    def leave(self, s: Leave) -> None:
        value: ir.Expr | None = None
        returned = self.uncut(s.value)
        callee = returned if isinstance(returned, Invoke) and self.is_relevant(returned) else None
        if self.spec.result:
            if callee:
                self.do(None, callee)
            elif returned is not None:
                self.still_calls(returned)
            value = self.local(self.spec.result)
        elif callee and not self.guards:
            result = self.local(f"result of {callee.spec.name}()")
            self.call(callee, result)
            self.add("end", result)
            return
        elif callee:
            value = self.local("value")
            self.call(callee, value)
        elif returned is not None and not isinstance(returned, Invoke):
            known = self.cut.simple(self.spec, returned)
            if known is None:
                self.still_calls(returned)
            value = None if known is None else self.expr(known)
        if self.guards and value is not None and not isinstance(value, (ir.Const, ir.Local)):
            kept = self.local("value")
            self.step("do", value, target=kept)
            value = kept
        self.release(0)
        self.line = s.line
        self.add("return", value or ir.Const(None))

    def release(self, down_to: int) -> None:
        """Release the guards that are held beyond so many, the last first."""
        for off, line in reversed(self.guards[down_to:]):
            self.line = line
            self.prim(off)

    def go(self, s: Go) -> None:
        if s.kind == "goto" and self.guards:
            raise self.refused("a goto inside a guard is not followed")
        if s.kind == "break":
            self.release(self.held_around[-1] if self.held_around else 0)
            if not self.breaks:
                raise self.refused("break outside of a loop")
            self.breaks[-1] += self.dangling
        elif s.kind == "continue":
            loops = [n for n, jumps in enumerate(self.continues) if jumps is not None]
            if not loops:
                raise self.refused("continue outside of a loop")
            self.release(self.held_around[loops[-1]])
            into = self.continues[loops[-1]]
            assert into is not None
            into += self.dangling
        elif s.label in self.labels:
            self.patch(self.dangling, self.labels[s.label])
        else:
            self.waiting.setdefault(s.label, []).extend(self.dangling)
        self.dangling = []

    def do(self, target: Any, value: Any) -> None:
        goal = self.target(target)
        value = self.uncut(value)
        if isinstance(value, Prim) and value.name == "back to set_efer":
            efer = ir.Operation("|", (ir.Field(self.vcpu, "efer"), ir.Const(CONSTANTS["EFER_LME"])))
            self.step("call", callee=ir.Callee("ops", "set_efer"), args=(self.vcpu, efer))
            return
        if isinstance(value, Invoke):
            if self.is_relevant(value) and isinstance(goal, ir.Field) and isinstance(target, Place):
                result = self.local(f"result of {value.spec.name}()")
                self.call(value, result)
                self.step("do", self.fields.fitting(goal, target, result), target=goal)
            elif self.is_relevant(value):
                self.call(value, goal)
            return
        known = self.cut.simple(self.spec, value)
        if known is None:
            self.still_calls(value)
            if not (isinstance(goal, ir.Field) and goal.name == "loaded"):
                return
            made: ir.Expr = ir.Const(True)  # a pointer: it is there
        else:
            made = self.with_calls(known)
        if isinstance(goal, ir.Field) and goal.name in ("g", "h") and not goal.own:
            self.refuse_computed(made)
        if isinstance(goal, ir.Field) and isinstance(target, Place):
            made = self.fields.fitting(goal, target, made)
        self.step("do", made, target=goal)

    def uncut(self, e: Any) -> Any:
        """What a narrow variable holds, where that fits."""
        cut = isinstance(e, Op) and e.op == "cut" and len(e.args) == 1
        return e.args[0] if cut and self.cut.simple(self.spec, e) is not None else e

    def is_relevant(self, invoke: Invoke) -> bool:
        return id(invoke.spec) in self.cut.relevant

    def call(self, invoke: Invoke, target: ir.Target) -> None:
        args = []
        for param, arg in zip(invoke.spec.params, invoke.args, strict=True):
            passed: ir.Expr = ir.Const(None)  # what the callee does not look at
            needed = isinstance(arg, VcpuPointer) or (id(invoke.spec), param) in self.cut.needed_locals
            known = self.cut.simple(self.spec, arg)
            if known is None:
                self.still_calls(arg)
            elif needed or self.calls(known):
                passed = self.expr(known)
            args.append(passed)
        callee = ir.Callee("self", self.names[id(invoke.spec)])
        self.step("call", target=target, callee=callee, args=tuple(args))

    def target(self, target: Any) -> ir.Target:
        match target:
            case Place() if self.cut.roles.of(target) or target.key in self.cut.needed_places:
                return self.fields.field(self.vcpu, target)
            case Variable(name) if (
                id(self.spec),
                name,
            ) in self.cut.needed_locals or name == self.spec.result:
                return self.local(name)
        return None

    # -- conditions: calls are steps of their own, so that && and || around them are branches

    def branch(self, test: Any) -> tuple[Dangling, Dangling]:
        if isinstance(test, Op) and self.calls(test):
            if test.op == "not":
                yes, no = self.branch(test.args[0])
                return no, yes
            if test.op in ("and", "or"):
                early: Dangling = []
                for arg in test.args[:-1]:
                    yes, no = self.branch(arg)
                    self.dangling, out = (yes, no) if test.op == "and" else (no, yes)
                    early += out
                yes, no = self.branch(test.args[-1])
                return (yes, no + early) if test.op == "and" else (yes + early, no)
        pending = len(self.pending)
        made = ir.Const(bool(test.value)) if isinstance(test, Const) else self.with_calls(test, truth=True)
        index = self.add("branch", made)
        del self.pending[pending:]
        return [(index, "next")], [(index, "other")]

    def calls(self, e: Any) -> bool:
        if isinstance(e, Assumed):
            return bool(e.calls)
        return isinstance(e, Invoke) or (isinstance(e, (Op, Prim)) and any(map(self.calls, e.args)))

    def still_calls(self, e: Any) -> None:
        """The calls in an expression of which the value is not known become steps all the same."""
        for call in self.cut.calls_in(self.spec, e, self.line):
            self.call(call, None)

    def with_calls(self, e: Any, truth: bool = False) -> ir.Expr:
        """An expression whose calls become steps before it; ``truth``: only whether it is 0 counts."""
        if not self.calls(e):
            return self.truth(e) if truth else self.expr(e)
        if isinstance(e, Invoke):
            result = self.unused(f"result of {e.spec.name}()")
            self.call(e, result)
            return result
        if isinstance(e, Op) and e.op in ("and", "or"):  # what is not reached is not called
            return self.decided(e)
        if isinstance(e, Assumed):
            for call in e.calls:
                self.call(call, None)
            return self.expr(e)
        if isinstance(e, Prim):
            return ir.Primitive(e.name, tuple(map(self.with_calls, e.args)))
        if e.op == "cut":
            return cut(self.with_calls(e.args[0]), *(bits.value for bits in e.args[1:]))
        return ir.Operation(e.op, tuple(self.with_calls(arg, truth=e.op == "not") for arg in e.args))

    def decided(self, e: Op) -> ir.Local:
        """A variable that holds 1 if an expression of && and || is true, else 0."""
        yes, no = self.branch(e)
        made = self.unused("whether it holds")
        self.dangling = yes
        self.step("do", ir.Const(True), target=made)
        after, self.dangling = self.dangling, no
        self.step("do", ir.Const(False), target=made)
        self.dangling += after
        return made

    def unused(self, name: str) -> ir.Local:
        """A variable of this name whose value the expression at hand does not need any more."""
        while name in self.pending:
            name += "'"
        self.pending.append(name)
        return self.local(name)

    # -- expressions

    def truth(self, e: Any) -> ir.Expr:
        """An expression of which only counts whether it is 0. (C's && and || give 0 or 1, the model's ``and``
        and ``or`` one of their operands, as in Python: here that is the same.)"""
        if isinstance(e, Op) and e.op in ("and", "or", "not"):
            return ir.Operation(e.op, tuple(map(self.truth, e.args)))
        return self.expr(e)

    def refuse_computed(self, e: ir.Expr) -> None:
        """Raises NotUnderstoodError where a number that was computed, which belongs to nobody, would be a
        value of the register."""
        if isinstance(e, (ir.Const, ir.Operation)):
            raise self.refused("a value of the register is computed here: the model only moves values")

    def expr(self, e: Any) -> ir.Expr:
        match e:
            case Const(value, _):
                return ir.Const(value)
            case Place():
                return self.fields.field(self.vcpu, e)
            case Variable(name):
                return self.local(name)
            case VcpuPointer():
                return self.vcpu
            case Thread(name):
                return ir.Field(ir.Current(), name)
            case Assumed(text, holds):
                return ir.Primitive("not_modeled", (ir.Const(text), ir.Const(holds)))
            case Prim("is_long_mode", _):
                return ir.Primitive("is_long_mode", (self.vcpu,))
            case Prim("savesegment", (segment,)):
                return ir.Primitive("savesegment", (ir.Const(segment.name),))
            case Prim(name, args):
                made = tuple(self.expr(a) for a in args)
                if name in ("wrmsr", "wrmsrns"):
                    self.refuse_computed(made[1])
                return ir.Primitive(name, made)
            case Op("cut", (inner, *to)):
                return cut(self.expr(inner), *(bits.value for bits in to))
            case Op("and" | "or"):
                return ir.Operation("bool", (self.truth(e),))
            case Op("not"):
                return self.truth(e)
            case Op(op, args):
                return ir.Operation(op, tuple(self.expr(a) for a in args))
        raise self.refused(f"'{words(e)}' is not known, and something that matters depends on it")
