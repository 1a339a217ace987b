"""A thread's state in two parts: *control*, a tuple, and *data*, the values in its slots.

Control is everything that decides what happens next: the stack with its values taken out,
the modes, flags and EFER. Data is three bits a slot in one integer: the slots of
:data:`~vmxsim.checker.values.SLOTS`, then the values among the stack's locals, outermost
function first.
"""

from __future__ import annotations

from typing import Any

from vmxsim.checker.values import BITS, SLOTS
from vmxsim.errors import SimulationError
from vmxsim.model.value import Value
from vmxsim.program.thread import Stack

#: Slots for values among the stack's locals.
LOCAL_SLOTS = 5
ALL_SLOTS = len(SLOTS) + LOCAL_SLOTS
#: In an integer of data the constants stand above the slots: value v at bit CONSTANTS + 3 v.
CONSTANTS = BITS * ALL_SLOTS
DATA_MASK = (1 << CONSTANTS) - 1
CONSTANT_BITS = sum(v << (CONSTANTS + BITS * v) for v in range(1 << BITS))


class Hole:
    """Stands in a stack where a value was: the n-th, from the outermost function."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"<value {self.number}>"


HOLES = tuple(Hole(n) for n in range(LOCAL_SLOTS))


def take_out(stack: Stack) -> tuple[Stack, list[Value]]:
    """The stack with a hole for each value, and the values.

    Raises SimulationError for more values than there are slots.
    """
    if stack is None:
        return None, []
    function, index, frame, caller = stack
    caller, values = take_out(caller)
    if any(isinstance(one, Value) for one in frame):
        frame = tuple(_hole(one, values, function.name) for one in frame)
    return (function, index, frame, caller), values


def _hole(one: Any, values: list[Value], function: str) -> Any:
    if not isinstance(one, Value):
        return one
    if len(values) == LOCAL_SLOTS:
        raise SimulationError(
            f"more than {LOCAL_SLOTS} variables of nested functions hold a value of the register: the checker"
            " follows no more",
            function,
        )
    values.append(one)
    return HOLES[len(values) - 1]


def put_in(stack: Stack, values: list[Value]) -> Stack:
    """The stack with its holes filled."""
    if stack is None:
        return None
    function, index, frame, caller = stack
    if any(isinstance(one, Hole) for one in frame):
        frame = tuple(values[one.number] if isinstance(one, Hole) else one for one in frame)
    return (function, index, frame, put_in(caller, values))


def pack(numbers: list[int]) -> int:
    """Numbers of values, one a slot, as one integer."""
    return sum(number << (BITS * slot) for slot, number in enumerate(numbers))


def unpack(data: int) -> list[int]:
    """The numbers of the values in all slots."""
    return [data >> (BITS * slot) & 7 for slot in range(ALL_SLOTS)]
