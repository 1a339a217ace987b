"""Keeping what each step did: cheap while running, turned into views' Steps afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from vmxsim.model.machine import Machine
from vmxsim.program.ir import Instruction


@define(eq=False)
class Record:
    """One step as it ran. ``stack`` is the continuation before it (its top is the line
    that ran), None for a step that is no kernel line: then ``function`` and ``source``
    say what it was. ``after`` is the continuation behind it, ``state`` the CPU's
    preempt_count, interrupts off, and the task's mode then."""

    action: int
    thread: str
    cpu: int
    mode: str
    stack: Any
    function: str = ""
    source: str = ""
    after: Any = None
    state: tuple[int, bool, str] = (0, False, "")
    changes: tuple[tuple[str, str, Any, Any], ...] = ()
    accesses: tuple[tuple[str, int, int], ...] = ()
    operations: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    violations: list[tuple[str, str]] | None = None

    @property
    def instruction(self) -> Instruction | None:
        """The instruction that ran."""
        return None if self.stack is None else self.stack[0].instructions[self.stack[1]]


@define(eq=False)
class Recorder:
    """The steps of a run so far. ``action`` counts from 0; -1 before the first."""

    records: list[Record] = field(factory=list, init=False)
    action: int = field(default=-1, init=False)
    pending_notes: list[str] = field(factory=list, init=False)
    broken: set[tuple[int, str, str]] = field(factory=set, init=False)

    def keep(self, record: Record, m: Machine) -> None:
        """Take over what the machine collected during the step."""
        if m.log:
            record.changes = tuple(m.log)
            m.log.clear()
        if m.accesses:
            record.accesses = tuple(m.accesses)
            m.accesses.clear()
        if m.operations:
            record.operations = tuple(m.operations)
            m.operations.clear()
        if self.pending_notes:
            record.notes = tuple(self.pending_notes)
            self.pending_notes.clear()
        self.records.append(record)

    def note(self, text: str) -> None:
        """Say something at the next step."""
        self.pending_notes.append(text)

    def break_invariants(self, record: Record, found: Iterable[tuple[str, str, str]]) -> None:
        """Keep each broken invariant once an action, at the first step that broke it."""
        for invariant, subject, words in found:
            key = (record.action, invariant, subject)
            if key not in self.broken:
                self.broken.add(key)
                record.violations = [*(record.violations or []), (invariant, words)]
