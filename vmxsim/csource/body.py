"""The body of one specialised function: each statement and expression resolved to what the model knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vmxsim.csource import interface as api
from vmxsim.csource.conditionals import CONFIG
from vmxsim.csource.known_calls import known_call
from vmxsim.csource.macros import DEEPEST
from vmxsim.csource.msr_list import switched, switches
from vmxsim.csource.parser import is_closed, read_expression
from vmxsim.csource.resolved import (
    Address,
    Choice,
    Const,
    Current,
    Do,
    Go,
    Held,
    Invoke,
    Leave,
    Mark,
    MsrInfo,
    Place,
    Prim,
    Repeat,
    Spec,
    Thread,
    Toggle,
    Unknown,
    Variable,
    VcpuPointer,
    When,
    cut_to,
    depends_on_types,
    fold,
    is_number,
    parts,
    same,
    words,
)
from vmxsim.csource.shapes import (
    calls_something,
    continues,
    hands_on,
    in_range,
    is_access,
    matters_inside,
    running_once,
    up_to_a_jump,
)
from vmxsim.csource.syntax import (
    Assign,
    Binary,
    Block,
    Call,
    Case,
    CFunction,
    Choose,
    Declare,
    Expression,
    If,
    Jump,
    Label,
    Loop,
    Member,
    Name,
    Num,
    Other,
    Return,
    Switch,
    Unary,
    Unparsed,
    expressions_of,
    show,
    statements,
)
from vmxsim.csource.syntax import parts as c_parts
from vmxsim.errors import NotUnderstoodError

_OPEN = "the macro {} lacks parentheses, so that it means something else beside an operator: add them"
#: Names of functions that could access the MSR that they are handed.
_ACCESSES = re.compile(
    r"(rd|wr|read|write|load|save|store|restore|swap|sync|put)\w*(msr|base)|msr_(read|write|load|save)"
)


class Body:
    """Resolves the body of one specialised function."""

    def __init__(self, owner: Any, spec: Spec) -> None:
        self.owner, self.spec, self.f = owner, spec, spec.function
        self.known: dict[str, Any] = dict(spec.bindings)
        #: What each variable is set to.
        self.sets: dict[str, list[Any]] = {}
        self.line = self.f.first
        #: Which MSR's place in the list a variable holds now.
        self.last_index: dict[str, str] = {}
        #: Labels that something reachable jumps to.
        self.gotos: set[str] = set()
        #: How many macros deep the expression at hand is.
        self.depth = 0
        self.locals = dict(self.f.params) | {
            s.name: s.type for s in self.f.statements if isinstance(s, Declare)
        }
        self.bind_locals()

    def resolve(self) -> list[Any]:
        return self.block(self.f.body)

    def refused(self, message: str) -> NotUnderstoodError:
        return NotUnderstoodError(message, self.spec.where(self.line))

    def bind_locals(self) -> None:
        """Variables that are only ever set to one pointer or one MSR's number are that."""
        sets = self.sets
        live = list(self.live(self.f.body))
        for s in live:
            if isinstance(s, Declare) and s.init is not None:
                sets.setdefault(s.name, []).append(s.init)
        addressed = set()
        for e in (e for s in live for e in expressions_of(s)):
            if isinstance(e, Assign) and isinstance(e.left, Name):
                sets.setdefault(e.left.name, []).append(e.right if e.op == "=" else None)
            elif isinstance(e, Unary) and e.op == "&" and isinstance(e.arg, Name):
                addressed.add(e.arg.name)
        for _ in range(3):
            for name, values in sets.items():
                if name in self.known or name in addressed or None in values:
                    continue
                first, *others = (self.expr(value, quiet=True) for value in values)
                pointer = isinstance(first, (VcpuPointer, Address, MsrInfo))
                msr = isinstance(first, Const) and first.name.startswith("MSR_")
                if (pointer or msr) and all(other == first for other in others):
                    self.known[name] = first

    def live(self, body: Any) -> Iterator[Any]:
        """The statements, nested ones too, without the arms of a switch that are surely not taken."""
        for s in body:
            yield s
            match s:
                case If(_, _, yes, no):
                    yield from self.live((*yes, *no))
                case Switch(_, value, inner):
                    known = self.expr(value, quiet=True)
                    yield from self.live(
                        up_to_a_jump(self.taken(known, inner)) if isinstance(known, Const) else inner
                    )
                case Loop(body=inner) | Block(body=inner):
                    yield from self.live(inner)

    # -- statements

    def block(self, body: Any) -> list[Any]:
        """Statements resolved, without those that a jump before them makes unreachable."""
        made: list[Any] = []
        for s in body:
            left = bool(made) and isinstance(made[-1], (Leave, Go))
            if not left or any(isinstance(t, Label) and t.name in self.gotos for t in statements((s,))):
                made += self.statement(s)
        return made

    def statement(self, s: Any) -> list[Any]:
        self.line = line = s.line
        match s:
            case Expression(_, e):
                return self.expression(line, e)
            case Declare(_, name, kind, _) if kind.startswith("static ") and "const" not in kind:
                self.known[name] = Unknown(name)  # it keeps what an earlier call left in it
                return []
            case Declare(_, name, _, init):
                return [] if init is None or name in self.known else self.assign(line, Variable(name), init)
            case If(_, test, yes, no):
                before, test = self.hoisted(line, test)
                t = self.expr(test)
                if isinstance(t, (Address, VcpuPointer)):
                    t = Const(1)
                if is_number(t):
                    return before + self.block(yes if t.value else no)
                return [*before, When(line, t, self.block(yes), self.block(no))]
            case Loop():
                return self.loop(line, s)
            case Switch(_, value, body):
                return self.switch(line, self.expr(value), body)
            case Return(_, value):
                return self.leave(line, value)
            case Jump(_, kind, label):
                self.gotos.add(label)
                return [Go(line, kind, label)]
            case Label(_, name):
                return [Mark(line, name)]
            case Block(_, body, guard, last):
                inner = self.block(body)
                if guard and guard not in api.GUARDS:
                    self.spec.calls_dropped.setdefault(f"guard({guard})", line)
                    return inner
                return [Held(line, inner, guard, last)] if guard else inner
            case Unparsed(_, text):
                self.harmless(text)
        return []

    def loop(self, line: int, s: Loop) -> list[Any]:
        if s.test == Num(0) and s.test_last:  # do { } while (0)
            body = tuple(map(running_once, s.body))
            if any(map(continues, body)):
                raise self.refused("continue in a switch in do { } while (0) is not followed")
            return [Repeat(line, [], None, [], self.block(body))]
        before = self.expression(line, s.init) if s.init is not None else []
        after = self.expression(line, s.step) if s.step is not None else []
        test = Const(1) if s.test is None else self.expr(s.test)
        return [Repeat(line, before, test, after, self.block(s.body), s.test_last)]

    def leave(self, line: int, value: Any) -> list[Any]:
        match value:
            case None:
                return [Leave(line, None)]
            case Choose(test, yes, no) if yes is not None:
                return self.statement(If(line, test, (Return(line, yes),), (Return(line, no),)))
            case Binary("&&" | "||") if calls_something(value.right):
                return self.statement(If(line, value, (Return(line, Num(1)),), (Return(line, Num(0)),)))
        before, value = self.hoisted(line, value)
        return [*before, Leave(line, cut_to(self.f.returns, self.expr(value)))]

    def switch(self, line: int, value: Any, body: Any) -> list[Any]:
        if isinstance(value, Const):
            run = self.taken(value, body)
            return [Repeat(line, [], None, [], self.block(run))] if run else []
        arms = self.arms(value, body)
        return [Choice(line, value, [(values, self.block(inside)) for values, _, inside in arms])]

    def arms(self, value: Any, body: Any) -> list[tuple[list[Any], bool, list[Any]]]:
        """The arms of a switch: the values, whether it is the default, and the statements."""
        arms: list[tuple[list[Any], bool, list[Any]]] = []
        for s in body:
            if isinstance(s, Case):
                values = [self.expr(v) for v in s.values]
                if s.range:
                    values = [in_range(values, value)]
                arms.append((values, not s.values, []))
            elif arms:
                arms[-1][2].append(s)
        return arms

    def taken(self, value: Const, body: Any) -> list[Any]:
        """What a switch on a known value runs, up to its end."""
        arms = self.arms(value, body)
        chosen = [n for n, (values, _, _) in enumerate(arms) if any(same(v, value) for v in values)]
        chosen = chosen or [n for n, (_, default, _) in enumerate(arms) if default]
        return [s for _, _, inside in arms[chosen[0] :] for s in inside] if chosen else []

    def harmless(self, text: str) -> None:
        """Raises NotUnderstoodError for a text that names what matters."""
        calls = set(re.findall(r"(\w+)\s*\(", text))
        if self.owner.matters(text) or calls & self.owner.touching:
            raise self.refused(f"'{' '.join(text.split())[:80]}' is not understood, and names what matters")

    def expression(self, line: int, e: Any) -> list[Any]:
        match e:
            case Other(text):
                self.harmless(text)
                return []
            case Assign(op, left, right):
                if op != "=":
                    right = Binary(op[:-1], left, right)
                if isinstance(left, Name) and left.name in self.known:
                    return []
                return self.assign(line, self.lvalue(left), right)
            case Call(Name(name), args):
                return self.call_statement(line, name, args, e)
            case Name(name) if name not in self.locals and (meaning := self.owner.unit.defines.get(name)):
                return self.named(line, name, meaning)
            case Binary(",", left, right):
                return self.expression(line, left) + self.expression(line, right)
            case Choose(test, yes, no) if yes is not None:
                return self.statement(If(line, test, (Expression(line, yes),), (Expression(line, no),)))
        return self.evaluated(line, e)

    def evaluated(self, line: int, e: Any) -> list[Any]:
        """An expression of which the value is not used, if it does what matters."""
        value = self.expr(e)
        if isinstance(value, (Invoke, Prim)):
            return [Do(line, None, value)]
        does = any(isinstance(part, Invoke) or is_access(part) for part in parts(value))
        return [When(line, value, [], [])] if does else []

    def assign(self, line: int, target: Any, right: Any) -> list[Any]:
        match right:
            case Call(Name(name), _) if name in api.TOGGLES:  # get_cpu()
                return [Toggle(line, api.TOGGLES[name]), Do(line, target, Unknown(show(right)))]
            case Call(Name("__find_msr_index"), args) if isinstance(target, Variable):
                self.last_index[target.name] = show(args[-1])
                return []
            case Assign(_, left, _):  # a = b = c
                return [*self.expression(line, right), Do(line, target, self.expr(left))]
            case Choose(test, yes, no) if yes is not None:
                t = self.expr(test)
                if is_number(t):
                    return self.assign(line, target, yes if t.value else no)
                return [When(line, t, self.assign(line, target, yes), self.assign(line, target, no))]
            case Binary("&&" | "||", _, second) if calls_something(second):
                return self.assign(line, target, Choose(right, Num(1), Num(0)))
        before, right = self.hoisted(line, right)
        value = self.expr(right)
        if isinstance(target, Variable):
            value = cut_to(self.locals.get(target.name, ""), value)
        elif isinstance(target, Place):
            value = self.as_declared(target, value)
        return [*before, Do(line, target, value)]

    def as_declared(self, place: Place, value: Any) -> Any:
        """A value as a field holds it. Of a name that is declared in several ways, only what is the same in
        all of them is known."""
        kinds = self.owner.unit.members.get(place.key[-1], ())
        held = {cut_to(kind, value) for kind in kinds} or {value}
        return held.pop() if len(held) == 1 else Unknown(f"({' or '.join(sorted(kinds))}) {words(value)}")

    def hoisted(self, line: int, e: Any) -> tuple[list[Any], Any]:
        """Assignments inside an expression as statements before it, and the expression without them."""
        if isinstance(e, Unary) and isinstance(e.arg, Assign):
            before, inner = self.hoisted(line, e.arg)
            return before, Unary(e.op, inner)
        if isinstance(e, Binary) and e.op not in ("&&", "||") and isinstance(e.left, Assign):
            before, inner = self.hoisted(line, e.left)
            return before, Binary(e.op, inner, e.right)
        if isinstance(e, Assign) and not e.after:
            return self.expression(line, e), e.left
        return [], e

    def call_statement(self, line: int, name: str, args: tuple[Any, ...], e: Any) -> list[Any]:
        name = self.owner.macros.alias(name)
        f = self.owner.unit.find(name, self.f.file)
        if name in api.TOGGLES:
            return [Toggle(line, api.TOGGLES[name])]
        if name in api.READ_INTO and len(args) == 2:
            return [Do(line, self.lvalue(args[1]), Prim("rdmsr", (self.expr(args[0]),)))]
        if name in api.READ_INTO_POINTER and len(args) == 2:
            return [Do(line, self.lvalue(Unary("*", args[1])), Prim("rdmsr", (self.expr(args[0]),)))]
        if name == "savesegment" and len(args) == 2:
            return [Do(line, self.lvalue(args[1]), Prim("savesegment", (Const(None, show(args[0])),)))]
        if name == "WRITE_ONCE" and len(args) == 2:
            return self.expression(line, Assign("=", args[0], args[1]))
        if name in api.ASSERTS:
            before, asserted = self.hoisted(line, args[0] if args else Num(0))
            return before + self.evaluated(line, asserted)
        if name in api.SAVE_FSGS:
            return [Do(line, None, Prim(name if name != "save_fsgs" else "save_fsgs_for_kvm"))]
        if f is None and name in self.owner.macros:
            return self.expanded(line, name, args)
        if f is not None and name not in self.owner.touching and (toggled := self.owner.toggles(f)):
            return [Toggle(line, one) for one in toggled]
        kind = switches(f) if f is not None else ""
        if kind:
            return self.list_switch(line, kind, args)
        if name == "move_msr_up" and len(args) == 3:
            return self.list_move(line, args)
        return self.evaluated(line, e)

    def expanded(self, line: int, name: str, args: tuple[Any, ...]) -> list[Any]:
        """A macro that stands for one expression, as a statement."""
        self.refuse_open_macro(name, args, alone=True)
        stands = self.owner.macros.expression(name, args) if self.depth < DEEPEST else None
        if stands is None:
            self.refuse_macro(name)
            self.spec.calls_dropped.setdefault(name, line)
            return []
        self.depth += 1
        made = self.expression(line, stands)
        self.depth -= 1
        return made

    def named(self, line: int, name: str, meaning: str) -> list[Any]:
        """A macro without arguments, as a statement."""
        stands = read_expression(meaning) if self.depth < DEEPEST else None
        if stands is None:
            self.harmless(meaning)
            return []
        self.depth += 1
        made = self.expression(line, stands)
        self.depth -= 1
        return made

    def configured(self, name: str) -> Const:
        """What IS_ENABLED() says of a CONFIG name, and note that it was asked."""
        self.owner.unit.asked.setdefault(name, []).append(f"{self.f.file}:{self.line}")
        return Const(int(name in CONFIG))

    def refuse_macro(self, name: str) -> None:
        """Raises NotUnderstoodError for a macro that is more than one expression and names what matters."""
        meaning = self.owner.macros.meaning(name)
        if self.owner.hides(meaning) or not api.TOGGLES.keys().isdisjoint(api.words_in(meaning)):
            raise self.refused(
                f"the macro {name} names what matters and is more than one expression: write it as a function"
            )

    def refuse_open_macro(self, name: str, args: tuple[Any, ...], alone: bool = False) -> None:
        """Raises NotUnderstoodError for a macro whose parts operators around them may take hold of."""
        if self.owner.macros.is_open(name, args, alone):
            raise self.refused(_OPEN.format(name))

    # -- the list of MSRs up to 2.6.32

    def list_switch(self, line: int, kind: str, args: tuple[Any, ...]) -> list[Any]:
        """load_msrs() or save_msrs() of the list, or of one entry at an offset."""
        if not self.owner.list.used:
            return []
        moved = switched(line, kind, self.expr(args[0]), self.expr(args[1]), self.owner.list.offsets)
        if moved is None:
            raise self.refused("a list of MSRs that is not understood")
        return moved

    def list_move(self, line: int, args: tuple[Any, ...]) -> list[Any]:
        """move_msr_up(vmx, index, n++): of the register's entry, the first n hold it from now on."""
        index, count = args[1], args[2]
        counter = count.left if isinstance(count, Assign) else count
        if isinstance(index, Name) and self.last_index.get(index.name) == api.REGISTER:
            return [Do(line, self.lvalue(counter), Const(1))]
        return []

    # -- expressions

    def lvalue(self, e: Any) -> Any:
        match e:
            case Name(name) if name not in self.known:
                return Variable(name)
            case Unary("*", inner):
                found = self.expr(inner)
                if not isinstance(found, VcpuPointer):
                    found = found.of if isinstance(found, Address) else Unknown(show(e))
            case _:
                found = self.expr(e)
        if isinstance(found, Variable) and self.is_of_the_caller(found.name):
            raise self.refused(f"'{show(e)}' is stored for a caller that is not followed")
        if isinstance(found, (Place, Variable)):
            return found
        if isinstance(e, Unary) and isinstance(e.arg, Name):
            sets = [self.expr(value, quiet=True) for value in self.sets.get(e.arg.name, ())]
            if any(map(self.points_to_token, sets)):
                raise self.refused(f"'{show(e)}' is stored to, which may be one of several fields")
        if isinstance(found, VcpuPointer):
            raise self.refused(f"the whole of '{show(e)}' is assigned, with what matters in it")
        if isinstance(found, Thread):
            raise self.refused(f"'{show(e)}' is stored to, which the model leaves to the context switch")
        if isinstance(e, Member) and e.name in self.owner.stored | self.owner.tokens:
            raise self.refused(f"'{show(e)}' is stored through a pointer that is not followed")
        return Unknown(show(e))

    def expr(self, e: Any, quiet: bool = False) -> Any:
        """An expression, resolved. ``quiet``: it is only looked at, and is resolved again where it stands."""
        match e:
            case None:
                return Const(0)
            case Num(value):
                return Const(value, api.REGISTER if value == api.CONSTANTS[api.REGISTER] else "")
            case Name(name):
                return self.name(name, quiet)
            case Member(base, name):
                return self.member(self.expr(base, quiet), name, e)
            case Unary("&", inner):
                found = self.expr(inner, quiet)
                if isinstance(found, VcpuPointer):
                    return found
                return Address(found) if isinstance(found, (Place, Variable)) else Unknown(show(e))
            case Unary("*", inner):
                found = self.expr(inner, quiet)
                if isinstance(found, Address):
                    return found.of
                return found if isinstance(found, VcpuPointer) else Unknown(show(e))
            case Unary(op, inner) if op.startswith("("):
                return cut_to(op.strip("()"), self.expr(inner, quiet))
            case Unary(op, inner):
                return fold("not" if op == "!" else op, (self.expr(inner, quiet),))
            case Binary(",", left, right):
                if not any(isinstance(p, (Assign, Call, Other)) for p in c_parts(left)):
                    return self.expr(right, quiet)
            case Binary(op, left, right):
                op = {"&&": "and", "||": "or"}.get(op, op)
                operands = (self.expr(left, quiet), self.expr(right, quiet))
                if not depends_on_types(op, operands):
                    return fold(op, operands)
            case Call(Name(name), args):
                return self.call(name, args, e, quiet)
            case Choose(test, yes, no) if yes is not None and is_number(decided := self.expr(test, True)):
                return self.expr(yes if decided.value else no, quiet)
            case Call(function, args) if not quiet:
                self.spec.calls_dropped.setdefault(show(function), self.line)
                self.refuse_register(show(function), tuple(map(self.expr, args)))
                return Unknown(show(e))
        if not quiet:
            self.harmless(show(e))
            if isinstance(e, (Assign, Choose)) and any(matters_inside(p, self.owner) for p in c_parts(e)):
                raise self.refused(f"'{show(e)}' is not understood where it stands: write it as a statement")
        return Unknown(show(e))

    def name(self, name: str, quiet: bool) -> Any:
        if name == "current":
            return Current()
        if name in self.known:
            return self.known[name]
        if name in api.CONSTANTS:
            return Const(api.CONSTANTS[name], name)
        if name in self.locals:
            return Variable(name)
        meaning = self.owner.unit.defines.get(name)
        if meaning and self.depth < DEEPEST and not name.startswith("MSR_"):
            self.depth += 1
            stands = read_expression(meaning)
            if stands is not None and not is_closed(meaning):
                raise self.refused(_OPEN.format(name))
            found = None if stands is None else self.expr(stands, quiet)
            self.depth -= 1
            if isinstance(found, Const):
                return found if found.name else Const(found.value, name)
            if self.owner.hides(meaning):
                return Unknown(name) if found is None else found
        if name.isupper() or name.startswith("MSR_"):
            return Const(None, name)
        return Unknown(name)

    def member(self, base: Any, name: str, e: Any) -> Any:
        match base:
            case VcpuPointer():
                if name in api.EMBEDDED:
                    return base
                return base if name in api.NOISE else Place((name,))
            case Address(Place((*_, "kernel_gs_base") as path)) if name == "data":
                return Place(tuple(path))
            case Place(path) | Address(Place(path)):
                return Place((*path, name))
            case MsrInfo(index, data):
                return {"index": index, "data": Variable(data)}.get(name, Unknown(show(e)))
            case Current(""):
                return Current(name)
            case Current("thread") if name in api.THREAD_FIELDS:
                return Thread(api.THREAD_FIELDS[name])
        return Unknown(show(e))

    def call(self, name: str, args: tuple[Any, ...], e: Any, quiet: bool) -> Any:
        if name in api.TRANSPARENT and len(args) == 1:
            return self.expr(args[0], quiet)
        name = self.owner.macros.alias(name)
        if name in api.ASSERTS | api.TRUTHS:
            return cut_to("bool", self.expr(args[0], quiet)) if args else Const(0)
        if name in api.ENABLED and len(args) == 1:
            return self.configured(show(args[0]))
        if name in api.SAME_VCPU and len(args) == 1 and isinstance(self.expr(args[0], quiet), VcpuPointer):
            return VcpuPointer()
        f = self.owner.unit.find(name, self.f.file)
        if f is None and name in self.owner.macros and name not in api.OTHER_MSR:
            self.refuse_open_macro(name, args)
            stands = self.owner.macros.expression(name, args) if self.depth < DEEPEST else None
            if stands is not None:
                self.depth += 1
                found = self.expr(stands, quiet)
                self.depth -= 1
                return found
            if not quiet:
                self.refuse_macro(name)
        resolved = tuple(self.expr(a, quiet) for a in args)
        if name in api.OTHER_MSR:
            self.refuse_register(name, resolved)
        if name in api.SWAPS and not quiet:
            raise self.refused(f"{name}() is not in the model")
        known = known_call(name, resolved)
        if known is not None:
            return known
        if f is not None and (name in self.owner.touching or any(map(self.points_to_token, resolved))):
            given = [
                arg.of.name for arg in resolved if isinstance(arg, Address) and isinstance(arg.of, Variable)
            ]
            self.spec.given_away.update(given)
            return Unknown(show(e)) if quiet else self.owner.call(f, resolved)
        if not quiet:
            self.dropped(name, f, resolved)
        return Unknown(show(e))

    def is_of_the_caller(self, name: str) -> bool:
        """Whether a variable is what a caller's struct msr_data holds."""
        return name.endswith("->data") and name != self.spec.result and name not in self.spec.params

    def matters_to(self, arg: Any) -> bool:
        """Whether it is a field that matters."""
        return isinstance(arg, Place) and arg.key[-1] in self.owner.tokens

    def points_to_token(self, arg: Any) -> bool:
        """Whether it is a pointer to a field that matters: a function that gets it is followed."""
        return isinstance(arg, Address) and self.matters_to(arg.of)

    def dropped(self, name: str, f: CFunction | None, args: tuple[Any, ...]) -> None:
        """Note a call that is left out. Raises NotUnderstoodError if its arguments do what matters."""
        self.spec.calls_dropped.setdefault(name, self.line)
        if f is not None and self.owner.balance.is_unbalanced(f):
            self.spec.unbalanced.append((self.line, name))
        if _ACCESSES.search(name):
            self.refuse_register(name, args)
        if name in api.MODIFIES and any(self.matters_to(a) for a in args):
            raise self.refused(f"{name}() changes what it is given")
        if name in api.OVERWRITES and isinstance(args[0] if args else None, VcpuPointer):
            raise self.refused(f"{name}() overwrites the whole vCPU")
        for n, arg in enumerate(args):
            if isinstance(arg, Address) and isinstance(arg.of, Place):
                if f is None or hands_on(f, n, self.owner):
                    self.spec.escapes.append((self.line, arg.of, name))
            elif isinstance(arg, Address) and isinstance(arg.of, Variable):
                self.spec.given_away.add(arg.of.name)
            elif any(isinstance(part, Invoke) or is_access(part) for part in parts(arg)):
                raise self.refused(
                    f"an argument of {name}() does what matters: write it as a statement of its own"
                )

    def refuse_register(self, name: str, args: tuple[Any, ...]) -> None:
        """Raises NotUnderstoodError for a function that is handed the register and could access it."""
        if any(isinstance(a, Const) and a.name == api.REGISTER for a in args):
            raise self.refused(f"{name}() on the register is not understood")
