"""The time from one *enter* to the *leave* after it, and what accesses in it are for."""

from __future__ import annotations

from attrs import define, field

from vmxsim.ftrace.events import Event
from vmxsim.ftrace.findings import Finding

#: What an access of the register was for; the views and the table use these words.
ROLES = {
    "enter-save": "enter saves the host's value (h = register)",
    "enter-load": "enter loads the guest's value (register = g)",
    "leave-save": "leave saves the guest's value (g = register)",
    "leave-restore": "leave restores the host's value (register = h)",
    "read": "accessor reads the guest's value from the register",
    "write": "accessor writes the guest's value to the register",
    "switch": "the context switch loads the next task's user GS base",
    "host": "the task accesses its own user GS base (arch_prctl)",
    "unknown": "what for is not known: events are missing around it",
}


@define
class Residence:
    """The time from one *enter* to the *leave* after it."""

    #: enter wrote nothing: the register holds what the host left in it. None: not known.
    silent: bool | None = None
    #: The thread's user GS base, as enter saved it or leave restored it.
    host: int | None = None
    #: The same, where enter read it from the register.
    read_host: int | None = None
    findings: list[Finding] = field(factory=list)
    #: Reads while the register should still hold what was there at enter, to compare with ``host``.
    reads: list[tuple[Event, int]] = field(factory=list)
    #: The guest ran, and whether its accesses were passed through is not known.
    unsure: bool = False
    #: The guest's true value before it last ran with access passed through.
    before: int | None = None


def words(accesses: list[Event]) -> str:
    """``rw`` for a read followed by a write."""
    return "".join("r" if event.kind == "rdmsr" else "w" for event in accesses)
