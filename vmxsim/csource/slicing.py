"""What of the C can matter: backwards from the register, its saved copies and what decides about them.

The rule. A statement is kept if it

* accesses the register, or loads GS so that the register changes;
* stores to a field that is a copy of the register (g, h), that says which of them counts (L), or that the
  model's kernel reads (EFER, CR0);
* stores to a variable or field that a kept statement or a kept condition reads;
* calls a function in which something is kept;
* leaves the function before something that is kept, or returns a value that is used;
* disables or enables preemption or interrupts in a function in which something is kept.

Conditions around kept statements are kept. What is unknown in them is taken for granted, one way, and told;
the checker tries the other way as well, at each test, except where that cannot be followed (``pinned``). A
local variable of which every change is seen is a choice where it is set: two tests of it find the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, field, frozen

from vmxsim.csource.interface import ABSENT
from vmxsim.csource.resolved import (
    Address,
    Assumed,
    Choice,
    Const,
    Do,
    Go,
    Held,
    Invoke,
    Key,
    Leave,
    Op,
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
    accesses_register,
    expression_of,
    is_number,
    parts,
    reachable,
    reads_register,
    statements,
    words,
)
from vmxsim.csource.roles import Flow, Roles
from vmxsim.errors import NotUnderstoodError

#: Primitives that matter wherever they stand.
_EFFECTS = frozenset({"load_gs_index", "back to set_efer", "save_fsgs_for_kvm", "current_save_fsgs"})


@frozen
class Assumption:
    """A condition that the model does not know, and what is taken for granted of it.

    ``site`` is where it stands (``vmx.c:1290 vmx_set_msr()``). ``absent``: the feature that the model does
    not have and that it asks for, '' for any other condition.
    """

    text: str
    holds: bool
    site: str
    absent: str = ""

    @property
    def words(self) -> str:
        """The assumption in words."""
        return f"'{self.text}' is taken to be {'true' if self.holds else 'false'}, {self.site}"


@define
class Slice:
    """What matters in the functions that ``roots`` reach. ``pinned`` are sites at which an unknown condition
    goes one way only; None: all."""

    roots: list[Spec]
    roles: Roles
    pinned: frozenset[str] | None = frozenset()
    #: Statements that are kept, by id; functions in which something is; functions of which the result is
    #: used.
    kept: set[int] = field(factory=set)
    relevant: set[int] = field(factory=set)
    results_needed: set[int] = field(factory=set)
    #: Fields and variables that something kept reads, and those of which nothing is known.
    needed_places: set[Key] = field(factory=set)
    needed_locals: set[tuple[int, str]] = field(factory=set)
    unknown_places: set[Key] = field(factory=set)
    unknown_locals: set[tuple[int, str]] = field(factory=set)
    results_unknown: set[int] = field(factory=set)
    #: Variables of which a test only knows that they hold what was chosen where they were set: the first such
    #: test, and what is taken for granted.
    choices: dict[tuple[int, str], tuple[When, bool]] = field(factory=dict)
    #: Fields that a kept condition reads and that nothing followed so far stores to.
    asked_places: set[Key] = field(factory=set)
    #: By site and text.
    taken: dict[tuple[str, str], Assumption] = field(factory=dict)
    specs: list[Spec] = field(factory=list)
    _loops: list[Repeat] = field(factory=list)
    _flow: Flow = field(factory=lambda: Flow(()))

    def run(self) -> None:
        """Find it. Raises NotUnderstoodError for what cannot be followed."""
        self.specs = reachable(self.roots)
        self._flow = Flow(self.specs)
        self._refuse_escapes()
        self._refuse_hidden_results()
        self._nobody_sets()
        size: tuple[int, ...] = ()
        while self._size() != size:
            size = self._size()
            self.kept.clear()
            self.taken.clear()
            self.choices.clear()
            for spec in self.specs:
                kept = -1
                while len(self.kept) != kept:
                    kept = len(self.kept)
                    self._mark(spec, spec.body)
                    if self._has_core(spec):
                        self.relevant.add(id(spec))
        for spec in self.specs:
            for line, name in spec.unbalanced if id(spec) in self.relevant else ():
                raise NotUnderstoodError(
                    f"{name}() disables or enables preemption or interrupts and is not followed",
                    spec.where(line),
                )
            for s in statements(spec.body):
                if (
                    isinstance(s, Do)
                    and isinstance(s.target, Unknown)
                    and any(map(reads_register, parts(s.value)))
                ):
                    raise NotUnderstoodError(
                        f"the register is read into '{s.target.text}', which is not followed",
                        spec.where(s.line),
                    )

    def _size(self) -> tuple[int, ...]:
        return tuple(
            len(found) for found in (
                self.needed_places, self.needed_locals, self.unknown_places, self.unknown_locals,
                self.relevant, self.results_needed, self.results_unknown, self.kept,
            )
        )  # fmt: skip

    def _refuse_escapes(self) -> None:
        """Refuse what stores to a role's field unseen: through its address, or with the whole struct."""
        for spec in self.specs:
            for line, place, callee in spec.escapes:
                if role := self.roles.inside(place):
                    raise NotUnderstoodError(
                        f"&{place} is handed to {callee}(), which is not known and could change"
                        f" {getattr(self.roles, role)}",
                        spec.where(line),
                    )
            for s in statements(spec.body):
                if isinstance(s, Do) and isinstance(s.target, Place) and not self.roles.of(s.target):
                    if role := self.roles.inside(s.target):
                        raise NotUnderstoodError(
                            f"the whole of {s.target} is assigned, with {getattr(self.roles, role)} in it",
                            spec.where(s.line),
                        )

    def _refuse_hidden_results(self) -> None:
        """Refuse an entry point whose result another function sets through the pointer."""
        for spec in self.roots:
            if spec.result in spec.given_away:
                raise NotUnderstoodError(
                    f"the guest's value goes through {spec.result.lstrip('*')}, which another function is"
                    " handed",
                    spec.where(spec.function.first),
                )

    def _nobody_sets(self) -> None:
        """What is read but set nowhere here is unknown."""
        stored: set[Key] = set()
        for spec in self.specs:
            self.unknown_locals |= {(id(spec), name) for name in spec.given_away}
            self.unknown_places |= {place.key for _, place, _ in spec.escapes}
            set_here = set(spec.params)
            every = list(statements(spec.body))
            for s in every:
                if isinstance(s, Do) and isinstance(s.target, Place):
                    stored.add(s.target.key)
                elif isinstance(s, Do) and isinstance(s.target, Variable):
                    set_here.add(s.target.name)
            for s in every:
                for p in parts(expression_of(s)):
                    if isinstance(p, Variable) and p.name not in set_here:
                        self.unknown_locals.add((id(spec), p.name))
        for spec in self.specs:
            for s in statements(spec.body):
                for p in parts(expression_of(s)):
                    if isinstance(p, Place) and p.key not in stored and not self.roles.of(p):
                        self.unknown_places.add(p.key)

    # -- marking

    def _has_core(self, spec: Spec) -> bool:
        """Whether something is kept in it that is more than a toggle, or the way around one."""
        returns = id(spec) in self.results_needed
        return any(
            id(s) in self.kept and (isinstance(s, Do) or (returns and isinstance(s, Leave)))
            for s in statements(spec.body)
        )

    def _mark(self, spec: Spec, body: Iterable[Any]) -> bool:
        """Keep what matters of a body. True if that is anything."""
        any_kept = False
        for s in body:
            if self._keeps(spec, s):
                self.kept.add(id(s))
                any_kept = True
        return any_kept

    def _keeps(self, spec: Spec, s: Any) -> bool:
        match s:
            case Do():
                keep = self._matters(spec, s)
                if keep:
                    self._need(spec, s)
                return keep
            case When():
                yes, no = self._mark(spec, s.yes), self._mark(spec, s.no)
                keep = yes or no or self._does(s.test)
                if keep:
                    self._uses(spec, self.test(spec, s))
                return keep
            case Repeat():
                return self._keeps_loop(spec, s)
            case Held():
                return self._mark(spec, s.body)
            case Toggle():
                return id(spec) in self.relevant
            case Choice():
                marked = [self._mark(spec, arm) for _, arm in s.cases]
                if any(marked) or self._does(s.value):
                    raise NotUnderstoodError(
                        f"a switch on '{words(s.value)}', which is not known, stands around what matters",
                        spec.where(s.line),
                    )
                return False
            case Leave():
                return self._keeps_leave(spec, s)
            case Go():
                return self._something_after(spec, s)
        return False

    def _keeps_loop(self, spec: Spec, s: Repeat) -> bool:
        self._loops.append(s)
        keep = self._mark(spec, s.before) | self._mark(spec, s.body) | self._mark(spec, s.after)
        keep |= self._does(s.test)
        self._loops.pop()
        if keep and s.test is not None:
            if self.simple(spec, s.test) is None:
                raise NotUnderstoodError(
                    f"a loop stands around what matters, and its condition '{words(s.test)}' is not known",
                    spec.where(s.line),
                )
            self._uses(spec, s.test)
        return keep

    def _keeps_leave(self, spec: Spec, s: Leave) -> bool:
        used = s.value is not None and id(spec) in self.results_needed
        calls = any(self._is_relevant_call(p) for p in parts(s.value))
        keep = used or calls or bool(spec.result) or self._something_after(spec, s)
        if keep and s.value is not None:
            self._uses(spec, s.value)
            if used and self.simple(spec, s.value) is None:
                self.results_unknown.add(id(spec))
        return keep

    def _something_after(self, spec: Spec, s: Any) -> bool:
        """Whether a jump may pass over something that is kept: what comes later, or what is in the loop."""
        around = spec.body
        if isinstance(s, Go) and s.kind in ("break", "continue") and self._loops:
            around = self._loops[-1].body
        backwards = around is not spec.body or (isinstance(s, Go) and s.kind == "goto")
        return any(
            id(t) in self.kept and not isinstance(t, (Go, Leave)) and (t.line > s.line or backwards)
            for t in statements(around)
        )

    def _is_relevant_call(self, p: Any) -> bool:
        return isinstance(p, Invoke) and id(p.spec) in self.relevant

    def _matters(self, spec: Spec, s: Do) -> bool:
        for p in parts(s.value):
            if self._is_relevant_call(p):
                return True
            if isinstance(p, Prim) and (p.name in _EFFECTS or (accesses_register(p) and p.name != "rdmsr")):
                return True
        match s.target:
            case Place():
                return bool(self.roles.of(s.target)) or s.target.key in self.needed_places
            case Variable(name):
                return (id(spec), name) in self.needed_locals or name == spec.result
        return False

    def _need(self, spec: Spec, s: Do) -> None:
        """What a kept statement reads is needed; if that is unknown, so is what it stores to."""
        if self.simple(spec, s.value) is None:
            match s.target:
                case Place() if not self.roles.of(s.target):
                    self.unknown_places.add(s.target.key)
                case Variable(name) if name != spec.result:
                    self.unknown_locals.add((id(spec), name))
                    self.choice(spec, s)
                case Variable():
                    raise NotUnderstoodError(
                        f"the guest is given a value that is not known: {words(s.value)}", spec.where(s.line)
                    )
                case Place() if self.roles.of(s.target) != "loaded" or _is_result(s.value):
                    raise NotUnderstoodError(
                        f"{s.target} gets a value that is not known: {words(s.value)}", spec.where(s.line)
                    )
        self._uses(spec, s.value)

    def _uses(self, spec: Spec, e: Any) -> None:
        """What an expression reads is needed."""
        match e:
            case Place():
                if not self.roles.of(e) and e.key not in self.unknown_places:
                    self.needed_places.add(e.key)
            case Variable(name):
                self.needed_locals.add((id(spec), name))
            case Prim(_, args) | Op(_, args) | Assumed(calls=args):
                for arg in args:
                    self._uses(spec, arg)
            case Invoke(callee, args):
                self.results_needed.add(id(callee))
                for p, arg in zip(callee.params, args, strict=True):
                    if (id(callee), p) in self.needed_locals:
                        if self.simple(spec, arg) is None:
                            self.unknown_locals.add((id(callee), p))
                        self._uses(spec, arg)

    # -- what an expression does, where its value is not known

    def _does(self, e: Any) -> bool:
        """Whether evaluating an expression does something that matters."""
        return any(self._is_relevant_call(p) or _has_effect(p) for p in parts(e))

    def calls_in(self, spec: Spec, e: Any, line: int) -> tuple[Invoke, ...]:
        """The calls that matter in an expression of which the value is not known, in their order; not
        those that are arguments of others.

        Raises NotUnderstoodError if it does something else that matters, or perhaps makes such a call.
        """
        perhaps = [p.args[1:] for p in parts(e) if isinstance(p, Op) and p.op in ("and", "or")]
        if any(map(_has_effect, parts(e))) or any(self._does(arg) for args in perhaps for arg in args):
            raise NotUnderstoodError(
                f"'{words(e)}' is not known, and does what matters: write that as a statement of its own",
                spec.where(line),
            )
        return tuple(filter(self._is_relevant_call, _outermost_calls(e)))

    # -- conditions

    def test(self, spec: Spec, s: When) -> Any:
        """A condition with what is unknown taken for granted; a Const where that decides it."""
        value = self._default(s)
        found = self._assume(spec, s.test, s, value)
        return self._take(spec, s.test, s, value) if found is None else found

    def _assume(self, spec: Spec, e: Any, s: When, value: bool) -> Any:
        """The same of a part of a condition, None if nothing of it is known. ``value`` is what it is taken to
        be."""
        if isinstance(e, Variable) and self._is_choice(spec, e, s):
            first, _ = self.choices.setdefault((id(spec), e.name), (s, value))
            if first is s:
                self.choices[id(spec), e.name] = s, value
            return e
        if not isinstance(e, Op) or e.op not in ("and", "or", "not"):
            return self.simple(spec, e)
        if e.op == "not":
            found = self._assume(spec, e.args[0], s, not value)
            return None if found is None else _negation(found)
        deciding = e.op == "or"
        if self._knows(spec, e):
            value = not deciding
        found = [self._assume(spec, arg, s, value) for arg in e.args]
        calls = self._does(e)
        if not calls and any(is_number(f) and bool(f.value) == deciding for f in found):
            return Const(int(deciding))
        if not calls and all(f is None for f in found):
            return None
        known: list[Any] = []
        for arg, f in zip(e.args, found, strict=True):
            if f is None:
                f = self._take(spec, arg, s, value)
            if is_number(f) and bool(f.value) == deciding:
                return Op(e.op, (*known, f)) if calls and known else f
            if not is_number(f):
                known.append(f)
        if not known:
            return Const(int(not deciding))
        return known[0] if len(known) == 1 else Op(e.op, tuple(known))

    def _knows(self, spec: Spec, e: Any) -> bool:
        """Whether anything of a condition is known."""
        if isinstance(e, Op) and e.op in ("and", "or", "not"):
            return any(self._knows(spec, arg) for arg in e.args)
        return self.simple(spec, e) is not None

    def _is_choice(self, spec: Spec, e: Variable, s: When) -> bool:
        """Whether a variable that a condition asks for holds what was chosen where it was set."""
        if (id(spec), e.name) not in self.unknown_locals or e.name not in spec.steady:
            return False
        return self.pinned is not None and _site(spec, s) not in self.pinned

    def choice(self, spec: Spec, s: Do) -> Any:
        """What an unknown value is taken to be where a variable is set to it of which a condition asks; None
        if there is no such variable."""
        key = (id(spec), s.target.name) if isinstance(s.target, Variable) else None
        if key not in self.choices or self.simple(spec, s.value) is not None:
            return None
        return self._take(spec, s.value, s, self.choices[key][1])

    def _default(self, s: When) -> bool:
        """Which way an unknown condition goes: not the way that leaves."""
        return not (_leaves(s.yes) and not self._any_kept(s.yes))

    def _any_kept(self, body: list[Any]) -> bool:
        return any(id(t) in self.kept and not isinstance(t, (Leave, Go)) for t in statements(body))

    def _take(self, spec: Spec, e: Any, s: When | Do, value: bool) -> Any:
        """What an unknown expression is taken to be, a Const where it cannot come out the other way; and note
        it."""
        self.asked_places |= {
            p.key for p in parts(e) if isinstance(p, Place) and p.key in self.unknown_places
        }
        inner, negated = e, False
        while isinstance(inner, Op) and inner.op == "not":
            inner, negated = inner.args[0], not negated
        text = words(inner)
        site = _site(spec, s)
        absent = ABSENT.get(text.partition("(")[0].rpartition(".")[2].strip(), "")
        if absent:
            value = negated
        one = self.taken[site, text] = Assumption(text, value != negated, site, absent)
        assumed = Assumed(one.text, one.holds, self.calls_in(spec, inner, s.line))
        if absent or self.pinned is None or site in self.pinned:
            if assumed.calls:
                raise NotUnderstoodError(
                    f"'{text}' does what matters, and can go one way only", spec.where(s.line)
                )
            return Const(int(value))
        return Op("not", (assumed,)) if negated else assumed

    def simple(self, spec: Spec, e: Any) -> Any:
        """The expression if all of it is known to the model, else None."""
        match e:
            case Const():
                return e if e.value is not None else None
            case Place():
                return None if e.key in self.unknown_places else e
            case Variable(name):
                return None if (id(spec), name) in self.unknown_locals else e
            case Prim("rdmsr", _):
                return e if accesses_register(e) else None
            case Prim("load_gs_index", (selector,)):
                known = self.simple(spec, selector)
                return None if known is None else Prim("load_gs_index", (known,))
            case Prim() | Thread() | VcpuPointer():
                return e
            case Invoke(callee, _):
                return None if id(callee) in self.results_unknown else e
            case Op("cut", (inner, *to)):
                found = None if self._holds_value(spec, inner) else self.simple(spec, inner)
                return Op("cut", (found, *to)) if to and found is not None else found
            case Op(op, args):
                found = [self.simple(spec, arg) for arg in args]
                if op == "and" and not self._does(e) and any(is_number(f) and not f.value for f in found):
                    return Const(0)
                return None if any(f is None for f in found) else Op(op, tuple(found))
            case None | Unknown() | Address():
                return None
        return None

    def _holds_value(self, spec: Spec, e: Any) -> bool:
        """Whether an expression may be a value of the register, which a narrow type would cut."""
        for source in self._flow.sources(spec, e):
            match source:
                case Place():
                    if self.roles.of(source) in ("g", "h"):
                        return True
                case Variable(name):
                    if "data" in name:
                        return True
                case _:
                    return source not in (Thread("gs_sel"), Thread("bits"))
        return False


def _outermost_calls(e: Any) -> Iterator[Invoke]:
    match e:
        case Invoke():
            yield e
        case Prim(_, args) | Op(_, args):
            for arg in args:
                yield from _outermost_calls(arg)


def _has_effect(p: Any) -> bool:
    """Whether a part of an expression is a primitive that changes the register, or what it is saved in."""
    return isinstance(p, Prim) and (p.name in _EFFECTS or (accesses_register(p) and not reads_register(p)))


def _site(spec: Spec, s: When | Do) -> str:
    return f"{spec.function.file}:{s.line} {spec.name}()"


def _is_result(e: Any) -> bool:
    """Whether an unknown value is what a call returned. L may hold an unknown pointer: that is there."""
    if isinstance(e, Op) and e.op == "not":  # as a bool holds it
        return _is_result(e.args[0])
    return not isinstance(e, (Place, Address)) and not (isinstance(e, Unknown) and "(" not in e.text)


def _negation(e: Any) -> Any:
    return Const(int(not e.value)) if is_number(e) else Op("not", (e,))


def _leaves(body: list[Any]) -> bool:
    """Whether a branch surely leaves."""
    return bool(body) and (
        isinstance(body[-1], (Leave, Go)) or (isinstance(body[-1], Held) and _leaves(body[-1].body))
    )
