"""Films, stills and pictures: :func:`film` is what a player shows, :func:`still` one frame as an SVG file.

A film is one SVG, laid out once, and for each step the texts and classes that change, so the browser
switches frames without asking Python. Frame ``i`` is the scene after step ``i``; frame 0 is the start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from secrets import token_hex
from textwrap import wrap
from typing import Any
from weakref import WeakKeyDictionary

from attrs import frozen

from vmxsim.errors import InputError, checked, printable, write_file
from vmxsim.kernel.machine import owner_words
from vmxsim.progress import counting
from vmxsim.simulation.trace import LAZY, Box, Scene, Step, Trace
from vmxsim.views.drawing import Drawing, Look, text
from vmxsim.views.layout import (
    NORMAL,
    Face,
    GraphvizMissing,
    digraph,
    layout,
    move_key,
    move_label,
    plan,
    text_width,
)
from vmxsim.views.listing import source_data
from vmxsim.views.shown import first_shown
from vmxsim.views.signs import signs
from vmxsim.views.standalone import standalone
from vmxsim.views.style import HUES, STATUS_MARKS, cell_state, holder_words, status_words
from vmxsim.views.table import html_table
from vmxsim.views.telling import brief, passed_over
from vmxsim.views.words import Teller, kept_cells, now_words, step_words

#: Words that must not be separated from the number after them.
_NUMBERED = re.compile(r"\b(CPU|vCPU|guest|thread|line|step) (?=\d)")

_TIE = "\N{NO-BREAK SPACE}"

_SIZE, _LEADING = 12, 18

#: How much a picture is enlarged that stands on its own, between texts of 16 px.
ZOOM = 1.5


def caption(told: Teller, index: int, width: float, top: float) -> tuple[str, float]:
    """The text under a still of scene ``index``: SVG lines below ``top``, and their height in pixels."""
    trace, step = told.trace, told.step(index)
    violations = step.violations if step else ()
    broken = {v.invariant for v in violations}
    paragraphs = [
        ("caption-title", f"{trace.title} ({trace.subtitle}), step {index} of {len(trace.steps)}"),
        ("caption-words", told.step_words(index)),
        *(("caption-danger", f"✖ {v.invariant}: {v.words}") for v in violations),
        *(("caption-if", words) for name, words in told.scene(index).dangers if name not in broken),
    ]
    columns = max(30, int((width - 16) / text_width("m", _SIZE)))
    lines = []
    for name, paragraph in paragraphs:
        tied = wrap(_NUMBERED.sub(rf"\1{_TIE}", paragraph), columns)
        lines += [(name, line.replace(_TIE, " ")) for line in tied]
    drawn = "".join(
        f'<text class="{name}" x="8" y="{top + _LEADING * (number + 1) - 4:g}">{text(line)}</text>'
        for number, (name, line) in enumerate(lines)
    )
    return drawn, _LEADING * len(lines) + 14


_MODES = ("guest", "user", "kernel")


def timeline(trace: Trace, scenes: Sequence[Scene], shown: Collection[str]) -> dict[str, Any]:
    """The data of the timeline: spans of each CPU, spans of actions, and marks, in frames (ends included).

    A CPU's span lasts as long as its register holds the same owner's value and its task stays in the same
    ``mode`` (guest, kernel or user). A CPU that is not among the ``shown`` parts is ``idle``. A mark is a
    ``preempt``, ``pending``, ``migrate`` or ``violation``.
    """
    cpus = [box for box in scenes[0].boxes if box.kind == "cpu"]
    lanes = {box.id: _lane(box, trace, scenes) for box in cpus}
    return {
        "cpus": [{"cpu": _number(box), "idle": box.id not in shown, "spans": lanes[box.id]} for box in cpus],
        "actions": _actions(trace),
        "marks": [mark for frame, step in enumerate(trace.steps, 1) for mark in _marks(frame, step)],
    }


def _number(box: Box) -> int:
    digits = box.id.removeprefix("cpu")
    return int(digits) if digits.isdecimal() else -1


def _lane(cpu: Box, trace: Trace, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    number, thread, mode = _number(cpu), "", ""
    for frame, scene in enumerate(scenes):
        if frame and trace.steps[frame - 1].cpu == number:
            thread, mode = trace.steps[frame - 1].thread, trace.steps[frame - 1].mode
        box = next((b for b in scene.boxes if b.id == cpu.id), cpu)
        owner = cell_state(box.cells[0])[1] if box.cells else ""
        state = {"owner": owner, "mode": box.mode if box.mode in _MODES else mode or "user"}
        if spans and all(spans[-1][name] == value for name, value in state.items()):
            spans[-1]["to"] = frame
        else:
            spans.append(
                {"from": frame, "to": frame, **state, "thread": thread, "label": holder_words(owner)}
            )
    return spans


def _actions(trace: Trace) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    for frame, step in enumerate(trace.steps, 1):
        if spans and spans[-1]["action"] == step.action:
            spans[-1]["to"] = frame
        else:
            known = 0 <= step.action < len(trace.actions)
            label = trace.actions[step.action] if known else ""
            spans.append({"action": step.action, "from": frame if spans else 0, "to": frame, "label": label})
    return spans


def _marks(frame: int, step: Step) -> Iterator[dict[str, Any]]:
    def mark(cpu: int, kind: str, label: str) -> dict[str, Any]:
        return {"frame": frame, "cpu": cpu, "kind": kind, "label": label}

    for change in step.changes:
        box, _, name = change.place.rpartition(".")
        if name == "current" and str(change.before).startswith("thread"):
            yield mark(int(box[3:]), "preempt", f"{owner_words(str(change.before))} is switched out")
        elif name == "need_resched" and change.after:
            yield mark(int(box[3:]), "pending", "a tick is pending: TIF_NEED_RESCHED is set")
        elif name == "cpu" and box.startswith("thread") and change.before is not None:
            yield mark(int(change.after), "migrate", f"{owner_words(box)} continues on CPU {change.after}")
    if (
        not any(change.place.endswith(".current") for change in step.changes)
        and step.function == "sched_switch"
        and step.thread.startswith("thread")
    ):
        yield mark(step.cpu, "preempt", "context switch")
    for violation in step.violations:
        yield mark(step.cpu, "violation", f"{violation.invariant}: {violation.words}")


#: Stills of a run share one layout, cached as long as the run lives.
_DRAWINGS: WeakKeyDictionary[Any, Drawing] = WeakKeyDictionary()


def film(trace: Trace, face: Face = NORMAL, uid: str = "") -> dict[str, Any]:
    """Everything a player needs, as JSON-able data. ``face`` is the size of the picture, ``uid`` begins the
    ids in it: with none given, no other film has the same.

    ``svg`` is the picture of frame 0, with elements marked ``data-place``, ``data-fact``, ``data-move``
    and ``data-box``; ``since`` says from which frame on each is to be seen. Without Graphviz, ``svg`` is
    an HTML table with the same marks, and ``missing`` says what to install. ``frames`` has an entry per
    scene: ``cells`` {place: [value, owner, status]}, ``facts``, ``moves`` [[key, label]], ``changed``
    places, and the step that ran, in one sentence (``brief``, and the ``notes`` that it does not say) and at
    length (``words``). ``signs`` is the legend (:func:`~vmxsim.views.signs.signs`), ``nothing`` what stands
    where no value is. ``sources`` has for each function of C in ``listings`` its file, and which lines were
    left out (:func:`~vmxsim.views.listing.source_data`).
    """
    told = Teller(trace)
    scenes = told.scenes
    uid = uid or f"vx{token_hex(4)}"
    missing = ""
    try:
        drawing = lay_out(told, face)
        svg = drawing.svg(look(told, 0, face), uid, trace.title, told.description(0))
        since = drawing.plan.since
    except GraphvizMissing as error:
        missing, svg = str(error), html_table(scenes[0], uid, str(error))
        since = first_shown(trace, scenes)
    listings = _listings(trace)
    sources = {name: source_data(lines) for name, lines in listings.items()}
    return {
        "title": trace.title,
        "subtitle": trace.subtitle,
        "name": trace.name,
        "description": told.description(0),
        "svg": svg,
        "missing": missing,
        "uid": uid,
        "since": dict(since),
        "actions": list(trace.actions),
        "frames": [_frame(told, index, face) for index in counting("frame", range(len(scenes)))],
        "listings": {name: list(lines) for name, lines in listings.items()},
        "sources": {name: data for name, data in sources.items() if data},
        "timeline": timeline(trace, scenes, since),
        "legend": [[kind, key, face.words(word)] for kind, key, word in legend(scenes, since)],
        "nothing": face.words(holder_words("")),
        "signs": signs(),
    }


def still(trace: Trace, index: int, uid: str = "") -> str:
    """Scene ``index`` as an SVG file, with the step in words below.

    Raises GraphvizMissing (an InputError that says what to install) and IndexError.
    """
    if not 0 <= index <= len(trace.steps):
        raise IndexError(
            f"no scene {index}: this run has scenes 0 (its start) to {len(trace.steps)} (its end)"
        )
    told = Teller(trace)
    drawing = drawing_of(trace)
    under, height = caption(told, index, drawing.width, drawing.height)
    name = uid or f"vx{token_hex(4)}"
    words = told.description(index)
    return standalone(drawing.svg(look(told, index), name, trace.title, words, under, height, ZOOM))


def drawing_of(trace: Trace) -> Drawing:
    """The run's picture, laid out once for all its stills."""
    try:
        return _DRAWINGS[trace]
    except (KeyError, TypeError):
        return lay_out(Teller(trace))


def lay_out(told: Teller, face: Face = NORMAL) -> Drawing:
    """The run's picture."""
    scenes = told.scenes
    planned = plan(told.trace, scenes, face)
    values = (cell.value for scene in scenes for cell in scene.cells().values())
    owners = dict.fromkeys([*HUES, *(value.owner for value in values if value is not None)])
    drawing = Drawing(planned, layout(digraph(planned)), tuple(owners))
    with suppress(TypeError):  # no weak references to this trace: not cached
        if face is NORMAL:
            _DRAWINGS[told.trace] = drawing
    return drawing


def look(told: Teller, index: int, face: Face = NORMAL) -> Look:
    """What scene ``index`` shows, with the step that led to it."""
    scene, step = told.scene(index), told.step(index)
    changed = [
        cell.place
        for _, cell, was in kept_cells(told.scene(max(0, index - 1)), scene)
        if cell_state(was)[:2] != cell_state(cell)[:2]  # another value or owner
    ]
    return Look(
        index=index,
        cells={place: cell_state(cell) for place, cell in scene.cells().items()},
        facts={f"{box.id}.{name}": face.words(value) for box in scene.boxes for name, value in box.facts},
        moves={move_key(m): move_label(m, face) for m in step.moves} if step else {},
        changed=tuple(changed),
        here=frozenset({f"cpu{step.cpu}", step.thread}) if step else frozenset(),
    )


def _frame(told: Teller, index: int, face: Face) -> dict[str, Any]:
    trace, step, shown = told.trace, told.step(index), look(told, index, face)
    short = brief(told, index)
    frame: dict[str, Any] = {
        "cells": {place: list(state) for place, state in shown.cells.items()},
        "facts": shown.facts,
        "moves": [list(move) for move in shown.moves.items()],
        "changed": list(shown.changed),
        "brief": short,
        "words": told.step_words(index),
        "now": told.now(index),
        "dangers": [list(danger) for danger in told.scene(index).dangers],
    }
    if step is None:
        return frame | {
            "action": 0, "thread": "", "cpu": -1, "mode": "", "fn": "", "line": 0, "stack": [], "next": None,
            "source": "", "changes": [], "violations": [], "notes": list(trace.notes),
            "preemptible": False, "why_not": "nothing has run yet", "quiet": False,
        }  # fmt: skip
    return frame | {
        "action": step.action,
        "thread": step.thread,
        "cpu": step.cpu,
        "mode": step.mode,
        "fn": step.function,
        "line": step.line,
        "stack": [[level.function, level.line] for level in step.stack],
        "next": [step.next.function, step.next.line] if step.next else None,
        "source": step.source,
        "changes": told.changes(index),
        "violations": [[violation.invariant, violation.words] for violation in step.violations],
        "notes": [note for note in step.notes if note.rstrip(".") not in short],
        "preemptible": step.preemptible,
        "why_not": step.why_not,
        "quiet": not (
            step.changes
            or shown.changed
            or step.accesses
            or step.moves
            or step.violations
            or step.notes
            or step.kind in LAZY
            or passed_over(trace, step)
        ),
    }


def _listings(trace: Trace) -> dict[str, Sequence[str]]:
    names = dict.fromkeys(level.function for step in trace.steps for level in step.stack)
    names.update(dict.fromkeys(step.function for step in trace.steps))
    found = {name: trace.listing(name) for name in names if name}
    return {name: lines for name, lines in found.items() if lines}


def legend(scenes: Sequence[Scene], shown: Collection[str]) -> list[list[str]]:
    """[kind, key, word] rows: the owners that appear in places that are ``shown``, then every status with
    its mark."""
    cells = (cell for scene in scenes for cell in scene.cells().values() if cell.place in shown)
    owners = dict.fromkeys(cell_state(cell)[1] for cell in cells)
    known = [owner for owner in HUES if owner in owners]
    others = sorted(owners.keys() - HUES.keys() - {""})
    rows = [["owner", owner, holder_words(owner)] for owner in [*known, *others]]
    return rows + [["status", status, status_words(status)] for status in STATUS_MARKS]


@frozen
class Picture:
    """Scene ``index`` of ``trace``. A notebook shows it as SVG, or as a table without Graphviz; a
    terminal shows it in words."""

    trace: Trace
    index: int

    @property
    def svg(self) -> str:
        """The text of an SVG file. Raises GraphvizMissing if Graphviz is not installed."""
        return still(self.trace, self.index)

    def save(self, path: Any, overwrite: bool = False) -> None:
        """Write :attr:`svg` to a file. Raises InputError if there is one already, unless ``overwrite``."""
        write_file(path, self.svg, overwrite=overwrite)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        try:
            html = self.svg
        except GraphvizMissing as error:
            html = html_table(self.trace.scene(self.index), "picture", str(error))
        return {"text/html": html, "text/plain": str(self)}

    def __str__(self) -> str:
        return f"{step_words(self.trace, self.index)}\n{now_words(self.trace, self.index)}"

    __repr__ = __str__


@checked
def picture(trace: Trace, step: int = -1) -> Picture:
    """A picture of the machine after ``step`` steps: 0 is the start, -1 the end.

    Raises InputError for anything but a run or a recording, and for a step that it does not have.
    """
    if not hasattr(trace, "scene"):
        raise InputError(f"expected a run or a recording, not {printable(repr(trace))}", "picture")
    last = len(trace.steps)
    index = step + last + 1 if step < 0 else step
    if not 0 <= index <= last:
        raise InputError(f"no step {step}: this run has steps 0 (its start) to {last} (its end)", "step")
    return Picture(trace, index)
