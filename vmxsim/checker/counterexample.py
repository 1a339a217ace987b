"""Turn a counterexample into a scenario that anybody can run."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from attrs import evolve

from vmxsim.checker.search import COMES, MAKES_ROOM, Path, Turn
from vmxsim.checker.states import CONSTANTS, HOST, OTHER, numbered_values
from vmxsim.checker.symbolic import USER_GS_BASE, Choice, Line
from vmxsim.checker.transition_table import Edge, TransitionTable
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import EFER_LMA
from vmxsim.kernel.points import is_before
from vmxsim.kernel.program import Function, Instruction
from vmxsim.kernel.thread import Stack
from vmxsim.simulation.scenario import Scenario, make_host, make_scenario

#: Primitives that identify a preemption point well, the best first.
_TELLING = ("rdmsr", "wrmsr", "load_gs_index", "preempt_disable", "preempt_enable", "local_irq_disable")


_ALONE = Turn(0, 0)


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
    unknowns = 0  # conditions that are not modeled which it has tested
    changes = [0] * vcpus  # how often each thread's user space has changed its GS base
    whose: list[int] = []  # the vCPU of each action
    came = False  # the thread was first switched in again
    last = path.transitions[0][1]  # the last transition that is not such
    room: Turn | None = None  # who last made room, for a thread that has not got the CPU yet
    for (state, edge), turn in zip(path.transitions, path.turns or repeat(_ALONE), strict=bool(path.turns)):
        if turn.how == MAKES_ROOM:
            room = turn
            continue
        room, last = None, edge
        choice, stack = edge.leaf.choice, table.stacks[table.states[state >> CONSTANTS][0]]
        if not came and (edge.at_rest or turn.how == COMES):
            passed, asked, unknowns = [], [], 0
        came = turn.how == COMES
        if edge.at_rest:
            changes[turn.vcpu] += choice.verb == USER_GS_BASE
            steps.append(action_text(choice, table, changes[turn.vcpu], turn.vcpu))
            whose.append(turn.vcpu)
        elif choice.kind != "in":
            passed.append(stack)
        elif path.turns and not came:
            _resume_on(steps, turn.cpu)
        if choice.kind == "out" and not edge.at_rest:
            _add_point(steps, _point(stack, passed))
        elif choice.pending:
            _add_point(steps, _pending_point(edge.leaf.asked[-1], [*asked, *edge.leaf.asked[:-1]]))
        elif choice.signal:
            _options(steps)["signal"] = True
        if choice.otherwise:
            _options(steps).setdefault("otherwise", []).extend(unknowns + n for n in choice.otherwise)
        asked += edge.leaf.asked
        unknowns += len(edge.leaf.unknowns)
    first, task = table.states[path.start >> CONSTANTS], table.host
    width = f"{task.bits}-bit"
    default = make_host(width, design)
    if room and whose and whose[-1] != room.vcpu and _waits(table, last):
        _resume_on(steps, room.cpu)
    elif room or came:  # it ends on the way to an action: any will do
        steps.append(f"preempt cpu{turn.cpu}")
        whose.append(turn.vcpu if came else 1 - turn.vcpu)
    if path.turns and vcpus > 1:
        steps = [{f"vcpu{vcpu}": step} for vcpu, step in zip(whose, steps, strict=True)]
    made = make_scenario(
        steps,
        title=title,
        design=design.id or None,
        host=width,
        gs_base_from=task.gs_base_from if task.gs_base_from != default.gs_base_from else None,
        fsgsbase=task.fsgsbase if task.fsgsbase != default.fsgsbase else None,
        user_gs_bases=task.bases,
        long_mode=bool(table.get(first, "vcpu0", "efer") & EFER_LMA),
        cpus=cpus,
        vcpus=vcpus,
        interception=interception,
    )
    return evolve(made, points_of=design)


def _waits(table: TransitionTable, edge: Edge) -> bool:
    return edge.target >= 0 and bool(table.get(table.states[edge.target], "thread0", "waiting"))


def action_text(choice: Choice, table: TransitionTable, changes: int = 1, vcpu: int = 0) -> str:
    """A choice at rest as a scenario's action, the ``changes``-th change of the vCPU's user GS base if it is
    one."""
    if choice.kind == "out":
        return "preempt cpu0"
    if choice.verb == USER_GS_BASE:  # to the other one of two
        values = numbered_values(table.written, table.host.bases, vcpu)
        return f"{choice.verb} 0x{values[OTHER if changes % 2 else HOST].number:X}"
    if choice.value is None:
        return choice.verb
    return f"{choice.verb} 0x{table.values[choice.value].number:X}"


def _resume_on(steps: list[Any], cpu: int) -> None:
    """Say on which CPU the last tick's thread is switched in again."""
    points = {} if isinstance(steps[-1], str) else _options(steps).get("preempt", {})
    if point := points[-1] if isinstance(points, list) else points:
        point["cpu"] = cpu
    elif isinstance(steps[-1], str):
        steps[-1] = f"preempt cpu{cpu}"
    else:
        steps[-1] = {f"preempt cpu{cpu}": _options(steps)}


def _add_point(steps: list[Any], point: dict[str, Any]) -> None:
    """Add a preemption point to the last action."""
    points = _options(steps).get("preempt")
    if points is None:
        _options(steps)["preempt"] = point
    else:
        _options(steps)["preempt"] = [*(points if isinstance(points, list) else [points]), point]


def _options(steps: list[Any]) -> dict[str, Any]:
    """What is written after the last action, ready to be changed."""
    if isinstance(steps[-1], str):
        steps[-1] = {steps[-1]: {}}
    (options,) = steps[-1].values()
    return options


def _point(stack: Stack, passed: list[Stack]) -> dict[str, Any]:
    """The preemption point before the stack's next line, which is the last of ``passed``."""
    function, index = stack[0], stack[1]
    before = _name(function, function.instructions[index])
    came = [(one[0], one[0].instructions[one[1]]) for one in passed]
    nth = sum(f.name == function.name and is_before(f, i, before) for f, i in came)
    return _as_point(before, function, nth)


def _as_point(before: str, function: Function, nth: int) -> dict[str, Any]:
    return {"before": before, "in": function.name} | ({"nth": nth} if nth > 1 else {})


def _pending_point(line: Line, asked: list[Line]) -> dict[str, Any]:
    """The point before a line with preemption disabled; ``asked`` are earlier ones of its kind."""
    function, index = line
    instruction = function.instructions[index]
    before = _name(function, instruction)
    if sum(is_before(function, i, before) for i in function.instructions) > 1:
        before = f"line {function.at(instruction.line).number}"
    nth = 1 + sum(f.name == function.name and is_before(f, f.instructions[n], before) for f, n in asked)
    return _as_point(before, function, nth)


def _name(function: Function, i: Instruction) -> str:
    """The name of the point before an instruction: the primitive that it calls, or its line."""
    called = [i.callee.name] if i.callee else []
    for name in (*_TELLING, *called):
        if name in PRIMITIVES and is_before(function, i, name):
            return name
    return f"line {function.at(i.line).number}"
