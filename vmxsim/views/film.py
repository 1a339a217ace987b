"""A run as a film: one SVG laid out once, and for every step the texts and classes that change.

The browser switches frames without asking Python; :func:`still` draws one frame for paper.
Frame ``i`` is the scene after step ``i`` (from 1; frame 0 is the start).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from secrets import token_hex
from textwrap import wrap
from typing import Any
from weakref import WeakKeyDictionary

from attrs import frozen

from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.trace import Box, Scene, Step, Trace
from vmxsim.views import words
from vmxsim.views.drawing import Drawing, Look, text
from vmxsim.views.layout import (
    TALL,
    WIDE,
    GraphvizMissing,
    digraph,
    layout,
    move_key,
    move_label,
    plan,
    text_width,
)
from vmxsim.views.standalone import standalone
from vmxsim.views.style import HUES, STATUS_MARKS, cell_state, holder_words, status_words
from vmxsim.views.table import html_table
from vmxsim.views.words import Teller, now_words, step_words

# -- The words under a still: the run, the line that ran, what holds now, what would go wrong.


#: What belongs on one line with its number.
_NUMBERED = re.compile(r"\b(CPU|vCPU|guest|thread|line|step) (?=\d)")

_TIE = "\N{NO-BREAK SPACE}"

_SIZE, _LEADING = 16, 25


def caption(trace: Trace, told: Teller, index: int, width: float, top: float) -> tuple[str, float]:
    """SVG text lines for scene ``index`` below ``top``, and how many pixels they take."""
    step = trace.steps[index - 1] if index else None
    paragraphs = [("caption-title", f"{trace.title} ({trace.subtitle}), step {index} of {len(trace.steps)}")]
    paragraphs.append(("caption-words", told.step_words(index)))
    if step is not None:
        paragraphs += [("caption-danger", f"✖ {v.invariant}: {v.words}") for v in step.violations]
    shown = {v.invariant for v in step.violations} if step else set()
    paragraphs += [("caption-if", words) for name, words in told.scene(index).dangers if name not in shown]
    columns = max(30, int((width - 40) / text_width("m", _SIZE)))
    lines = []
    for name, paragraph in paragraphs:
        tied = wrap(_NUMBERED.sub(rf"\1{_TIE}", paragraph), columns)
        lines += [(name, line.replace(_TIE, " ")) for line in tied]
    drawn = "".join(
        f'<text class="{name}" x="20" y="{top + _LEADING * (number + 1) - 4:g}">{text(line)}</text>'
        for number, (name, line) in enumerate(lines)
    )
    return drawn, _LEADING * len(lines) + 14


# -- The run as lanes: an action lane, and per CPU who holds the register and where it was preempted.


_MODES = ("guest", "user", "kernel")


def timeline(trace: Trace, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Spans by CPU, spans of actions, and marks, all in frames (0 is the start), ends included.

    A span of a CPU lasts while the same owner's value is in its register and its task stays
    where it is (``mode``: guest, kernel or user). ``kind`` of a mark: ``preempt``, ``pending``,
    ``migrate`` or ``violation``.
    """
    cpus = [box for box in scenes[0].boxes if box.kind == "cpu"]
    lanes = {box.id: _lane(box, trace, scenes) for box in cpus}
    return {
        "cpus": [{"cpu": _number(box), "spans": lanes[box.id]} for box in cpus],
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
        state = {"owner": owner, "mode": _mode(box) or mode or "user"}
        if spans and all(spans[-1][name] == value for name, value in state.items()):
            spans[-1]["to"] = frame
        else:
            spans.append(
                {"from": frame, "to": frame, **state, "thread": thread, "label": holder_words(owner)}
            )
    return spans


def _mode(box: Box) -> str:
    """Where a CPU's task is, from the CPU's facts; '' where they do not say."""
    told = " ".join(value for name, value in box.facts if name in ("runs", "mode"))
    said = told.rpartition(", ")[2].split()
    return next((mode for mode in _MODES if mode in said), "")


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


# -- (main)


#: Stills of one run share one layout; a few runs are remembered while they live.
_DRAWINGS: WeakKeyDictionary[Any, Drawing] = WeakKeyDictionary()


def film(trace: Trace) -> dict[str, Any]:
    """Everything a player needs, as JSON-able data.

    ``tall`` is the same picture in two columns, for where there is little width.
    ``svg`` is the picture in the state of frame 0, with elements marked ``data-place``,
    ``data-fact``, ``data-move`` and ``data-box``; where no Graphviz can be found it is an HTML
    table with the same marks and ``missing`` says what to install (else ''). ``frames`` has an entry per
    scene: ``cells`` {place: [value, owner, status]}, ``facts``, ``moves`` [[key, label]], ``changed``
    places, and what ran there, in which words.
    """
    scenes = [trace.scene(index) for index in range(len(trace.steps) + 1)]
    told = words.Teller(trace, scenes)
    uid = f"vx{token_hex(4)}"
    missing = ""
    first = look(scenes[0], None, frozenset())
    try:
        svg, tall = (
            _draw(trace, scenes, columns).svg(first, uid + suffix, trace.title, told.description(0))
            for columns, suffix in ((WIDE, ""), (TALL, "t"))
        )
    except GraphvizMissing as error:
        missing, svg, tall = str(error), html_table(scenes[0], uid, str(error)), ""
    return {
        "title": trace.title,
        "subtitle": trace.subtitle,
        "description": told.description(0),
        "svg": svg,
        "tall": tall,
        "missing": missing,
        "uid": uid,
        "actions": list(trace.actions),
        "frames": [_frame(trace, told, scenes, index) for index in range(len(scenes))],
        "listings": _listings(trace),
        "timeline": timeline(trace, scenes),
        "legend": legend(scenes),
    }


def still(trace: Trace, index: int, uid: str = "") -> str:
    """Scene ``index`` as an SVG file of its own, with the step's words under it.

    Raises GraphvizMissing (an InputError that says what to install) and IndexError.
    """
    if not 0 <= index <= len(trace.steps):
        raise IndexError(
            f"no scene {index}: this run has scenes 0 (its start) to {len(trace.steps)} (its end)"
        )
    scenes = [trace.scene(number) for number in (range(index - 1, index + 1) if index else range(1))]
    told = words.Teller(trace, scenes, offset=max(0, index - 1))
    step = trace.steps[index - 1] if index else None
    changed = frozenset(_changed(scenes[0], scenes[-1])) if index else frozenset()
    drawing = drawing_of(trace)
    under, height = caption(trace, told, index, drawing.width, drawing.height)
    shown = look(scenes[-1], step, changed)
    name = uid or f"vx{token_hex(4)}"
    return standalone(drawing.svg(shown, name, trace.title, told.description(index), under, height))


def drawing_of(trace: Trace) -> Drawing:
    """The run's picture, laid out once however many stills are made of it."""
    try:
        return _DRAWINGS[trace]
    except (KeyError, TypeError):
        return _draw(trace, [trace.scene(index) for index in range(len(trace.steps) + 1)])


def _draw(trace: Trace, scenes: list[Scene], columns: tuple[tuple[str, ...], ...] = WIDE) -> Drawing:
    planned = plan(trace, scenes, columns)
    owners = OrderedDict.fromkeys(HUES)
    for scene in scenes:
        for cell in scene.cells().values():
            if cell.value is not None:
                owners[cell.value.owner] = None
    drawing = Drawing(planned, layout(digraph(planned)), tuple(owners))
    if columns is not WIDE:
        return drawing
    with suppress(TypeError):  # a trace that cannot be referred to weakly is laid out again
        _DRAWINGS[trace] = drawing
    return drawing


def look(scene: Scene, step: Step | None, changed: frozenset[str]) -> Look:
    """How ``scene`` looks after ``step``."""
    return Look(
        cells={place: cell_state(cell) for place, cell in scene.cells().items()},
        facts={f"{box.id}.{name}": value for box in scene.boxes for name, value in box.facts},
        moves={move_key(m): move_label(m) for m in step.moves} if step else {},
        changed=changed,
        here=frozenset({f"cpu{step.cpu}", step.thread}) if step else frozenset(),
    )


def _changed(before: Scene, after: Scene) -> list[str]:
    """Places whose value or whose worth is another one now."""
    old = before.cells()
    return [
        p for p, cell in after.cells().items() if p in old and cell_state(old[p])[:2] != cell_state(cell)[:2]
    ]


def _frame(trace: Trace, told: words.Teller, scenes: list[Scene], index: int) -> dict[str, Any]:
    scene = scenes[index]
    step = trace.steps[index - 1] if index else None
    changed = _changed(scenes[index - 1], scene) if index else []
    shown = look(scene, step, frozenset())
    frame: dict[str, Any] = {
        "cells": {place: list(state) for place, state in shown.cells.items()},
        "facts": dict(shown.facts),
        "moves": [[key, label] for key, label in shown.moves.items()],
        "changed": changed,
        "words": told.step_words(index),
        "now": told.now(index),
        "dangers": [list(danger) for danger in scene.dangers],
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
        "notes": list(step.notes),
        "preemptible": step.preemptible,
        "why_not": step.why_not,
        "quiet": not (
            step.changes or changed or step.accesses or step.moves or step.violations or step.notes
        ),
    }


def _listings(trace: Trace) -> dict[str, list[str]]:
    names = dict.fromkeys(level.function for step in trace.steps for level in step.stack)
    names.update(dict.fromkeys(step.function for step in trace.steps))
    found = {name: list(trace.listing(name)) for name in names if name}
    return {name: lines for name, lines in found.items() if lines}


def legend(scenes: list[Scene]) -> list[list[str]]:
    """[kind, key, word] rows: each owner that appears, then every status with its mark."""
    owners = dict.fromkeys(cell_state(c)[1] for scene in scenes for c in scene.cells().values())
    named = sorted(filter(None, owners), key=_order)
    rows = [["owner", owner, holder_words(owner)] for owner in named]
    return rows + [["status", status, status_words(status)] for status in STATUS_MARKS]


def _order(owner: str) -> tuple[int, str]:
    known = list(HUES)
    return (known.index(owner) if owner in known else len(known), owner)


# -- A picture of one step, for a notebook's cell: ``vmxsim.picture(trace, step)``.


@frozen
class Picture:
    """Scene ``index`` of ``trace``. A notebook shows it as SVG (or as a table with what to install), a
    terminal as words; ``svg`` is the file's text."""

    trace: Trace
    index: int

    @property
    def svg(self) -> str:
        """The picture as a file of its own. Raises GraphvizMissing where nothing can draw it."""
        return still(self.trace, self.index)

    def save(self, path: Any) -> None:
        """Write :attr:`svg` to a file."""
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.svg)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        try:
            html = self.svg
        except GraphvizMissing as error:
            html = html_table(self.trace.scene(self.index), "picture", str(error))
        return {"text/html": html, "text/plain": str(self)}

    def __str__(self) -> str:
        return f"{step_words(self.trace, self.index)}\n{now_words(self.trace, self.index)}"

    __repr__ = __str__


def picture(trace: Trace, step: int = -1) -> Picture:
    """The machine after ``step`` steps (0: the start; -1: the end, and so on backwards) as a picture.

    Raises IndexError for a step that the run does not have.
    """
    last = len(trace.steps)
    index = step + last + 1 if step < 0 else step
    if not 0 <= index <= last:
        raise IndexError(f"no step {step}: this run has steps 0 (its start) to {last} (its end)")
    return Picture(trace, index)
