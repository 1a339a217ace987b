"""What happened: the one thing every view reads.

A :class:`Trace` is a list of steps and, for each point between them, a :class:`Scene`:
every place that can hold a value of KERNEL_GS_BASE, whose value it holds, and what that
value is worth now. The simulator makes one (``vmxsim.run``), a recorded ftrace makes one
(``vmxsim.replay``); pictures, words, tables, timelines and widgets read nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from vmxsim.model.value import Value

#: What a cell's value is worth now. ``live``: the one that counts. ``copy``: equal to the
#: live one. ``stale``: its owner's, but no longer the owner's true value. ``foreign``: it
#: stands where another owner's value should be. ``unused``: nothing reads it now.
#: ``unknown``: the recording does not tell.
STATUSES = ("live", "copy", "stale", "foreign", "unused", "unknown")


@frozen
class Cell:
    """A place that can hold a value of the register.

    ``place`` is its stable id (``cpu0.kernel_gs_base``, ``vcpu0.g``, ``vcpu0.h``,
    ``vcpu0.gs_base``, ``thread0.gs_base``, ``plain.gs_base``); ``label`` is what the
    kernel of this design calls it; ``value`` is None where nothing was ever stored or
    the recording does not tell.
    """

    place: str
    label: str
    value: Value | None
    status: str


@frozen
class Box:
    """A CPU, a ``struct vcpu_vmx`` or a task. ``kind`` is ``cpu``, ``vcpu`` or ``task``.

    ``facts`` are (name, value) pairs: which task runs, preempt_count, EFER.LMA, ...
    The same names come in the same order in every scene of a trace.
    """

    id: str
    kind: str

    @property
    def title(self) -> str:
        """What this is, in a line."""
        ...

    @property
    def subtitle(self) -> str:
        """The design and host width, or what a recording fits."""
        ...

    @property
    def actions(self) -> Sequence[str]:
        """The scenario's actions as text; a recording groups its events in the same way."""
        ...

    @property
    def steps(self) -> Sequence[Step]:
        """Every step, in order."""
        ...

    @property
    def violations(self) -> Sequence[Violation]:
        """Every broken invariant, in order."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Things said about the whole: anachronisms, lost events, points not reached."""
        ...

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps: 0 is the start, ``len(steps)`` the end."""
        ...

    def listing(self, function: str) -> Sequence[str]:
        """The function's source lines, line 1 first; empty where there is none."""
        ...
