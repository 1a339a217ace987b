"""What transitions do to the data, and what they break, on plain integers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from attrs import evolve

from vmxsim.checker.choices import GUEST_CHECK, HOST_CHECK
from vmxsim.checker.footprints import BROKEN, EARLY, IDENTITY, Effect
from vmxsim.checker.state import ALL_SLOTS, CONSTANT_BITS, CONSTANTS, DATA_MASK, pack, unpack
from vmxsim.checker.values import (
    BITS,
    FIRST,
    GUEST_BASE,
    HOST,
    PLAIN,
    RESET,
    SECOND,
    TRUE,
    TRUE_BASE,
)
from vmxsim.model.value import Value

if TYPE_CHECKING:
    from vmxsim.checker.control import Control, Edge

#: Kinds of checks; the last two are those of paths on which no violation counts yet.
CHECKS = (GUEST_CHECK, HOST_CHECK, f"{GUEST_CHECK} {EARLY}", f"{HOST_CHECK} {EARLY}")


def breach_table(values: tuple[Value, ...]) -> dict[str, list[int]]:
    """For each of :data:`CHECKS`: what (found, right), as found + 8 right, breaks."""
    guest, host = [], []
    for right in values:
        for found in values:
            wrong = found.number != right.number
            leaks = found.owner in (values[HOST].owner, values[PLAIN].owner)
            guest.append(wrong * (BROKEN["guest-value"] + leaks * BROKEN["no-leak"]))
            leaked = found.owner.startswith("vcpu")
            host.append(wrong * (BROKEN["host-value"] + leaked * BROKEN["no-leak"]))
    early = [[EARLY * bool(breach) for breach in codes] for codes in (guest, host)]
    return dict(zip(CHECKS, (guest, host, *early), strict=True))


class Doer:
    """One :class:`~vmxsim.checker.footprints.Effect`, ready to be applied to integers of data."""

    def __init__(self, effect: Effect, table: dict[str, list[int]]) -> None:
        self.effect, self._table = effect, table
        self._changed = [
            (source, BITS * slot) for slot, source in enumerate(effect.moves) if source != IDENTITY[slot]
        ]
        self._kept = (1 << BITS * ALL_SLOTS) - 1
        for _, at in self._changed:
            self._kept &= ~(7 << at)
        self.done = cache(self._do)

    def _do(self, data: int) -> tuple[int, int]:
        """The data afterwards, and the bits of what is broken."""
        full, broken = data | CONSTANT_BITS, self.effect.broken
        for kind, found, right in self.effect.checks:
            broken |= self._table[kind][(full >> found & 7) | (full >> right & 7) << BITS]
        after = data & self._kept
        for source, at in self._changed:
            after |= (full >> source & 7) << at
        return after, broken


def make_doers(values: tuple[Value, ...], effects: list[Effect]) -> list[Doer]:
    """Effects, ready to be applied."""
    table = breach_table(values)
    return [Doer(effect, table) for effect in effects]


#: The guest's values, which are all the same to the host.
_GUESTS = (FIRST, SECOND, GUEST_BASE)


def as_the_host_sees(effect: Effect, looks: bool) -> Effect:
    """The same effect for what the host finds alone: nobody knows the guest's true value, and its
    values are one, unless the design ``looks`` at values. Kernel code cannot see the first, and
    copies the others without a difference; so what the host finds stays the same."""
    reset = CONSTANTS + BITS * RESET
    guests = () if looks else tuple(CONSTANTS + BITS * value for value in _GUESTS)
    moves = tuple(
        reset if slot in (TRUE, TRUE_BASE) or source in guests else source
        for slot, source in enumerate(effect.moves)
    )
    return evolve(effect, moves=moves, checks=tuple(c for c in effect.checks if c[0].startswith(HOST_CHECK)))


def data_as_the_host_sees(data: int, looks: bool) -> int:
    """The same for the data at the start."""
    values = unpack(data)
    for slot, value in enumerate(values):
        if slot in (TRUE, TRUE_BASE) or (value in _GUESTS and not looks):
            values[slot] = RESET
    return pack(values)


def transitions(control: Control, doers: list[Doer], state: int) -> Iterator[tuple[Edge, int, int]]:
    """What can happen next in a packed state: the transition, the state that it leads to (-1 where
    it fails), and the bits of what it breaks."""
    number, data = state >> CONSTANTS, state & DATA_MASK
    for edge in control.edges[control.first[number] : control.first[number + 1]]:
        if data & edge.leaf.mask == edge.leaf.bits:
            after, broken = doers[edge.effect].done(data)
            yield edge, (edge.target << CONSTANTS) | after if edge.target >= 0 else -1, broken
