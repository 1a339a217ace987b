"""A run as a film: one SVG laid out once, and for every step the texts and classes that change.

The browser switches frames without asking Python; :func:`still` draws one frame for paper.
Frame ``i`` is the scene after step ``i`` (from 1; frame 0 is the start).
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from secrets import token_hex
from typing import Any
from weakref import WeakKeyDictionary

from vmxsim.trace import Scene, Step, Trace
from vmxsim.views import words
from vmxsim.views.caption import caption
from vmxsim.views.graph import digraph
from vmxsim.views.plan import TALL, WIDE, move_key, move_label, plan
from vmxsim.views.render import GraphvizMissing, layout
from vmxsim.views.state import cell_state
from vmxsim.views.style import HUES, STATUS_MARKS, holder_words, status_words
from vmxsim.views.svg import Drawing, Look
from vmxsim.views.table import html_table
from vmxsim.views.timeline import timeline

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
    return drawing.svg(
        look(scenes[-1], step, changed),
        uid or f"vx{token_hex(4)}",
        trace.title,
        told.description(index),
        under,
        height,
    )


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
