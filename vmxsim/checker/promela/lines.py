"""Lines of kernel code in Promela: each kind of instruction, and returning from a function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vmxsim.checker.promela.effects import Effects
from vmxsim.checker.promela.routines import Routine
from vmxsim.checker.promela.store import Store
from vmxsim.checker.promela.terms import TASK_VARIABLES, Term, Terms
from vmxsim.checker.values import SLOTS
from vmxsim.errors import InputError
from vmxsim.program.ir import Current, Field, Instruction, Local, Primitive, Target

#: What a function's contract says, in Promela.
CONDITIONS = {
    "preemption disabled": "T.preempt_count > 0",
    "preemption enabled": "T.preempt_count == 0",
    "vCPU loaded": "T.preempt_notifier",
}
_FIXED = {"mode", "preempt_notifier"}


class Lines:
    """Translates instructions, and learns on the way which values reach which variable.

    ``fields`` are the vCPU's fields that belong to the state.
    """

    def __init__(self, terms: Terms, effects: Effects, fields: Iterable[str]) -> None:
        self.terms, self.effects, self.fields = terms, effects, frozenset((*fields, *SLOTS))

    @property
    def store(self) -> Store:
        """The variables."""
        return self.terms.store

    def line(self, routine: Routine, index: int) -> list[str]:
        """The statements of one instruction. Positions are in ``routine.positions``."""
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
        """The next line is that of the instruction."""
        return f"{routine.pc} = {routine.positions[index]}"

    def failing(self, fails: Iterable[str]) -> list[str]:
        """Statements for a line that cannot be carried out under some condition."""
        found = list(dict.fromkeys(fails))
        return [f"fails_if({' || '.join(found)})"] if found else []

    def enter(self, callee: Routine, args: list[Term], caller: int | None, where: str) -> list[str]:
        """Call a function: its contract, its parameters, the line that called it."""
        function = callee.function
        if len(args) != function.params:
            raise InputError(f"{function.name}() takes {function.params} arguments, not {len(args)}", where)
        out = []
        for condition in function.requires:
            if condition not in CONDITIONS:
                raise InputError(f"the Promela model does not know the condition '{condition}'", where)
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

    # -- kinds of instructions

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
        else:
            self.terms.handle(target.base, routine, index)
            if name not in self.fields:  # nothing depends on it
                return []
        if name in SLOTS:
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

    # -- leaving a function

    def _return(self, routine: Routine, index: int, i: Instruction) -> list[str]:
        """``return``, and the end of a function: hand over the result, then leave."""
        found = Term("NONE", frozenset([None])) if i.expr is None else self.terms.term(i.expr, routine, index)
        self.store.give(f"{routine.name} result", found.values, routine.where(i))
        wanted = any(caller.function.instructions[at].target for caller, at in routine.calls)
        result = [f"result = {found.text}"] if wanted else []
        return [*self.failing(found.fails), *result, f"{routine.pc} = {routine.leave}"]

    def leave(self, routine: Routine) -> list[str]:
        """Go back to the line that called the function; its variables are no more."""
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
            f":: T.{routine.back} == {n} -> {'; '.join(way)} /* {caller.name}, line {_line(caller, at)} */"
            for n, (way, (caller, at)) in enumerate(zip(ways, routine.calls, strict=True))
        ]
        return ["\n".join(["if", *options, "fi"]), *clear]


def _line(routine: Routine, index: int) -> Any:
    return routine.function.instructions[index].line
