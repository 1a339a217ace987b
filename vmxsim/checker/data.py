"""What transitions do to the data, and what they break, on plain integers."""

from __future__ import annotations

from functools import cache

from vmxsim.checker.control import Control
from vmxsim.checker.footprints import BROKEN, IDENTITY, Effect
from vmxsim.checker.sections import HOST_CHECK
from vmxsim.checker.state import ALL_SLOTS, CONSTANT_BITS
from vmxsim.checker.values import BITS, HOST, PLAIN
from vmxsim.model.value import Value


def breach_table(values: tuple[Value, ...]) -> dict[str, list[int]]:
    """For each kind of check: what (found, right), as found + 8 right, breaks."""
    guest, host = [], []
    for right in values:
        for found in values:
            wrong = found.number != right.number
            leaks = found.owner in (values[HOST].owner, values[PLAIN].owner)
            guest.append(wrong * (BROKEN["guest-value"] + leaks * BROKEN["no-leak"]))
            leaked = found.owner.startswith("vcpu")
            host.append(wrong * (BROKEN["host-value"] + leaked * BROKEN["no-leak"]))
    return {"guest": guest, HOST_CHECK: host}


class Doer:
    """One :class:`~vmxsim.checker.footprints.Effect`, ready to be applied to integers of data."""

    def __init__(self, effect: Effect, table: dict[str, list[int]]) -> None:
        self.effect, self._table = effect, table
        self._changed = [
            (source, BITS * slot)
            for slot, source in enumerate(effect.moves)
            if source != IDENTITY[slot]
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


def make_doers(control: Control) -> list[Doer]:
    """The effects of a control table, by number, ready to be applied."""
    table = breach_table(control.values)
    return [Doer(effect, table) for effect in control.effects]
