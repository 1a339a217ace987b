"""The widget that plays one film, or two side by side.

The front end is in ``vmxsim/web``. Frames are computed once per run and switched in the browser,
so stepping needs no running kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from vmxsim.errors import counted
from vmxsim.web.assets import PLAYER, script, style
from vmxsim.widgets.message import Again


class Player(Again, anywidget.AnyWidget):
    """Plays films made by ``vmxsim.views.film.film``.

    A position is a frame of one film (0 is the start); with two films, ``pairs[position]`` holds a
    frame of each. Only Python writes ``start`` and only the browser writes ``shown``, together with
    the run's number: a position sent just before a new run starts is not mistaken for one in that run.
    """

    _esm = script((*PLAYER, "player"))
    _css = style(("player", "gates", "stage", "controls"))

    films = traitlets.List(traitlets.Dict()).tag(sync=True)
    pairs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    divergence = traitlets.Dict().tag(sync=True)
    start = traitlets.Int(0).tag(sync=True)
    run = traitlets.Int(0).tag(sync=True)
    shown = traitlets.Tuple((0, 0)).tag(sync=True)
    skip_quiet = traitlets.Bool(True).tag(sync=True)
    #: Questions that block the steps after them (``Question.as_data`` plus ``locked``, ``votes``, ``film``),
    #: in order, and the answers by question id: {choice, right, votes}.
    gates: traitlets.List[Any] = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    #: Presentation mode: large type, and the forward key goes to the next of ``stops`` (a list per film).
    presenting = traitlets.Bool(False).tag(sync=True)
    stops: traitlets.List[Any] = traitlets.List().tag(sync=True)
    words = traitlets.Bool(True).tag(sync=True)
    #: Seconds that an audience has for a question; 0: none are counted.
    countdown = traitlets.Int(0).tag(sync=True)
    #: What a presenter wants to say, by action.
    notes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    can_preempt = traitlets.Bool(False).tag(sync=True)
    #: When it was made, in seconds: a question that the reader has just asked for takes the focus.
    made = traitlets.Float().tag(sync=True)

    @traitlets.default("made")
    def _now(self) -> float:
        return time.time()

    def __repr__(self) -> str:
        films = [
            f"{film['title']} ({film['subtitle']}), {counted(len(film['frames']) - 1, 'step')}"
            for film in self.films
        ]
        asked = f", with {counted(len(self.gates), 'question')}" if self.gates else ""
        return f"A player: {' beside '.join(films) or 'no run yet'}{asked}."

    @property
    def position(self) -> int:
        """The position on display."""
        run, slot = self.shown
        return int(slot) if run == self.run else self.start

    def show(
        self, film: Mapping[str, Any], position: int = 0, gates: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Play one film from ``position``. The browser receives everything in one message."""
        self.show_two([film], [], {}, position, gates)

    def show_two(
        self,
        films: Sequence[Mapping[str, Any]],
        pairs: Sequence[tuple[int, int]],
        divergence: Mapping[str, Any],
        position: int = 0,
        gates: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Play two films on one schedule.

        ``divergence`` has ``text``, shown above the films, and, if they diverge, ``slot``
        and ``words`` for the mark on the timelines.
        """
        with self.hold_sync():
            self.films, self.pairs = [dict(film) for film in films], [list(pair) for pair in pairs]
            self.gates = [dict(gate) for gate in gates]
            self.divergence, self.start, self.run = dict(divergence), position, self.run + 1

    def look(self) -> None:
        """Scroll to the player and give it the keyboard focus."""
        self.send({"kind": "look"})

    def on_tick(self, handler: Callable[[int, int], None]) -> None:
        """Offer "preempt here", which calls ``handler(step, cpu)``: a tick after ``step``, after which
        the thread resumes on ``cpu``."""

        def heard(_widget: Player, content: Any, _buffers: Any) -> None:
            if isinstance(content, dict) and content.get("kind") == "tick":
                handler(int(content["step"]), int(content["cpu"]))

        self.can_preempt = True
        self.on_msg(heard)
