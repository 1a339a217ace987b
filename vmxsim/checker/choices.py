"""What can happen next to a thread, and how it comes out."""

from __future__ import annotations

from functools import cache

from attrs import define, frozen

from vmxsim.checker.values import FIRST, SECOND
from vmxsim.errors import SimulationError
from vmxsim.model.value import Value
from vmxsim.program.ir import Function
from vmxsim.program.thread import Stack

USER_VERBS = ("run", "run cancelled", "get-msr", "set-msr")
GUEST_VERBS = ("guest rdmsr", "guest wrmsr", "emulate rdmsr", "emulate wrmsr", "exit")
WRITES = {"set-msr", "guest wrmsr", "emulate wrmsr"}

#: A line of kernel code: a function, and the number of an instruction.
Line = tuple[Function, int]

GUEST_CHECK, HOST_CHECK = "guest", "host"


@frozen(cache_hash=True)
class Choice:
    """What happens next to a thread. ``kind`` is one of

    ``action``  an action of the scenario starts (``verb``, ``value``: the number of what is written)
    ``step``    its kernel code goes on; with ``pending`` n, a tick comes while preemption is
                disabled, so that the n-th ``need_resched()`` is the first to see it
    ``out``     a tick: the scheduler takes it from its CPU
    ``in``      the scheduler puts it on a CPU
    """

    kind: str
    verb: str = ""
    value: int | None = None
    pending: int = 0


STEP, OUT, IN = Choice("step"), Choice("out"), Choice("in")


@define
class Outcome:
    """How a section ended. ``where`` is ``user``, ``guest``, ``kernel``, ``waiting`` or
    ``error``. ``checks`` are (kind, value found, value right), in order; ``broken`` what broke
    whatever the values; ``asked`` has, for each ``need_resched()`` that a tick could have made
    true, the line before which it would have come: (function, instruction)."""

    where: str
    stack: Stack
    checks: list[tuple[str, Value, Value]]
    broken: list[str]
    asked: list[Line]
    error: SimulationError | None = None
    lines: int = 0


@cache
def actions_at_rest(mode: str, long_mode: bool, smm: bool) -> tuple[Choice, ...]:
    """What can happen to a thread at rest."""
    other = "off" if long_mode else "on"
    if mode == "user":
        verbs = [*USER_VERBS] + ([] if smm else [f"set-efer long-mode {other}"])
    else:
        verbs = [*GUEST_VERBS, f"guest long-mode {other}", "guest rsm" if smm else "guest smi"]
        verbs += ["guest swapgs"] if long_mode else []
    actions = (
        Choice("action", verb, value)
        for verb in verbs
        for value in ((FIRST, SECOND) if verb in WRITES else (None,))
    )
    return (*actions, OUT)
