"""A thread's state in two parts: *control*, a tuple, and *data*, the values of the register.

Control is everything that decides what happens next: modes, flags, EFER, and the stack with
a hole in place of each value. Data is one integer, three bits for each place that holds a
value (*slot*): those of :data:`SLOTS`, then the stack's locals, outermost function first.
Three bits are enough because the kernel moves these values and never computes with them.
"""

from __future__ import annotations

from typing import Any

from vmxsim.errors import SimulationError
from vmxsim.kernel.machine import NO_BASE, Value
from vmxsim.kernel.simulator import GUEST_GS_BASE, NEW_GS_BASE, USER_GS_BASE
from vmxsim.kernel.thread import Stack

#: What the guest and user space write: two values, to tell one write from another.
GUEST_VALUES = (0xA000, 0xB000)
#: Replaces the second one when non-canonical addresses are checked (invariant ``no-host-fault``).
NON_CANONICAL = 0x8000_0000_0000_0000

BITS = 3
#: HOST is always the thread's true user GS base, OTHER the one that its user space may change it to: a change
#: exchanges the two everywhere (:func:`exchange_hosts`). Nothing tells them apart otherwise, so half of the
#: states need not be explored. (For a design that looks at values the two keep their numbers, and a field of
#: the state says which one is true: :attr:`~vmxsim.checker.symbolic.Sections.base`.) No plain task's value is
#: here: none can get into a vCPU thread's register.
RESET, FIRST, SECOND, GUEST_BASE, HOST, OTHER, ZERO, UNKNOWN = range(8)

#: A thread's slots in the order in which they are packed; the locals of its stack follow.
SLOTS = (
    "kernel_gs_base",  # the register, on the CPU where the thread runs
    "g",
    "h",
    "gs_base",
    "true_guest_value",
    "true_gs_base",
    "msr_data",
    "user_gs_base",  # thread.gsbase
)
REGISTER, G, H, GS_BASE, TRUE, TRUE_BASE, MSR_DATA, USER = range(len(SLOTS))


def numbered_values(
    written: tuple[int, int] = GUEST_VALUES, bases: str = "own", vcpu: int = 0
) -> tuple[Value, ...]:
    """The values of a vCPU and its thread, by number. ``written`` are the two that the guest and user space
    write; ``bases`` is ``own`` or ``zero``."""
    guest, thread = f"vcpu{vcpu}", f"thread{vcpu}"
    return (
        Value(0, guest),
        Value(written[0], guest),
        Value(written[1], guest),
        Value(GUEST_GS_BASE[vcpu], guest),
        Value(USER_GS_BASE[vcpu] if bases == "own" else 0, thread),
        Value(NEW_GS_BASE, thread),
        NO_BASE,
        Value(0, "unknown"),
    )


#: Slots for values among the stack's locals.
LOCAL_SLOTS = 5
ALL_SLOTS = len(SLOTS) + LOCAL_SLOTS
#: Constants are added above the slots of packed data: value v at bit CONSTANTS + 3 v.
CONSTANTS = BITS * ALL_SLOTS
DATA_MASK = (1 << CONSTANTS) - 1
#: The lowest bit of every slot.
_LOWEST = sum(1 << (BITS * slot) for slot in range(ALL_SLOTS))
CONSTANT_BITS = sum(v << (CONSTANTS + BITS * v) for v in range(1 << BITS))


class Hole:
    """Replaces the n-th value of a stack, counted from the outermost function."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"<value {self.number}>"


HOLES = tuple(Hole(n) for n in range(LOCAL_SLOTS))


def take_out(stack: Stack, slots: int = LOCAL_SLOTS) -> tuple[Stack, list[Value]]:
    """The stack with a hole for each value, and the values. ``slots`` is how many there can be: values in
    fields of a design's own take some of them.

    Raises SimulationError for more values than there are slots.
    """
    if stack is None:
        return None, []
    function, index, frame, caller = stack
    caller, values = take_out(caller, slots)
    if any(isinstance(one, Value) for one in frame):
        frame = tuple(_hole(one, values, function.name, slots) for one in frame)
    return (function, index, frame, caller), values


def _hole(one: Any, values: list[Value], function: str, slots: int) -> Any:
    if not isinstance(one, Value):
        return one
    if len(values) == slots:
        raise SimulationError(
            f"more than {slots} variables of nested functions hold a value of the register, which the"
            " checker does not support",
            function,
        )
    values.append(one)
    return HOLES[len(values) - 1]


def put_in(stack: Stack, values: list[Value]) -> Stack:
    """The stack with its holes filled in."""
    if stack is None:
        return None
    function, index, frame, caller = stack
    if any(isinstance(one, Hole) for one in frame):
        frame = tuple(values[one.number] if isinstance(one, Hole) else one for one in frame)
    return (function, index, frame, put_in(caller, values))


def pack(numbers: list[int]) -> int:
    """The numbers of the values in all slots as one integer."""
    return sum(number << (BITS * slot) for slot, number in enumerate(numbers))


def exchange_hosts(data: Any) -> Any:
    """Packed data (an integer or an array) with HOST for OTHER and OTHER for HOST in every slot."""
    return data ^ (data >> 2 & ~(data >> 1) & _LOWEST)


def unpack(data: int) -> list[int]:
    """The numbers of the values in all slots."""
    return [data >> (BITS * slot) & 7 for slot in range(ALL_SLOTS)]
