"""A position as one of the checker's states, so that the checker can be asked how to go on from it."""

from __future__ import annotations

from typing import Any

from vmxsim.checker.control import Control
from vmxsim.checker.state import ALL_SLOTS, CONSTANTS, pack, take_out
from vmxsim.checker.tracing import SLOT_FIELDS
from vmxsim.checker.values import RESET
from vmxsim.errors import SimulationError
from vmxsim.game.position import Position

#: What nothing depends on any more once an action is over, and the value it has in the checker then. In
#: the simulator some of it is left over, into the next action.
_OVER = {
    ("vcpu0", "exit_reason"): "",
    ("thread0", "signal_pending"): False,
    ("vcpu0", "msr_data"): None,
}
_NO_EXIT = {("vcpu0", "exit_reason"): ""}
_NO_SMM = {("vcpu0", "smram_efer"): 0, ("vcpu0", "smram_cr0"): 0}


class Packer:
    """Finds positions among the states of a control table."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._states = {state: number for number, state in enumerate(control.states)}
        self._stacks = {stack: number for number, stack in enumerate(control.stacks)}
        self._numbers = {(v.number, v.owner): number for number, v in enumerate(control.values)}

    def pack(self, at: Position, guest_wrote: bool) -> int | None:
        """The packed state; None where the checker has none, as in the middle of what it takes for one
        step. ``guest_wrote``: the guest wrote a value in long mode before."""
        fields: dict[tuple[str, str], Any] = at.fields()
        fields |= {
            ("thread0", "waiting"): at.waits,
            ("vcpu0", "script"): "",
            ("vcpu0", "guest_wrote"): guest_wrote,
        }
        if at.at_rest:
            fields |= _OVER
        no_smm = {} if at.smm else _NO_SMM
        try:
            stack, locals_ = take_out(at.continuation)
            slots = [self._number(fields[name]) for name in SLOT_FIELDS] + [*map(self._number, locals_)]
            for left_over in ({}, _NO_EXIT, no_smm, _NO_EXIT | no_smm):
                number = self._state(self._stacks[stack], fields | left_over)
                if number is not None:
                    return (number << CONSTANTS) | pack(slots + [RESET] * (ALL_SLOTS - len(slots)))
        except (KeyError, SimulationError):
            pass
        return None

    def _state(self, stack: int, fields: dict[tuple[str, str], Any]) -> int | None:
        return self._states.get((stack, *(fields.get(name, 0) for name in self._control.fields)))

    def _number(self, value: Any) -> int:
        return RESET if value is None else self._numbers[value.number, value.owner]
