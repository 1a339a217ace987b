"""The player: plays one film, or two side by side, in a notebook.

The front end is ``vmxsim/web``. Frames are computed once per run and switched in the browser:
stepping needs no kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from vmxsim.views.style import STATUS_MEANINGS
from vmxsim.web.assets import PLAYER, script, style


class Player(anywidget.AnyWidget):
    """Plays films made by ``vmxsim.views.film.film``.

    A slot is a frame of one film (0 is the start); with two, ``pairs[slot]`` are the
    frames, one a film. ``start`` is written here only and ``shown`` by the browser only,
    with the number of the run it speaks of: so a position on its way when a new run is
    made cannot be taken for one in that run.
    """

    _esm = script((*PLAYER, "player"))
    _css = style()

    films = traitlets.List(traitlets.Dict()).tag(sync=True)
    pairs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    divergence = traitlets.Dict().tag(sync=True)
    start = traitlets.Int(0).tag(sync=True)
    run = traitlets.Int(0).tag(sync=True)
    shown = traitlets.Tuple((0, 0)).tag(sync=True)
    skip_quiet = traitlets.Bool(False).tag(sync=True)
    meanings = traitlets.Dict(STATUS_MEANINGS).tag(sync=True)
    #: Questions that bar the steps behind them (``Question.as_data``, with ``locked``, ``votes``, ``film``),
    #: in order, and what was answered, by their ids: {choice, right, votes}.
    gates: traitlets.List[Any] = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    #: On a stage: large type, and the forward key goes to the frames of ``stops`` (a list a film).
    presenting = traitlets.Bool(False).tag(sync=True)
    stops: traitlets.List[Any] = traitlets.List().tag(sync=True)
    words = traitlets.Bool(True).tag(sync=True)
    can_preempt = traitlets.Bool(False).tag(sync=True)

    @property
    def position(self) -> int:
        """The slot that the reader sees."""
        run, slot = self.shown
        return int(slot) if run == self.run else self.start

    def show(
        self, film: Mapping[str, Any], position: int = 0, gates: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Play one film, from ``position``, with questions. The browser gets all in one message."""
        with self.hold_sync():
            self.films, self.pairs, self.divergence = [dict(film)], [], {}
            self.gates = [dict(gate) for gate in gates]
            self.start, self.run = position, self.run + 1

    def show_two(
        self,
        films: Sequence[Mapping[str, Any]],
        pairs: Sequence[tuple[int, int]],
        divergence: Mapping[str, Any],
        position: int = 0,
        gates: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Play two films on one schedule.

        ``divergence`` has ``text``, shown above the films, and, where they part, ``slot``
        and ``words`` for the mark on the timelines.
        """
        with self.hold_sync():
            self.films, self.pairs = [dict(film) for film in films], [list(pair) for pair in pairs]
            self.gates = [dict(gate) for gate in gates]
            self.divergence, self.start, self.run = dict(divergence), position, self.run + 1

    def look(self) -> None:
        """Bring the player into the reader's view, with the keyboard's focus on it."""
        self.send({"kind": "look"})

    def on_tick(self, handler: Callable[[int, int], None]) -> None:
        """Offer "preempt here"; ``handler(step, cpu)`` hears of it: a tick after frame
        ``step``, the thread to run on CPU ``cpu`` next."""

        def heard(_widget: Player, content: Any, _buffers: Any) -> None:
            if isinstance(content, dict) and content.get("kind") == "tick":
                handler(int(content["step"]), int(content["cpu"]))

        self.can_preempt = True
        self.on_msg(heard)
