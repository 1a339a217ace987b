"""``vmxsim.replay``: a recorded ftrace in the player, below its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from vmxsim.errors import InputError, printable
from vmxsim.ftrace.recording import read, verdict
from vmxsim.simulation.trace import Trace, Window, windows
from vmxsim.views.film import film
from vmxsim.widgets.message import Again, Message
from vmxsim.widgets.player import Player

_MARKS = {
    "ok": "✔ no invariant is violated",
    "violated": "✖ an invariant is violated",
    "inconclusive": "? inconclusive",
}


def replay(path: str | Path, design: str | None = None) -> Replayer:
    """A recorded ftrace as a widget: its verdict, and every event to step through.

    ``path`` is a file or the name of a shipped example; with ``design``, the verdict says whether the
    trace fits that design. Raises InputError for a file that cannot be read.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"expected a file or the name of an example, not {printable(repr(path))}", "path")
    recording = read(path)
    return Replayer(recording, verdict(recording, design))


class Replayer(Again, w.VBox):
    """Verdict and player; a long recording is played in stretches."""

    def __init__(self, recording: Trace, judged: Mapping[str, Any]) -> None:
        self.recording = recording
        self.verdict = judged
        self.player = Player()
        self._windows = windows(recording)
        shown = _first_worth_seeing(recording)
        number = next((i for i, (first, last) in enumerate(self._windows) if first < shown <= last), 0)
        self.stretch = w.Dropdown(
            description="Events",
            options=[
                (f"{first + 1} to {last} of {len(recording.steps)}", i)
                for i, (first, last) in enumerate(self._windows)
            ],
            value=number,
            layout={"width": "auto"} if len(self._windows) > 1 else {"display": "none"},
        )
        self.message = Message()
        self.stretch.observe(lambda change: self.message.guard(lambda: self._play(change["new"], 0)), "value")
        super().__init__([w.HTML(_told(judged)), self.stretch, self.message, self.player])
        self.add_class("vmxsim-replay")
        self._play(number, max(0, shown - self._windows[number][0]))

    def __repr__(self) -> str:
        judged = self.verdict
        words = f"{judged['invariant']}: {judged['words']} " if judged["invariant"] else ""
        return f"A recording, judged {judged['verdict']}. {words}{self.player!r}"

    def _play(self, number: int, position: int) -> None:
        first, last = self._windows[number]
        self.player.show(film(Window(self.recording, first, last)), position)


def _first_worth_seeing(recording: Trace) -> int:
    """The scene to open at: the first violation, or else the first access to the register."""
    broken = (v.step for v in recording.violations if v.step >= 0)
    accessed = (s.index for s in recording.steps if any(a.kind in ("rdmsr", "wrmsr") for a in s.accesses))
    return next(broken, next(accessed, -1)) + 1


def _told(judged: Mapping[str, Any]) -> str:
    """The verdict as HTML. Its text comes from a file and is escaped."""
    event = judged["event"]
    parts = [f"<strong>{_MARKS[judged['verdict']]}</strong>"]
    if judged["invariant"]:
        parts.append(f" (<code>{escape(judged['invariant'])}</code>)")
    if event:
        where = f"line {event['line']}, {event['time']} s, CPU {event['cpu']}, {event['name']}"
        parts.append(f": {escape(where)}")
    lines = ["".join(parts)]
    if judged["words"]:
        lines.append(escape(judged["words"]))
    lines.append(f"Fits: {escape(', '.join(judged['fits']) or 'none of the designs')}.")
    if judged["ruled_out"]:
        out = ", ".join(f"{design} (line {line})" for design, line in judged["ruled_out"].items())
        lines.append(f"Ruled out: {escape(out)}.")
    lines += [f"Note: {escape(note)}" for note in judged["notes"]]
    body = "".join(f"<div>{line}</div>" for line in lines)
    return f'<div class="vmxsim-verdict" style="line-height:1.45;overflow-wrap:anywhere">{body}</div>'
