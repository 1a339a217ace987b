"""Picks the telling steps of a trace and describes their effects in short clauses.

Texts on paper, mails and the animation show only these. A run has dozens of steps that touch nothing, a
recording thousands. A step is telling if it moves a value, makes a place stale or foreign (or right again),
changes a fact of the vCPU, sets or clears a tick, switches tasks, breaks an invariant or skips an access of
the register. Of the transitions between guest, kernel and user space, only those next to such a step stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vmxsim.errors import printable
from vmxsim.kernel.machine import Value, owner_words
from vmxsim.kernel.points import uses
from vmxsim.kernel.program import Instruction, SourceLine
from vmxsim.simulation.trace import Box, Cell, Move, Scene, Step, Trace, function_of
from vmxsim.views.words import (
    WRONG,
    Teller,
    box_words,
    field_words,
    kept_cells,
    moved_words,
    named_place,
    sentence,
    several,
    thread_words,
)

_UNKNOWN = frozenset({"?", "not known", "unknown"})


def passed_over(trace: Trace, step: Step) -> list[tuple[SourceLine, str]]:
    """(line, its text) of the accesses of KERNEL_GS_BASE that a test or an early return skips.

    Code that never runs leaves no step, yet it is often the cause: *enter* returns early because state
    is already loaded, *leave* skips the register outside long mode. Empty for any other step, and
    for a recording, which has no source.
    """
    leaves = step.kind == "return" or step.source.startswith("return")
    if step.next is None or not (leaves or step.kind == "branch"):
        return []
    listing = trace.listing(step.function)
    function = function_of(listing)
    if function is None or step.line > len(listing) or function.text(step.line) != step.source:
        return []  # super() runs another function of this name, and its lines are not listed
    last = step.next.line if step.next.function == step.function and not leaves else len(listing) + 1
    passed = range(step.line + 1, last)  # empty for a test that jumps back
    found = sorted({i.line for i in function.instructions if i.line in passed and _accesses(i)})
    return [(function.at(line), function.text(line)) for line in found]


def _accesses(i: Instruction) -> bool:
    return uses(i.expr, "rdmsr") or uses(i.expr, "wrmsr")


def telling_steps(trace: Trace, also: Collection[int] = (), turns: bool = True) -> list[int]:
    """Numbers (from 1) of the telling steps, in order.

    ``also`` adds steps that matter for another reason. Without ``turns``, steps that only go from guest
    to kernel and so on are left out.
    """
    kinds: list[tuple[int, bool]] = []  # (number, whether it is telling in itself)
    before = trace.scene(0)
    for number, step in enumerate(trace.steps, 1):
        after = trace.scene(number)
        if number in also or _tells(trace, step, before, after):
            kinds.append((number, True))
        elif modes(before) != modes(after):
            kinds.append((number, False))
        before = after
    found = []
    for at, (number, tells) in enumerate(kinds):
        around = kinds[max(0, at - 1) : at] + kinds[at + 1 : at + 2]
        if tells or (turns and any(beside for _, beside in around)):
            found.append(number)
    return found


def _tells(trace: Trace, step: Step, before: Scene, after: Scene) -> bool:
    return bool(
        step.violations
        or step.moves
        or step.accesses
        or any(change.place.endswith(".returned") and change.after for change in step.changes)
        or any(name != "runs" for _, name, _, _ in changed_facts(before, after))
        or _worth_changed(before, after)
        or passed_over(trace, step)
    )


def _worth_changed(before: Scene, after: Scene) -> bool:
    """Whether a place holds another value, or has become wrong (stale or foreign) or right again. Becoming
    known or unknown does not count, nor does a change between live and copy."""
    return any(
        (was.value, was.status in WRONG) != (cell.value, cell.status in WRONG)
        for _, cell, was in kept_cells(before, after)
        if "unknown" not in (was.status, cell.status)
    )


def changed_facts(before: Scene, after: Scene) -> list[tuple[Box, str, str, str]]:
    """(box, name, before, after) of each changed fact that matters: those of vCPUs, pending ticks, which
    task runs where. Facts that were or became unknown are left out."""
    old = {box.id: _facts(box) for box in before.boxes}
    return [
        (box, name, was, now)
        for box in after.boxes
        for name, now in _facts(box).items()
        for was in [old.get(box.id, {}).get(name, "?")]
        if was != now and _matters(box, name, {was, now}) and not {was, now} & _UNKNOWN
    ]


def _matters(box: Box, name: str, values: set[str]) -> bool:
    if box.kind == "vcpu":
        return True
    if name == "runs":
        return any("vCPU thread" in value for value in values)
    return name == "TIF_NEED_RESCHED" or (name == "CPU" and box.id.startswith("thread"))


def _facts(box: Box) -> dict[str, str]:
    """A box's facts by name; of what a CPU runs, only the task, whose own box shows its mode."""
    facts = dict(box.facts)
    return facts | {"runs": box.task} if box.task else facts


def modes(scene: Scene) -> dict[str, str]:
    """Where each vCPU thread is: user space, kernel or guest, or waiting."""
    return {
        box.id: value
        for box in scene.boxes
        if box.id.startswith("thread")
        for name, value in box.facts
        if name == "mode"
    }


def effects(trace: Trace, number: int) -> list[str]:
    """What step ``number`` (from 1) did, in clauses without a full stop; empty if nothing moved or changed.

    :mod:`vmxsim.views.words` describes every change in whole sentences; these clauses say only what a
    reader of the telling steps needs.
    """
    step = trace.steps[number - 1]
    before, after = trace.scene(number - 1), trace.scene(number)
    moves = [printable(_move(move, before, after), 400) for move in step.moves]
    return [*moves, *_changes(trace, step, before, after)]


def _changes(trace: Trace, step: Step, before: Scene, after: Scene) -> list[str]:
    """What a step did besides its moves."""
    told_by_note = any("tick comes" in note for note in step.notes)
    several = sum(box.kind == "vcpu" for box in after.boxes) > 1
    clauses = [
        _fact_words(box, name, was, now, several)
        for box, name, was, now in changed_facts(before, after)
        if not (told_by_note and name == "TIF_NEED_RESCHED" and now == "1")
    ]
    clauses += _modes(step, before, after)
    told = {place for move in step.moves for place in (move.source, move.target)}
    clauses += _cells(before, after, told)
    if not step.moves:
        names = {box.id: box_words(box) for box in after.boxes}
        returned = [c for c in step.changes if c.place.endswith(".returned") and c.after]
        clauses += [field_words(change, names) for change in returned]
    skipped = passed_over(trace, step)
    clauses += [f"not run: {line.name}: {source.removesuffix(';')}" for line, source in skipped]
    clauses += step.notes
    return [printable(clause, 400) for clause in clauses]


#: How many clauses the one sentence of a step has at most.
_CLAUSES = 2


def brief(told: Teller, number: int) -> str:
    """Step ``number`` (0 is the start) in one sentence, for beside a picture and a source that show the rest:
    what it moved or changed, else what it ran."""
    trace, step = told.trace, told.step(number)
    if step is None:
        return told.step_words(0)
    before, after = told.scene(number - 1), told.scene(number)
    clauses = [
        f"SWAPGS exchanges {_name(move.source, after)} and {_name(move.target, after)}"
        if move.both
        else moved_words(move, before, after)
        for move in step.moves
    ]
    changed = _changes(trace, step, before, after)
    skipped = passed_over(trace, step)
    if skipped and not clauses and len(changed) == len(skipped):
        lines = several(f"{line.name}, “{source.removesuffix(';')}”" for line, source in skipped)
        return sentence(f"“{printable(step.source, 160)}” skips {lines}")
    clauses += changed
    done = "; ".join(clauses[:_CLAUSES]) or _ran(step)
    event = "" if step.line or step.function in done else f"{printable(step.function)}: "  # of a recording
    return sentence(event + done)


def _ran(step: Step) -> str:
    """What a step ran that neither moved nor changed anything."""
    if not step.line:
        return printable(step.source or step.function, 160)
    onward = step.next if step.kind == "branch" and step.next else None
    goes = f" and continues at {onward.name}" if onward and onward.function == step.function else ""
    return f"{thread_words(step.thread)} runs “{printable(step.source, 160)}”{goes}"


def told_cells(trace: Trace, number: int) -> list[Cell]:
    """The cells whose value and worth :func:`effects` tells."""
    moves = trace.steps[number - 1].moves
    before, after = trace.scene(number - 1), trace.scene(number)
    old, new = before.cells(), after.cells()
    found: list[Cell | None] = []
    for move in moves:
        if move.both:
            found += [new.get(move.source), new.get(move.target)]
        else:
            found.append(new.get(move.target) or old.get(move.source))
    told = {place for move in moves for place in (move.source, move.target)}
    return [cell for cell in (*found, *(cell for cell, _ in _other_cells(before, after, told))) if cell]


def _move(move: Move, before: Scene, after: Scene) -> str:
    """A move as an assignment of the target."""
    old, new = before.cells(), after.cells()
    target, source = new.get(move.target), new.get(move.source)
    if move.both:
        return f"{_name(move.source, after)} = {_held(source)}, {_name(move.target, after)} = {_held(target)}"
    if target is None:
        who = "the guest reads" if move.kind.startswith("guest") else "reads"
        return f"{who} {_held(old.get(move.source))}"
    was = old.get(move.target)
    same = was is not None and was.value is not None and was.value == target.value
    return f"{_name(move.target, after)} = {_held(target)}{', as before' if same else ''}"


def _held(cell: Cell | None) -> str:
    """``0x7f0000001000 (vCPU thread 0's): foreign``."""
    if cell is None or cell.value is None:
        return "something unknown"
    return f"{_value(cell.value)}{f': {cell.status}' if cell.status in WRONG else ''}"


def _value(value: Value) -> str:
    if value.owner == "unknown":
        return f"{value} (owner unknown)"
    return f"{value} ({owner_words(value.owner)}'s)"


def _name(place: str, scene: Scene) -> str:
    return named_place(place, scene, brief=True)


def _fact_words(box: Box, name: str, was: str, now: str, several: bool) -> str:
    if name == "TIF_NEED_RESCHED":
        done = "a tick is pending: TIF_NEED_RESCHED is set" if now == "1" else "TIF_NEED_RESCHED is cleared"
        return f"{done} on {box.title}"
    if name == "runs":
        return f"{box.title} now runs {now}"
    if name == "CPU":
        return f"{box_words(box)} is now on CPU {now}"
    if name == "true value":
        return f"the true value of guest {box.id.removeprefix('vcpu')} is now {now}"
    whose = f" of {box_words(box)}" if several else ""
    return f"{name}{whose}: {was} → {now}"


def _modes(step: Step, before: Scene, after: Scene) -> Iterator[str]:
    """Transitions between kernel, guest and user space that the step itself does not tell: the guest's tells
    its entry or exit, user space's its return. The CPU's facts cover task switches."""
    old = modes(before)
    for thread, mode in modes(after).items():
        was, number = old.get(thread, mode), thread.removeprefix("thread")
        if was == mode:
            continue
        if mode == "in the guest" and step.mode != "guest":
            yield f"guest {number} runs"
        elif was == "in the guest" and step.mode != "guest":
            yield f"guest {number} exits"
        elif mode == "in user space" and step.mode != "user":
            yield f"vCPU thread {number} is back in user space"


def _cells(before: Scene, after: Scene, told: set[str]) -> Iterator[str]:
    """Places that hold another value, or one that became stale or foreign, without a move."""
    for cell, changed in _other_cells(before, after, told):
        if changed:
            yield f"{_name(cell.place, after)} = {_held(cell)}"
        elif cell.value is not None:
            yield f"{_name(cell.place, after)} still holds {_value(cell.value)}: {cell.status} from here on"


def _other_cells(before: Scene, after: Scene, told: set[str]) -> Iterator[tuple[Cell, bool]]:
    """Those places, each with whether its value changed."""
    for _, cell, was in kept_cells(before, after):
        if cell.status == "unknown" or cell.place in told:
            continue
        if was.value != cell.value:
            yield cell, True
        elif was.status != cell.status and cell.status in WRONG and cell.value is not None:
            yield cell, False
