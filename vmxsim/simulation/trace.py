"""What happened: the one thing every view reads.

A :class:`Trace` is a list of steps and, for each point between them, a :class:`Scene`:
every place that can hold a value of KERNEL_GS_BASE, whose value it holds, and what that
value is worth now. The simulator makes one (``vmxsim.run``), a recorded ftrace makes one
(``vmxsim.replay``); pictures, words, tables, timelines and widgets read nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen

from vmxsim.errors import printable
from vmxsim.kernel.machine import Value
from vmxsim.kernel.program import Function, SourceLine

#: What ★ means, everywhere. A bug is when KVM looks elsewhere.
STAR = "the place that holds the owner's true value; if several do, the one KVM would use now"

#: What a cell's value is worth now. ``live``: it is the owner's ★. ``copy``: equal to the
#: live one. ``stale``: its owner's, but no longer the owner's true value. ``foreign``: it
#: stands where another owner's value should be. ``unused``: nothing reads it now.
#: ``unknown``: the recording does not tell.
STATUSES = ("live", "copy", "stale", "foreign", "unused", "unknown")


@frozen
class Cell:
    """A place that can hold a value of the register.

    ``place`` is its stable id (``cpu0.kernel_gs_base``, ``vcpu0.g``, ``vcpu0.h``,
    ``vcpu0.gs_base``, ``thread0.gs_base``, ``plain.gs_base``); ``label`` is what the
    kernel of this design calls it; ``value`` is None if nothing was ever stored or
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
    The same names come in the same order in every scene of a trace. ``task`` and ``mode``
    (``kernel``, ``guest`` or ``user``) say what a CPU runs, and where; '' if unknown.
    """

    id: str
    kind: str
    title: str
    facts: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]
    task: str = ""
    mode: str = ""


@frozen
class Scene:
    """The whole machine between two steps. ``dangers``: what would go wrong if the guest
    or user space ran now, as (invariant, sentence) pairs; empty when nothing would."""

    boxes: tuple[Box, ...]
    dangers: tuple[tuple[str, str], ...] = ()

    def cells(self) -> dict[str, Cell]:
        """All cells by place."""
        return {cell.place: cell for box in self.boxes for cell in box.cells}


class Frame(SourceLine):
    """One level of a call stack: function and line (0: not known)."""

    __slots__ = ()


@frozen
class Change:
    """A place that a step changed. ``before``/``after`` are Values for cells, plain
    numbers, words or None for other fields."""

    place: str
    before: Any
    after: Any


@frozen
class Access:
    """One access of KERNEL_GS_BASE. ``kind``: ``rdmsr``, ``wrmsr``, ``load_gs_index``,
    ``ctxsw``, ``guest_rdmsr``, ``guest_wrmsr``, ``guest_swapgs``, ``user`` (user space changes its GS
    base). ``value`` is what was
    read or what the register holds now; None if a recording does not tell."""

    kind: str
    cpu: int
    value: int | None


@frozen
class Move:
    """A value on its way, drawn as an arrow from place to place (cells' ids).

    ``source`` or ``target`` is '' where the value comes from or goes to no cell (an
    immediate operand, a processor's general registers); ``both`` is true for SWAPGS,
    which exchanges the two places."""

    kind: str
    source: str
    target: str
    both: bool = False


@frozen
class Violation:
    """An invariant broken at action ``action`` (from 0), with the reason in words.

    ``invariant``: ``guest-value``, ``host-value``, ``no-leak``, ``no-host-fault``, or
    ``expectation`` for an arrow that was not met."""

    action: int
    invariant: str
    words: str
    step: int = -1


#: Calls in a recording that matter even if nothing follows from them: that one does nothing may be the point.
LAZY = ("enter", "leave")


@frozen
class Step:
    """One step: one line of a kernel function, one guest instruction, one context
    switch, or one event of a recording.

    ``function``, ``line`` and ``source`` say which line ran (``file`` and ``first`` as in
    :class:`~vmxsim.kernel.program.SourceLine`), ``kind`` is that of its instruction (in a recording, one of
    :data:`LAZY` where that function was called), and ``calls`` are the primitives that it calls. ``stack`` is
    the call stack with that line innermost (last). ``next`` is where this thread goes on, if it is in the
    kernel. ``mode`` is where the thread was: ``kernel``, ``guest`` or ``user``.
    ``preemptible`` says whether the scheduler may act right after this step. ``held_back`` says what keeps
    it from that, and ``until`` what becomes of a tick. ``cost`` counts operations by name.
    """

    index: int
    action: int
    thread: str
    cpu: int
    mode: str
    function: str
    line: int
    source: str
    stack: tuple[Frame, ...] = ()
    next: Frame | None = None
    changes: tuple[Change, ...] = ()
    accesses: tuple[Access, ...] = ()
    moves: tuple[Move, ...] = ()
    preemptible: bool = False
    held_back: str = ""
    until: str = ""
    cost: Mapping[str, int] = field(factory=dict)
    notes: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    file: str = ""
    first: int = 1
    kind: str = ""
    calls: tuple[str, ...] = ()

    @property
    def at(self) -> SourceLine:
        """The line that ran."""
        return SourceLine(self.function, self.line, self.file, self.first)

    @property
    def why_not(self) -> str:
        """Why the scheduler may not act right after this step."""
        return ": ".join(filter(None, (self.held_back, self.until)))


class Listing(tuple[str, ...]):
    """A kernel function's source lines, line 1 first, with the ``function`` itself."""

    function: Function

    def __new__(cls, function: Function) -> Listing:
        """The lines of ``function``."""
        made = super().__new__(cls, function.source)
        made.function = function
        return made


def function_of(listing: Sequence[str]) -> Function | None:
    """The function that a listing shows; None if it is not known."""
    return listing.function if isinstance(listing, Listing) else None


class Trace(Protocol):
    """What views may ask of a run or of a recording."""

    @property
    def title(self) -> str:
        """What this is, in a line."""

    @property
    def name(self) -> str:
        """What to call this next to another trace: its design."""

    @property
    def subtitle(self) -> str:
        """The design and host width, or what a recording fits."""

    @property
    def actions(self) -> Sequence[str]:
        """The scenario's actions as text; a recording groups its events in the same way."""

    @property
    def steps(self) -> Sequence[Step]:
        """Every step, in order."""

    @property
    def violations(self) -> Sequence[Violation]:
        """Every broken invariant, in order."""

    @property
    def notes(self) -> Sequence[str]:
        """Things said about the whole: anachronisms, lost events, points not reached."""

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps: 0 is the start, ``len(steps)`` the end."""

    def listing(self, function: str) -> Sequence[str]:
        """The function's source lines, line 1 first; empty if there is none. A run gives a Listing."""


def action_name(trace: Trace, action: int) -> str:
    """How text names an action, given its index: ``action 3 (guest rdmsr)``, counted from 1."""
    text, _, _ = trace.actions[action].partition("->")
    return f"action {action + 1} ({printable(text.strip())})"


#: Steps that the browser gets at once: a film of more is slow to send and hard to aim at.
LENGTH = 400


class Window:
    """A stretch of a trace as a trace of its own: steps ``first`` (from 0) up to ``last``."""

    def __init__(self, trace: Trace, first: int, last: int) -> None:
        steps = trace.steps[first:last]
        self._trace = trace
        self._first = first
        action = steps[0].action if steps else 0
        self.title, self.name, self.subtitle = trace.title, trace.name, trace.subtitle
        self.actions: Sequence[str] = trace.actions[action : steps[-1].action + 1] if steps else ()
        self.steps: Sequence[Step] = [
            evolve(step, index=index, action=step.action - action) for index, step in enumerate(steps)
        ]
        self.violations: Sequence[Violation] = [v for step in steps for v in step.violations]
        self.notes = trace.notes

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps of this window."""
        return self._trace.scene(self._first + index)

    def listing(self, function: str) -> Sequence[str]:
        """The function's source lines."""
        return self._trace.listing(function)


def windows(trace: Trace, length: int = LENGTH) -> list[tuple[int, int]]:
    """(first, last) of the stretches that make up the trace; at least one."""
    total = len(trace.steps)
    return [(first, min(first + length, total)) for first in range(0, total, length)] or [(0, 0)]
