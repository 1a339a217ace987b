"""Where a tick can come that only need_resched() sees: before lines that disable preemption
or interrupts on the way to one that asks."""

from __future__ import annotations

from collections.abc import Iterator

from vmxsim.checker.promela.routines import Routine, following
from vmxsim.program.ir import Expr, Instruction, Operation, Primitive

#: How deeply preempt_disable() may nest.
DEEPEST = 15
_COUNT = {"preempt_disable": 1, "preempt_enable": -1}
_IRQS = {"local_irq_disable": True, "local_irq_enable": False}

Place = tuple[Routine, int]


def asks(e: Expr | None) -> bool:
    """Whether an expression calls need_resched()."""
    if isinstance(e, Primitive):
        return e.name == "need_resched" or any(map(asks, e.args))
    return isinstance(e, Operation) and any(map(asks, e.args))


def may_ask(routines: list[Routine]) -> list[int]:
    """The positions from which need_resched() can be asked before preemption is possible again.

    It may hold more than that: a tick that nobody looks for changes nothing.
    """
    return [
        routine.positions[index]
        for routine in routines
        if not routine.scheduler
        for index, i in enumerate(routine.function.instructions)
        if i.kind != "end" and _reaches(routine, index)
    ]


def _reaches(routine: Routine, index: int) -> bool:
    waiting: list[tuple[Place, int, bool]] = [((routine, index), 0, False)]
    seen = set(waiting)
    while waiting:
        (routine, index), count, irqs = waiting.pop()
        i = routine.function.instructions[index]
        if asks(i.expr):
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
