"""What must be reached at least once for a pass to mean something (*sometimes* properties).

Each is told from one transition: the control state before, the choice, the state after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vmxsim.checker.control import Control, Edge
from vmxsim.model.registers import EFER_LMA


class _Look:
    """One transition of a control table, in words."""

    def __init__(self, control: Control, edge: Edge) -> None:
        self._control = control
        self.before = control.states[edge.source]
        self.after = control.states[edge.target] if edge.target >= 0 else self.before
        self.choice = edge.leaf.choice

    def get(self, state: Any, name: str, holder: str = "vcpu0") -> Any:
        return self._control.get(state, holder, name)

    def long_mode(self, state: Any) -> bool:
        return bool(self.get(state, "efer") & EFER_LMA)

    @property
    def loaded(self) -> bool:
        """Guest state is loaded before."""
        return bool(self.get(self.before, "loaded"))

    @property
    def mode(self) -> str:
        return str(self.get(self.before, "mode", "thread0"))

    def does(self, verb: str) -> bool:
        return self.choice.verb == verb


SOMETIMES: dict[str, Callable[[_Look], bool]] = {
    "loaded in long mode and preempted": (
        lambda x: x.choice.kind == "out" and x.loaded and x.long_mode(x.before)
    ),
    "loaded outside long mode and preempted": (
        lambda x: x.choice.kind == "out" and x.loaded and not x.long_mode(x.before)
    ),
    "preempted inside the kernel while loaded": (
        lambda x: x.choice.kind == "out" and x.loaded and x.mode == "kernel"
    ),
    "a tick seen only by need_resched()": lambda x: x.choice.pending > 0,
    "set out to enter long mode while loaded": lambda x: x.does("guest long-mode on") and x.loaded,
    "set out to leave long mode while loaded": lambda x: x.does("guest long-mode off") and x.loaded,
    "EFER.LMA set": lambda x: x.long_mode(x.after) and not x.long_mode(x.before),
    "EFER.LMA cleared": lambda x: x.long_mode(x.before) and not x.long_mode(x.after),
    "guest read the register": lambda x: x.does("guest rdmsr"),
    "guest wrote the register": lambda x: x.does("guest wrmsr"),
    "SWAPGS in the guest": lambda x: x.does("guest swapgs"),
    "KVM emulated a write while loaded": lambda x: x.does("emulate wrmsr") and x.loaded,
    "KVM_RUN cancelled with state loaded": (
        lambda x: x.loaded and bool(x.get(x.before, "signal_pending", "thread0"))
    ),
    "SMI while loaded in long mode": lambda x: x.does("guest smi") and x.loaded and x.long_mode(x.before),
    "RSM back into long mode": (
        lambda x: bool(x.get(x.before, "smram_efer")) and not x.long_mode(x.before) and x.long_mode(x.after)
        and not x.get(x.before, "smm")
    ),
    "KVM_GET_MSRS": lambda x: x.does("get-msr"),
    "KVM_SET_SREGS changed long mode": lambda x: x.choice.verb.startswith("set-efer"),
}  # fmt: skip


def reached(control: Control, taken: Sequence[bool]) -> dict[str, bool]:
    """Which of them some transition that was taken shows."""
    found = dict.fromkeys(SOMETIMES, False)
    missing = set(SOMETIMES)
    for number, edge in enumerate(control.edges):
        if not missing:
            break
        if taken[number]:
            look = _Look(control, edge)
            for name in [name for name in missing if SOMETIMES[name](look)]:
                found[name] = True
                missing.discard(name)
    return found
