"""Turn a counterexample into a scenario, and explain why it breaks an invariant."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vmxsim.checker.search import Path
from vmxsim.checker.states import CONSTANTS
from vmxsim.checker.symbolic import Choice, Line
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.invariants import describe, is_host
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import EFER_LMA, Machine, Value, owner_words
from vmxsim.kernel.program import Function, Instruction
from vmxsim.kernel.simulator import is_before
from vmxsim.kernel.thread import Stack
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import Scenario, make_scenario
from vmxsim.simulation.trace import Change, Step, Violation, action_name


@frozen
class Explanation:
    """Why a run breaks an invariant."""

    #: A short name for what goes wrong.
    mechanism: str
    #: What was expected and what was found.
    found: str
    #: Index of the step that loses the value (from 0), -1 if there is none.
    step: int
    #: That step in words, and why it loses the value; '' if there is no such step.
    where: str = ""
    why: str = ""

    @property
    def words(self) -> str:
        """The whole explanation as sentences."""
        if not self.where:
            return self.found
        return f"{self.found.rstrip('.')}. Lost at {self.where}: {self.why}"


def explain(trace: RunTrace, invariant: str) -> Explanation | None:
    """Why a run first breaks ``invariant``; None if it does not."""
    violation = next((v for v in trace.violations if v.invariant == invariant), None)
    if violation is None:
        return None
    if invariant == "no-host-fault":
        return Explanation("the host writes a non-canonical address", violation.words, violation.step)
    side = _Guest(trace, violation) if _is_guests(trace, violation) else _Host(trace, violation)
    index = side.lost()
    if index < 0:
        found = f"{violation.words.rstrip('.')}. No step put the right value where it is needed."
        return Explanation("the value is not put where it counts", found, -1)
    index = side.cause(index)
    step = trace.steps[index]
    mechanism, reason = side.reason(step, index)
    where = f"{step.function}, line {step.line}" if step.line else step.function
    place = f"step {index + 1} of the run ({where}: {step.source}), at {action_name(trace, step.action)}"
    return Explanation(mechanism, violation.words, index, place, reason)


def _is_guests(trace: RunTrace, violation: Violation) -> bool:
    """Whether the guest, not a host task, finds a wrong value."""
    step = trace.steps[violation.step]
    others = {v.invariant for v in step.violations}
    return violation.invariant == "guest-value" or "host-value" not in others


class _Side:
    """The side whose value is wrong: where the value should be and where it is during the run."""

    def __init__(self, trace: RunTrace, violation: Violation) -> None:
        self.trace, self.violation = trace, violation
        self.n = trace.scenario.actions[violation.action].vcpu

    def right(self, m: Machine) -> Value:
        """The value that it should find."""
        raise NotImplementedError

    def found(self, m: Machine) -> Value:
        """The value that it would find now."""
        raise NotImplementedError

    def places(self, m: Machine) -> list[Value]:
        """The contents of the places that can hold the value."""
        raise NotImplementedError

    def lost(self) -> int:
        """The step after which the value is gone, or no longer where it counts; -1 if none."""
        last = self.violation.step + 1
        right = self.right(self.trace.machine(last))
        nowhere = right not in self.places(self.trace.machine(last))
        for index in range(last - 1, -1, -1):
            m = self.trace.machine(index)
            if self.right(m) != right:
                continue  # the guest has not written it yet, or moves it itself
            if right in self.places(m) if nowhere else self.found(m) == right:
                return index
        return -1

    def cause(self, index: int) -> int:
        """If a step saves a wrong register over the value: the step that made the register wrong,
        provided the same function did so just before."""
        step = self.trace.steps[index]
        if not any(c.place.endswith(".g") for c in step.changes) or not step.accesses:
            return index
        right = self.right(self.trace.machine(index + 1))
        for before in range(index - 1, -1, -1):
            earlier = self.trace.steps[before]
            if (earlier.action, earlier.function) != (step.action, step.function):
                break
            if self.trace.machine(before).cpus[step.cpu].kernel_gs_base == right:
                return before
        return index

    def reason(self, step: Step, index: int) -> tuple[str, str]:
        """The mechanism by which a step loses the value, and the reason in words."""
        lma = _lma_change(step)
        held = self.trace.machine(index).cpus[step.cpu].kernel_gs_base
        if lma:
            return self.mode_change(lma > 0, held, step)
        overwritten = next((c for c in step.changes if c.place.rsplit(".", 1)[-1] in _PLACES), None)
        if any(access.kind == "load_gs_index" for access in step.accesses):
            return (
                "load_gs_index() overwrites the register",
                "it leaves the descriptor's base in the register before its value is saved.",
            )
        if overwritten is not None and isinstance(overwritten.after, Value):
            return self.overwritten(overwritten, step)
        return (
            "the register is left as it is",
            f"from here on the register counts, and it holds {describe(held)}.",
        )

    def mode_change(self, on: bool, held: Value, step: Step) -> tuple[str, str]:
        """The same for a step that changes EFER.LMA while guest state is loaded."""
        action = self.trace.scenario.actions[step.action].text
        if not on:
            return self.mode_left(held)
        nothing = "EFER.LMA is set while guest state is loaded, and nothing is loaded with it: from here on"
        if not is_host(held):
            return (
                "a value written outside long mode is lost",
                f"{nothing} the register counts. It still holds {describe(held)}; the value written outside"
                " long mode went only to the saved copy.",
            )
        if action.startswith("guest rsm"):
            return (
                "RSM sets LMA after state was left in SMM",
                f"{nothing} the register counts. SMI cleared LMA, so guest state was unloaded and loaded"
                f" again without the register before RSM set LMA: it holds {describe(held)}.",
            )
        return (
            "nothing is loaded when LMA is set",
            f"{nothing} the register counts, and it holds {describe(held)}.",
        )

    def mode_left(self, held: Value) -> tuple[str, str]:
        """The same for a step that clears EFER.LMA."""
        return (
            "LMA is changed before state is left",
            "EFER.LMA is cleared while guest state is loaded; the code that unloads it tests LMA and now"
            f" skips the register, which holds {describe(held)}.",
        )

    def named(self, place: str) -> str:
        """The design's own name for a place."""
        if place == "kernel_gs_base":
            return f"MSR_{place.upper()}"
        return str(self.trace.design.labels.get(place, place))

    def preempted(self, step: Step) -> bool:
        """Whether a context switch came before this step in its action, outside scheduler code."""
        earlier = self.trace.steps[: step.index]
        switched = any(
            s.action == step.action and any(a.kind == "ctxsw" for a in s.accesses) for s in earlier
        )
        return switched and not any(frame.function == "preempt_schedule_irq" for frame in step.stack)

    def overwritten(self, change: Change, step: Step) -> tuple[str, str]:
        """The same for a step that overwrites a place that held the value."""
        place = change.place.rsplit(".", 1)[-1]
        value: Value = change.after
        whose = owner_words(value.owner)
        if self.preempted(step):
            return (
                "preempted between the test and the access",
                f"{step.thread} was preempted during this action, which unloaded guest state; this line"
                f" continues as if it were still loaded, and {self.named(place)} becomes"
                f" {describe(value)}.",
            )
        if place == "g":
            first = next((s for s in self.trace.steps if s.action == step.action and _lma_change(s)), None)
            if first is not None and first.index < step.index:
                return (
                    "LMA is changed before state is left",
                    f"EFER.LMA changed earlier (step {first.index + 1}, {first.function}, line {first.line}),"
                    f" so the code that unloads guest state saves {describe(value)} from the register as"
                    " the guest's.",
                )
            return (
                f"{whose}'s value is saved as the guest's",
                f"the saved copy is overwritten with {describe(value)}, which the register of CPU {step.cpu}"
                " held.",
            )
        if place == "h":
            return (
                f"{whose}'s value is saved as the host's",
                f"{self.named('h')} is overwritten with {describe(value)}.",
            )
        if any(access.kind == "ctxsw" for access in step.accesses):
            return (
                "a context switch takes the register",
                "the next task's own value is loaded, and the guest's was not saved.",
            )
        return (
            f"{whose}'s value is written to the register",
            f"the register of CPU {step.cpu} is overwritten with {describe(value)}.",
        )


_PLACES = ("kernel_gs_base", "g", "h")


def _lma_change(step: Step) -> int:
    """1 where the step sets EFER.LMA, -1 where it clears it, else 0."""
    for change in step.changes:
        if change.place.endswith(".efer"):
            return bool(change.after & EFER_LMA) - bool(change.before & EFER_LMA)
    return 0


class _Guest(_Side):
    def mode_left(self, held: Value) -> tuple[str, str]:
        return (
            "LMA is cleared before the guest's value is saved",
            "EFER.LMA is cleared while guest state is loaded: from here on the saved copy counts, and the"
            f" register, which holds {describe(held)}, was not saved into it.",
        )

    def right(self, m: Machine) -> Value:
        return m.vcpus[self.n].true_guest_value

    def found(self, m: Machine) -> Value:
        return self.trace.simulator.guest_would_read(m, m.threads[self.n], m.vcpus[self.n])[0]

    def places(self, m: Machine) -> list[Value]:
        return [m.cpus[m.threads[self.n].cpu].kernel_gs_base, m.vcpus[self.n].g]


class _Host(_Side):
    def right(self, m: Machine) -> Value:
        return m.threads[self.n].gs_base

    def found(self, m: Machine) -> Value:
        """What user space would find: h if it is still to be restored, else the register."""
        vcpu = m.vcpus[self.n]
        if self.trace.design._in_register(vcpu):
            return vcpu.h
        return m.cpus[m.threads[self.n].cpu].kernel_gs_base

    def places(self, m: Machine) -> list[Value]:
        return [m.cpus[m.threads[self.n].cpu].kernel_gs_base, m.vcpus[self.n].h]


#: Primitives that identify a preemption point well, the best first.
_TELLING = ("rdmsr", "wrmsr", "load_gs_index", "preempt_disable", "preempt_enable", "local_irq_disable")


def scenario_of(
    path: Path,
    table: TransitionTable,
    design: type[Kvm],
    *,
    cpus: int,
    vcpus: int,
    interception: str = "rule",
    title: str = "",
) -> Scenario:
    """The scenario that follows ``path``: run on ``design``, it breaks the same invariant."""
    steps: list[Any] = []
    passed: list[Stack] = []  # scheduling points in the kernel that this action has reached
    asked: list[Line] = []  # lines just before need_resched() that it ran
    for state, edge in path.transitions:
        choice, stack = edge.leaf.choice, table.stacks[table.states[state >> CONSTANTS][0]]
        if edge.at_rest:
            passed, asked = [], []
            steps.append(action_text(edge.leaf.choice, table))
        elif choice.kind == "out":
            passed.append(stack)
            _add_point(steps, _point(stack, passed))
        elif choice.pending:
            passed.append(stack)
            _add_point(steps, _pending_point(edge.leaf.asked[-1], [*asked, *edge.leaf.asked[:-1]]))
        elif choice.kind == "step":
            passed.append(stack)
        asked += edge.leaf.asked
    first = table.states[path.start >> CONSTANTS]
    return make_scenario(
        steps,
        title=title,
        design=design.id or None,
        host=f"{table.bits}-bit",
        long_mode=bool(table.get(first, "vcpu0", "efer") & EFER_LMA),
        cpus=cpus,
        vcpus=vcpus,
        interception=interception,
    )


def action_text(choice: Choice, table: TransitionTable) -> str:
    """A choice at rest as a scenario's action."""
    if choice.kind == "out":
        return "preempt cpu0"
    if choice.value is None:
        return choice.verb
    return f"{choice.verb} 0x{table.values[choice.value].number:X}"


def _add_point(steps: list[Any], point: dict[str, Any]) -> None:
    last = steps[-1]
    if isinstance(last, str):
        steps[-1] = {last: {"preempt": point}}
        return
    (action,) = last
    points = last[action]["preempt"]
    last[action]["preempt"] = [*(points if isinstance(points, list) else [points]), point]


def _point(stack: Stack, passed: list[Stack]) -> dict[str, Any]:
    """The preemption point before the stack's next line, which is the last of ``passed``."""
    function, index = stack[0], stack[1]
    before = _name(function, function.instructions[index])
    came = [(one[0].name, one[0].instructions[one[1]]) for one in passed]
    nth = sum(name == function.name and is_before(i, before) for name, i in came)
    return _as_point(before, function, nth)


def _as_point(before: str, function: Function, nth: int) -> dict[str, Any]:
    return {"before": before, "in": function.name} | ({"nth": nth} if nth > 1 else {})


def _pending_point(line: Line, asked: list[Line]) -> dict[str, Any]:
    """The point before a line with preemption disabled; ``asked`` are earlier ones of its kind."""
    function, index = line
    instruction = function.instructions[index]
    before = _name(function, instruction)
    if sum(is_before(i, before) for i in function.instructions) > 1:
        before = f"line {instruction.line}"
    nth = 1 + sum(f.name == function.name and is_before(f.instructions[n], before) for f, n in asked)
    return _as_point(before, function, nth)


def _name(function: Function, i: Instruction) -> str:
    """The name of the point before an instruction: the primitive that it calls, or its line."""
    called = [i.callee.name] if i.callee else []
    for name in (*_TELLING, *called):
        if name in PRIMITIVES and is_before(i, name):
            return name
    return f"line {i.line}"
