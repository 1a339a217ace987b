"""Goal: only the named functions differ from the design that the exercise starts from."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from vmxsim.errors import InputError, nearest, printable
from vmxsim.exercises.answer import Answer
from vmxsim.exercises.goals.goal import Judgement, several
from vmxsim.kernel.kvm import Kvm
from vmxsim.program.ir import Function

#: What a class says besides its functions, and what the machine does because of it.
_SETTINGS = ("interception", "bitmap_passes_at_creation", "shared_msrs", "kvm_x86_ops")


@frozen(init=False)
class OnlyChanged:
    """Something was changed, and nothing but ``functions``; new functions may be added.

    Comments, blank lines and line breaks do not count.
    """

    functions: tuple[str, ...] = field()

    def __init__(self, *functions: str) -> None:
        if not functions:
            raise InputError("the name of a function was expected", "functions")
        self.__attrs_init__(functions)

    @property
    def words(self) -> str:
        """For the checklist."""
        return f"Nothing but {several(f'{name}()' for name in self.functions)} was changed"

    def judge(self, answer: Answer) -> Judgement:
        """Compare the lowered functions, not their text."""
        start, mine = answer.start, answer.design
        known = start.functions()
        for name in self.functions:
            if name not in known:
                where = f"the goal's functions, {start._name()}"
                raise InputError(f"no function '{printable(name)}'{nearest(name, known)}", where)
        if not issubclass(mine, start):
            return Judgement(False, f"{mine._name()} is no subclass of the design to start from: {_WRITE}")
        changed = changed_functions(start, mine)
        others = [f"{name}()" for name in changed if name not in self.functions]
        others += [name for name in _SETTINGS if getattr(start, name) != getattr(mine, name)]
        if others:
            return Judgement(False, f"changed too: {several(others)}")
        if not changed:
            return Judgement(False, "nothing is changed yet")
        return Judgement(True, f"changed: {several(f'{name}()' for name in changed)}")


_WRITE = "write 'class Mine(ex.start): ...'"


def changed_functions(start: type[Kvm], mine: type[Kvm]) -> list[str]:
    """Functions of ``start`` that mean something else in ``mine``."""
    theirs, own = start.functions(), mine.functions()
    return [
        name for name in theirs if theirs[name] is not own[name] and _code(theirs[name]) != _code(own[name])
    ]


def _code(function: Function) -> Any:
    """What a function does, without where its lines stand."""
    steps = [
        (
            *(i.kind, i.expr, i.target, i.next, i.other, i.cases, i.args),
            i.callee and (i.callee.kind, i.callee.name),
        )
        for i in function.instructions
    ]
    return steps, function.params, function.requires, function.interrupt
