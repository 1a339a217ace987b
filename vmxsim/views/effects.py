"""What a step did, in short clauses: for a mail, a table, the words under a moving picture.

:mod:`vmxsim.views.words` tells all that changed in whole sentences; here stands only what a
reader of the few telling steps needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmxsim.errors import printable
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Box, Cell, Move, Scene, Step, Trace
from vmxsim.views.fields import field_words
from vmxsim.views.naming import box_words, place_words
from vmxsim.views.passed import passed_over
from vmxsim.views.telling import changed_facts, modes

_WRONG = ("stale", "foreign")


def effects(trace: Trace, number: int) -> list[str]:
    """The clauses of step ``number`` (from 1), without a full stop; empty where nothing moved or changed."""
    step = trace.steps[number - 1]
    before, after = trace.scene(number - 1), trace.scene(number)
    clauses = [_move(move, before, after) for move in step.moves]
    told_by_note = any("tick comes" in note for note in step.notes)
    clauses += [c for c in _facts(before, after) if not (told_by_note and "is set" in c)]
    clauses += _modes(step, before, after)
    told = {place for move in step.moves for place in (move.source, move.target)}
    clauses += _cells(before, after, told)
    if not step.moves:
        names = {box.id: box_words(box) for box in after.boxes}
        returned = [c for c in step.changes if c.place.endswith(".returned") and c.after]
        clauses += [field_words(change, names) for change in returned]
    clauses += [f"not run: line {line}: {source}" for line, source in passed_over(trace, step)]
    clauses += step.notes
    return [printable(clause, 400) for clause in clauses]


def _move(move: Move, before: Scene, after: Scene) -> str:
    """A move as an assignment: what the target holds now."""
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
    return f"{_value(cell.value)}{f': {cell.status}' if cell.status in _WRONG else ''}"


def _value(value: Value | None) -> str:
    if value is None:
        return "something unknown"
    if value.owner == "unknown":
        return f"{value} (whose is not known)"
    return f"{value} ({owner_words(value.owner)}'s)"


def _name(place: str, scene: Scene) -> str:
    """A place's name; which vCPU it belongs to is said only where there are several."""
    several = sum(box.kind == "vcpu" for box in scene.boxes) > 1
    for box in scene.boxes:
        for cell in box.cells:
            if cell.place == place:
                return cell.label if box.kind == "vcpu" and not several else place_words(box, cell)
    return place


def _facts(before: Scene, after: Scene) -> Iterator[str]:
    several = sum(box.kind == "vcpu" for box in after.boxes) > 1
    for box, name, was, now in changed_facts(before, after):
        yield _fact(box, name, was, now, several)


def _fact(box: Box, name: str, was: str, now: str, several: bool) -> str:
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
    """Who went where, from the kernel to the guest and so on, where the line does not say it itself;
    a task's switch is told by its CPU."""
    old = modes(before)
    for thread, mode in modes(after).items():
        was, number = old.get(thread, mode), thread.removeprefix("thread")
        if was == mode:
            continue
        if mode == "in the guest" and "guest runs" not in step.source:
            yield f"guest {number} runs"
        elif was == "in the guest" and "exit" not in step.source:
            yield f"guest {number} exits"
        elif mode == "in user space" and "user space" not in step.source:
            yield f"vCPU thread {number} is back in user space"


def _cells(before: Scene, after: Scene, told: set[str]) -> Iterator[str]:
    """Places that hold something else, or whose value is worth less, though nothing moved there."""
    old = before.cells()
    for box in after.boxes:
        for cell in box.cells:
            was = old.get(cell.place)
            if was is None or cell.status == "unknown":
                continue
            if was.value != cell.value and cell.place not in told:
                yield f"{_name(cell.place, after)} = {_held(cell)}"
            elif was.value == cell.value and was.status != cell.status and cell.status in _WRONG:
                if cell.place not in told:
                    name = _name(cell.place, after)
                    yield f"{name} still holds {_value(cell.value)}: {cell.status} from here on"
