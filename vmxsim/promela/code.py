"""Kernel code in Promela, line by line: each kind of instruction, and returning from a function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from vmxsim.checker.states import SLOTS, USER
from vmxsim.checker.symbolic import ENTERS
from vmxsim.errors import InputError
from vmxsim.kernel.instructions import SAVING
from vmxsim.kernel.machine import MSR_KERNEL_GS_BASE
from vmxsim.kernel.program import (
    Current,
    Field,
    Instruction,
    Local,
    Primitive,
    Target,
    ThisCpu,
)
from vmxsim.promela.terms import TASK_VARIABLES, Routine, Store, Term, Terms, following, variable_of

#: How deeply preempt_disable() may nest.
DEEPEST = 15
_COUNT = {"preempt_disable": 1, "preempt_enable": -1}
_IRQS = {"local_irq_disable": True, "local_irq_enable": False}

Place = tuple[Routine, int]


def may_ask(routines: list[Routine], query: str) -> list[int]:
    """The positions from which a line that calls ``query`` can be reached without preemption: where a tick
    can arrive that only need_resched() sees, or a signal.

    Extra positions do no harm: a tick or signal that nobody checks for changes nothing.
    """
    return [
        routine.positions[index]
        for routine in routines
        if not routine.scheduler
        for index, i in enumerate(routine.function.instructions)
        if i.kind != "end" and _reaches(routine, index, query)
    ]


def _reaches(routine: Routine, index: int, query: str) -> bool:
    waiting: list[tuple[Place, int, bool]] = [((routine, index), 0, False)]
    seen = set(waiting)
    while waiting:
        (routine, index), count, irqs = waiting.pop()
        i = routine.function.instructions[index]
        if query in i.queries and not (query == "signal_pending" and routine.function.name == ENTERS):
            return True
        name = i.expr.name if isinstance(i.expr, Primitive) and i.kind == "do" else ""
        count = min(DEEPEST, max(0, count + _COUNT.get(name, 0)))
        irqs = _IRQS.get(name, irqs)
        if not count and not irqs and i.kind != "end":
            continue
        for place in _next(routine, index, i):
            if (place, count, irqs) not in seen:
                seen.add((place, count, irqs))
                waiting.append((place, count, irqs))
    return False


def _next(routine: Routine, index: int, i: Instruction) -> Iterator[Place]:
    if i.kind == "call":
        yield routine.callees[index], 0
    elif i.kind in ("return", "end"):
        for caller, at in routine.calls:
            yield caller, caller.function.instructions[at].next
    else:
        for to in following(i):
            yield routine, to


class Effects:
    """Promela for the primitives that change the machine, written by hand."""

    #: Primitives whose statements do not depend on the arguments.
    _plain: ClassVar[dict[str, list[str]]] = {
        "vm_entry": ["T.mode = GUEST", "guest_runs()"],
        "preempt_disable": ["disable_preemption()"],
        "preempt_enable": ["enable_preemption()"],
        "local_irq_disable": ["T.irqs_disabled = 1"],
        "local_irq_enable": ["T.irqs_disabled = 0"],
        "preempt_notifier_register": ["T.preempt_notifier = 1"],
        "preempt_notifier_unregister": ["T.preempt_notifier = 0"],
        "context_switch": ["switch_out()"],
        "complete_wrmsr": ["T.true_guest_value = T.msr_data"],
        "kvm_inject_gp": [],
        "refuse_msr": [],
    }
    known = frozenset(
        {*_plain, "wrmsr", "wrmsrns", "complete_rdmsr", "copy_to_user", "load_gs_index", *SAVING}
    )

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def statements(self, e: Primitive, routine: Routine, index: int) -> list[str]:
        """The statements for a call of a primitive."""
        args = [self.terms.term(arg, routine, index) for arg in e.args]
        fails = [fail for arg in args for fail in arg.fails]
        if e.name in ("wrmsr", "wrmsrns"):
            done = self._wrmsr(e, args, fails, routine, index)
        elif e.name in SAVING:
            done = self.save()
        elif e.name == "load_gs_index":
            has_base = self.terms.host.gs_base_from == "descriptor"
            base = f"({args[0].text} > 3 -> HOST : ZERO)" if has_base else "ZERO"
            done = [f"T.kernel_gs_base = {base}"]
        elif e.name in ("complete_rdmsr", "copy_to_user"):
            self.terms.handle(e.args[0], routine, index)
            data = self.terms.register_value(args[1], routine, index)
            fails += data.fails
            done = [f"guest_finds({data.text}, T.true_guest_value)"]
        else:
            if e.name in ("vm_entry", "complete_wrmsr", "kvm_inject_gp", "refuse_msr"):
                self.terms.handle(e.args[0], routine, index)
            done = self._plain[e.name]
        return [f"fails_if({' || '.join(dict.fromkeys(fails))})", *done] if fails else list(done)

    def save(self) -> list[str]:
        """Save the thread's bases, as a context switch does."""
        host, name = self.terms.host, SLOTS[USER]
        if host.fsgsbase:
            return [f"T.{name} = T.kernel_gs_base"]
        if host.gs_base_from == "descriptor" and self.terms.store.kept(name):
            return [f"T.{name} = ZERO"]
        return []

    def _wrmsr(
        self, e: Primitive, args: list[Term], fails: list[str], routine: Routine, index: int
    ) -> list[str]:
        if self.terms.msr(e, routine, routine.function.instructions[index]) != MSR_KERNEL_GS_BASE:
            return []
        if len(args) < 2:
            fails.append("true")
            return []
        data = self.terms.register_value(args[1], routine, index)
        fails += data.fails
        return [f"host_wrmsr({data.text})"]


#: The conditions of a function's contract in Promela.
CONDITIONS = {
    "preemption disabled": "T.preempt_count > 0",
    "preemption enabled": "T.preempt_count == 0",
    "vCPU loaded": "T.preempt_notifier",
}
_FIXED = {"mode", "preempt_notifier"}


class Lines:
    """Translates instructions, and records which values reach which variable.

    ``fields`` are the vCPU's fields that belong to the state, ``values`` the variables that hold values of
    the register.
    """

    def __init__(self, terms: Terms, effects: Effects, fields: Iterable[str], values: Iterable[str]) -> None:
        self.terms, self.effects, self.values = terms, effects, frozenset(values)
        self.fields = self.values.union(fields)

    @property
    def store(self) -> Store:
        """The variables."""
        return self.terms.store

    def line(self, routine: Routine, index: int) -> list[str]:
        """The statements for one instruction."""
        i = routine.function.instructions[index]
        match i.kind:
            case "do":
                return [*self._do(routine, index, i), self.go(routine, i.next)]
            case "branch":
                return self._branch(routine, index, i)
            case "switch":
                return self._switch(routine, index, i)
            case "call":
                args = [self.terms.term(arg, routine, index) for arg in i.args]
                callee = routine.callees[index]
                return [
                    *self.failing(fail for arg in args for fail in arg.fails),
                    *self.enter(callee, args, callee.calls.index((routine, index)), routine.where(i)),
                ]
        return self._return(routine, index, i)

    def go(self, routine: Routine, index: int) -> str:
        """Make an instruction the next one."""
        return f"{routine.pc} = {routine.positions[index]}"

    def failing(self, fails: Iterable[str]) -> list[str]:
        """Statements that fail under any of these conditions."""
        found = list(dict.fromkeys(fails))
        return [f"fails_if({' || '.join(found)})"] if found else []

    def enter(self, callee: Routine, args: list[Term], caller: int | None, where: str) -> list[str]:
        """Call a function: check its contract, set its parameters, remember its caller."""
        function = callee.function
        if len(args) != function.params:
            raise InputError(f"{function.name}() takes {function.params} arguments, not {len(args)}", where)
        out = []
        for condition in function.requires:
            if condition not in CONDITIONS:
                raise InputError(f"the Promela model does not support the condition '{condition}'", where)
            out.append(f"fails_if(!({CONDITIONS[condition]}))")
        for at in range(len(function.locals)):
            name = callee.local(at)
            if at < len(args):
                self.store.give(name, args[at].values, where)
                out += self._set(name, args[at].text)
            else:
                self.store.grow(name, [None])
                out += self._set(name, "NONE")
        if caller is not None and len(callee.calls) > 1:
            self.store.grow(callee.back, range(len(callee.calls)))
            out += self._set(callee.back, str(caller))
        return [*out, self.go(callee, 0)]

    def _set(self, name: str, text: str) -> list[str]:
        return [f"T.{name} = {text}"] if self.store.kept(name) else []

    def _do(self, routine: Routine, index: int, i: Instruction) -> list[str]:
        assert i.expr is not None
        if isinstance(i.expr, Primitive) and i.expr.name in self.effects.known:
            found = Term("NONE", frozenset([None]))
            done = self.effects.statements(i.expr, routine, index)
        else:
            found, done = self.terms.term(i.expr, routine, index), []
            done = self.failing(found.fails)
        return [*done, *self.put(i.target, found, routine, index)]

    def put(self, target: Target, found: Term, routine: Routine, index: int) -> list[str]:
        """Store a value."""
        where = routine.where(routine.function.instructions[index])
        if target is None:
            return []
        if isinstance(target, Local):
            self.store.give(routine.local(target.index), found.values, where)
            return self._set(routine.local(target.index), found.text)
        assert isinstance(target, Field)
        name = target.name
        if isinstance(target.base, Current):
            if name not in TASK_VARIABLES or name in _FIXED:
                raise InputError(f"the Promela model does not let kernel code store current.{name}", where)
            name = TASK_VARIABLES[name]
        elif isinstance(target.base, ThisCpu):
            raise InputError(f"the Promela model has no fields of the CPU, such as '{name}'", where)
        else:
            self.terms.handle(target.base, routine, index)
            name = variable_of(name, target.own)
            if name not in self.fields:  # nothing depends on it
                return []
        if name in self.values:
            kept = self.terms.register_value(found, routine, index)
            self.store.grow(name, kept.values, where)
            return [*self.failing(set(kept.fails) - set(found.fails)), *self._set(name, kept.text)]
        self.store.grow(name, found.values, where)
        return self._set(name, found.text)

    def _branch(self, routine: Routine, index: int, i: Instruction) -> list[str]:
        assert i.expr is not None
        found = self.terms.truth(i.expr, routine, index)
        there, other = routine.positions[i.next], routine.positions[i.other]
        return [*self.failing(found.fails), f"{routine.pc} = ({found.text} -> {there} : {other})"]

    def _switch(self, routine: Routine, index: int, i: Instruction) -> list[str]:
        assert i.expr is not None
        found, encoding = self.terms.term(i.expr, routine, index), self.terms.encoding
        encoding.distinct({*found.values, *(case for case, _ in i.cases)}, routine.where(i))
        options = [
            f":: {found.text} == {encoding.text(case)} -> {self.go(routine, to)}"
            for case, to in dict(reversed(i.cases)).items()
        ]
        return [
            *self.failing(found.fails),
            "\n".join(["if", *reversed(options), f":: else -> {self.go(routine, i.other)}", "fi"]),
        ]

    def _return(self, routine: Routine, index: int, i: Instruction) -> list[str]:
        """``return`` or the end of a function: store the result, then leave."""
        found = Term("NONE", frozenset([None])) if i.expr is None else self.terms.term(i.expr, routine, index)
        self.store.give(f"{routine.name} result", found.values, routine.where(i))
        wanted = any(caller.function.instructions[at].target for caller, at in routine.calls)
        result = [f"result = {found.text}"] if wanted else []
        return [*self.failing(found.fails), *result, f"{routine.pc} = {routine.leave}"]

    def leave(self, routine: Routine) -> list[str]:
        """Return to the caller and clear the function's variables."""
        values = frozenset(self.store.given.get(f"{routine.name} result", ()))
        ways = []
        for caller, at in routine.calls:
            i = caller.function.instructions[at]
            found = (
                Term("result", values)
                if len(values) != 1
                else Term(self.terms.encoding.text(*values), values)
            )
            ways.append([*self.put(i.target, found, caller, at), self.go(caller, i.next)])
        gone = [routine.local(at) for at in range(len(routine.function.locals))] + [routine.back]
        clear = [f"T.{name} = 0" for name in gone if self.store.kept(name)]
        if not ways:
            return [f"{routine.pc} = 0", *clear]
        if len(ways) == 1:
            return [*ways[0], *clear]
        options = [
            f":: T.{routine.back} == {n} -> {'; '.join(way)} /* {caller.name}, {_line(caller, at)} */"
            for n, (way, (caller, at)) in enumerate(zip(ways, routine.calls, strict=True))
        ]
        return ["\n".join(["if", *options, "fi"]), *clear]


def _line(routine: Routine, index: int) -> str:
    return routine.function.at(routine.function.instructions[index].line).name
