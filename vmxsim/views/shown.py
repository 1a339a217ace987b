"""What a run's picture shows, and from which step on.

A fact that never changes, an idle CPU and its task, the guest's own GS base where nothing swaps it: they only
hide what matters. So each part has the first scene in which it matters, and is not drawn before; a part that
never matters has no place in the picture. Whether it matters in a scene follows from that scene and the steps
before, never from what comes: a picture must not tell the future.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.trace import Box, Cell, Scene, Step, Trace
from vmxsim.views.words import WRONG

#: Nobody's field: what the guest would see on its own hardware. It is drawn outside the boxes.
TRUE_VALUE = "true value"

#: What KVM's code and this course call the four places that matter: by the last part of a cell's id.
SIGNS = {"kernel_gs_base": "HW", "g": "g", "h": "h"}

#: Facts that say whether a tick can act.
_TICK, _COUNT, _INTERRUPTS = "TIF_NEED_RESCHED", "preempt_count", "interrupts"
_GUEST_ACCESS = "guest access"


def sign(place: str) -> str:
    """``HW``, ``g`` or ``h``; '' for any other place."""
    return SIGNS.get(place.rpartition(".")[2], "")


def is_loaded(kind: str, name: str) -> bool:
    """Whether a fact of a box of this kind is L: whether guest state is loaded, as the design calls it."""
    return kind == "vcpu" and "loaded" in name


def first_shown(trace: Trace, scenes: Sequence[Scene]) -> dict[str, int]:
    """The first of ``scenes``, which are all of the trace's in order, in which each part matters: boxes by
    id, cells by place, facts by ``box.name``. A part that never matters is left out."""
    found: dict[str, int] = {}
    before = scenes[0]
    for index, scene in enumerate(scenes):
        step = trace.steps[index - 1] if index else None
        touched = _touched(step, before, scene)
        for old, box in zip(before.boxes, scene.boxes, strict=True):
            for key in _mattering(old, box, touched, step, found):
                found[key] = index
        before = scene
    # a row needs its box, and a picture needs something to show
    if not any(box.id in found for box in before.boxes if box.kind == "cpu"):
        found |= {box.id: 0 for box in before.boxes if box.kind == "cpu"}
    for box in before.boxes:
        inside = [*(cell.place for cell in box.cells), *(f"{box.id}.{name}" for name, _ in box.facts)]
        for key in inside:
            if box.id not in found:
                found.pop(key, None)
            elif key in found:
                found[key] = max(found[key], found[box.id])
    return found


def _touched(step: Step | None, before: Scene, scene: Scene) -> set[str]:
    """The places that ``step`` moves a value from or to, or that hold another one after it."""
    found = {place for move in step.moves for place in (move.source, move.target)} if step else set()
    for old, box in zip(before.boxes, scene.boxes, strict=True):
        for was, cell in zip(old.cells, box.cells, strict=True):
            if was.value != cell.value:
                found.add(cell.place)
    return found


def _mattering(
    old: Box, box: Box, touched: set[str], step: Step | None, found: Collection[str]
) -> Iterator[str]:
    """What of a box matters after ``step`` (None at the start), which found it ``old``, and is not yet
    ``found``."""
    if box.id not in found and _box_matters(box, touched):
        yield box.id
    for cell in box.cells:
        if cell.place not in found and _cell_matters(box, cell, touched):
            yield cell.place
    for (name, value), (_, was) in zip(box.facts, old.facts, strict=True):
        key = f"{box.id}.{name}"
        if key not in found and _fact_matters(box, name, value != was, step):
            yield key


def _is_thread(task: str) -> bool:
    return task.startswith("thread")


def _box_matters(box: Box, touched: set[str]) -> bool:
    """vCPUs and their threads always; a CPU once a vCPU thread is there; anything whose cell moves, or goes
    wrong."""
    if box.kind == "vcpu" or _is_thread(box.id):
        return True
    if box.kind == "cpu" and box.task and box.task != owner_words("plain"):
        return True
    return any(cell.place in touched or cell.status in WRONG for cell in box.cells)


def _cell_matters(box: Box, cell: Cell, touched: set[str]) -> bool:
    """Register, g and h always; a task's base unless nothing uses it; the rest once it moves or is wrong."""
    if sign(cell.place) or cell.place in touched or cell.status in WRONG:
        return True
    return box.kind == "task" and cell.status != "unused"


def _fact_matters(box: Box, name: str, changed: bool, step: Step | None) -> bool:
    if box.kind == "task":
        return False  # the CPU's box says which task runs there, and in which mode
    if name in (TRUE_VALUE, "runs", "EFER.LMA") or is_loaded(box.kind, name):
        return True  # these decide where KVM looks
    if name in (_COUNT, _INTERRUPTS):  # every entry changes them; they matter when they hold back a tick
        facts = dict(box.facts)
        held = facts.get(_COUNT) != "0"
        return facts.get(_TICK) == "1" and (held if name == _COUNT else not held and facts[name] == "off")
    if name == _GUEST_ACCESS and step is not None and step.thread == f"thread{box.id.removeprefix('vcpu')}":
        return changed or _guest_accesses(step)
    return changed


def _guest_accesses(step: Step) -> bool:
    """Whether the guest reads or writes its register in this step, with or without an exit."""
    if any(access.kind in ("guest_rdmsr", "guest_wrmsr") for access in step.accesses):
        return True
    return any(
        change.place.endswith(".exit_reason") and str(change.after).startswith("MSR_")
        for change in step.changes
    )
