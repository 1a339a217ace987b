"""The Trace of a simulated run: the recorder's records, told as steps and scenes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from vmxsim.kernel.actions import Action
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.recorder import Record
from vmxsim.model.machine import Machine
from vmxsim.model.value import Value
from vmxsim.model.vcpu import Vcpu
from vmxsim.moves import moves_of
from vmxsim.scenario import Scenario
from vmxsim.scenes import Stage
from vmxsim.trace import Access, Change, Frame, Scene, Step, Violation


class RunTrace:
    """A run of ``scenario`` on ``design``. See :class:`vmxsim.trace.Trace`.

    ``results`` holds one mapping per action, with the fields of ``run --json``.
    """

    def __init__(
        self, scenario: Scenario, design: type[Kvm], environment: Environment, start: Machine
    ) -> None:
        self.scenario = scenario
        self.design = design
        self.environment = environment
        self.results: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self._start = start
        self._unmet: dict[int, str] = {}

    def __repr__(self) -> str:
        broken = dict.fromkeys(f"{v.invariant} at step {v.action}" for v in self.violations)
        verdict = ", ".join(broken) if broken else "no invariant broken"
        records = len(self.environment.records)
        return f"<{self.title}: {self.subtitle}; {len(self.actions)} actions, {records} steps; {verdict}>"

    @property
    def title(self) -> str:
        """The scenario's title, else its actions."""
        return self.scenario.title or ", ".join(self.actions)

    @property
    def subtitle(self) -> str:
        """The design and the host's width."""
        d = self.design
        release = f" ({d.release.split(' (')[0]})" if d.release else ""  # without the doubts about it
        return f"{d._name()}{release}, {self.scenario.host} host"

    @property
    def notes(self) -> Sequence[str]:
        """Things said about the whole run."""
        return self.remarks

    @property
    def actions(self) -> Sequence[str]:
        """The actions as text."""
        several = self.scenario.vcpus > 1
        return [f"vcpu{a.vcpu}: {a.text}" if several else a.text for a in self.scenario.actions]

    def expect(self, index: int, action: Action, returned: Any) -> None:
        """Hold what an action returned against its arrow."""
        found = returned.number if isinstance(returned, Value) else returned
        if found != action.expected:
            want, got = (hex(v) if isinstance(v, int) else v or "nothing" for v in (action.expected, found))
            self._unmet[index] = f"'{action.text}' returned {got}, {want} was expected"

    @property
    def violations(self) -> list[Violation]:
        """Every broken invariant and unmet arrow, in order."""
        found = []
        for number, record in enumerate(self.environment.records):
            for invariant, words in record.violations or ():
                found.append(Violation(record.action, invariant, words, number))
        last = {record.action: number for number, record in enumerate(self.environment.records)}
        for action, words in self._unmet.items():
            found.append(Violation(action, "expectation", words, last.get(action, -1)))
        return sorted(found, key=lambda v: v.action)

    @cached_property
    def steps(self) -> list[Step]:
        """Every step of the run."""
        by_step: dict[int, list[Violation]] = {}
        for violation in self.violations:
            by_step.setdefault(violation.step, []).append(violation)
        return [
            self._step(number, record, tuple(by_step.get(number, ())))
            for number, record in enumerate(self.environment.records)
        ]

    def _step(self, number: int, record: Record, violations: tuple[Violation, ...]) -> Step:
        i = record.instruction
        if i is None:
            function, line, source = record.function, 0, record.source
        else:
            function, line = record.stack[0].name, i.line
            source = record.stack[0].source[line - 1].strip()
        count, irqs_off, mode = record.state
        why_not = ""
        if irqs_off and mode == "kernel":
            why_not = "interrupts are off: a tick stays pending until they are on and preempt_enable() is met"
        elif count and mode == "kernel":
            why_not = (
                f"preemption is disabled (preempt_count {count}): a tick stays pending until preempt_enable()"
            )
        elif record.thread == "plain":
            why_not = "the plain task runs here, not a vCPU thread"
        cost: dict[str, int] = {}
        for name, times in record.operations:
            cost[name] = cost.get(name, 0) + times
        after = record.after
        return Step(
            index=number,
            action=record.action,
            thread=record.thread,
            cpu=record.cpu,
            mode=record.mode,
            function=function,
            line=line,
            source=source,
            stack=_stack(record.stack),
            next=Frame(after[0].name, after[0].instructions[after[1]].line) if after else None,
            changes=tuple(Change(f"{obj}.{name}", before, now) for obj, name, before, now in record.changes),
            accesses=tuple(Access(*access) for access in record.accesses),
            moves=moves_of(record),
            preemptible=not why_not,
            why_not=why_not,
            cost=cost,
            notes=record.notes,
            violations=violations,
        )

    @cached_property
    def _stage(self) -> Stage:
        changes = [record.changes for record in self.environment.records]
        return Stage(self.design, self._start, changes, self.environment)

    def machine(self, index: int) -> Machine:
        """The machine after ``index`` steps, stacks left out; good until the next call."""
        return self._stage.move(index)

    def passes_through(self, vcpu: Vcpu) -> bool:
        """Whether the guest's access of the register is passed through."""
        return self.environment.passes_through(vcpu)

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps."""
        return self._stage.scene(index)

    def listing(self, function: str) -> Sequence[str]:
        """The source of a kernel function of this design."""
        found = self.design.functions().get(function)
        return found.source if found else ()


def _stack(stack: Any) -> tuple[Frame, ...]:
    frames = []
    while stack is not None:
        function, index, _, stack = stack
        frames.append(Frame(function.name, function.instructions[index].line))
    return tuple(reversed(frames))
