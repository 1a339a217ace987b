"""A path as a scenario: actions, and ticks inside the kernel named by the line they come before."""

from __future__ import annotations

from typing import Any

from vmxsim.checker.choices import Choice, Line
from vmxsim.checker.control import Control
from vmxsim.checker.search import Path
from vmxsim.checker.state import CONSTANTS
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.points import is_before
from vmxsim.model.primitive import PRIMITIVES
from vmxsim.model.registers import EFER_LMA
from vmxsim.program.ir import Function, Instruction
from vmxsim.program.thread import Stack
from vmxsim.scenario import Scenario, make_scenario

#: Primitives that name a point well, most telling first.
_TELLING = ("rdmsr", "wrmsr", "load_gs_index", "preempt_disable", "preempt_enable", "local_irq_disable")


def scenario_of(
    path: Path,
    control: Control,
    design: type[Kvm],
    *,
    cpus: int,
    vcpus: int,
    interception: str = "rule",
    title: str = "",
) -> Scenario:
    """The scenario that follows ``path``; run on ``design``, it breaks the same invariant."""
    steps: list[Any] = []
    passed: list[Stack] = []  # scheduling points in the kernel that this action came to
    asked: list[Line] = []  # lines just before need_resched() that it ran
    for state, edge in path.transitions:
        choice, stack = edge.leaf.choice, control.stacks[control.states[state >> CONSTANTS][0]]
        if edge.at_rest:
            passed, asked = [], []
            steps.append(action_text(edge.leaf.choice, control))
        elif choice.kind == "out":
            passed.append(stack)
            _add_point(steps, _point(stack, passed))
        elif choice.pending:
            passed.append(stack)
            _add_point(steps, _pending_point(edge.leaf.asked[-1], [*asked, *edge.leaf.asked[:-1]]))
        elif choice.kind == "step":
            passed.append(stack)
        asked += edge.leaf.asked
    first = control.states[path.start >> CONSTANTS]
    return make_scenario(
        steps,
        title=title,
        design=design.id or None,
        host=f"{control.bits}-bit",
        long_mode=bool(control.get(first, "vcpu0", "efer") & EFER_LMA),
        cpus=cpus,
        vcpus=vcpus,
        interception=interception,
    )


def action_text(choice: Choice, control: Control) -> str:
    """How a scenario writes a choice at rest."""
    if choice.kind == "out":
        return "preempt cpu0"
    if choice.value is None:
        return choice.verb
    return f"{choice.verb} {hexadecimal(control.values[choice.value].number)}"


def hexadecimal(number: int) -> str:
    """A value as scenarios write it."""
    return f"0x{number:X}"


def _add_point(steps: list[Any], point: dict[str, Any]) -> None:
    last = steps[-1]
    if isinstance(last, str):
        steps[-1] = {last: {"preempt": point}}
        return
    (action,) = last
    points = last[action]["preempt"]
    last[action]["preempt"] = [*(points if isinstance(points, list) else [points]), point]


def _point(stack: Stack, passed: list[Stack]) -> dict[str, Any]:
    """The preemption point before the stack's next line, the last of ``passed``."""
    function, index = stack[0], stack[1]
    before = _name(function, function.instructions[index])
    came = [(one[0].name, one[0].instructions[one[1]]) for one in passed]
    nth = sum(name == function.name and is_before(i, before) for name, i in came)
    return {"before": before, "in": function.name} | ({"nth": nth} if nth > 1 else {})


def _pending_point(line: Line, asked: list[Line]) -> dict[str, Any]:
    """The point before a line that preemption cannot come to, ``asked`` being those before it."""
    function, index = line
    instruction = function.instructions[index]
    before = _name(function, instruction)
    if sum(is_before(i, before) for i in function.instructions) > 1:
        before = f"line {instruction.line}"
    nth = 1 + sum(f.name == function.name and is_before(f.instructions[n], before) for f, n in asked)
    return {"before": before, "in": function.name} | ({"nth": nth} if nth > 1 else {})


def _name(function: Function, i: Instruction) -> str:
    """What to call the point before an instruction: a primitive if it calls one, else its line."""
    called = [i.callee.name] if i.callee else []
    for name in (*_TELLING, *called):
        if name in PRIMITIVES and is_before(i, name):
            return name
    return f"line {i.line}"
