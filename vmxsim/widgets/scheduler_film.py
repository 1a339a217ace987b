"""A game as a film: what has happened so far and nothing of what is to come, on one unchanging picture.

A picture has room for the arrows of its run. So that it stays the same while a game goes on, it is
laid out for a rehearsal: a run that does everything once, on every CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from vmxsim.errors import InputError
from vmxsim.game.game import Game
from vmxsim.game.playing import Play, Run, Setting
from vmxsim.runtrace import RunTrace
from vmxsim.trace import Scene, Step, Violation
from vmxsim.views.film import film
from vmxsim.views.plan import move_key
from vmxsim.widgets.window import Window

#: Steps that a film of a game holds at most, so that a move is shown at once.
MOST_STEPS = 200

#: What is taken over from the rehearsal's film.
_PICTURE = ("svg", "tall", "uid", "missing")


def game_film(game: Game) -> dict[str, Any]:
    """The film of what was shown of a game, long ones from the start of an action on."""
    shown = game.at.shown
    starts = [first for first in game.run.first if shown - first <= MOST_STEPS]
    told = film(Window(game.trace, 0 if shown <= MOST_STEPS or not starts else starts[0], shown))
    stage = _stage(game.setting)
    if stage is not None and {key for frame in told["frames"] for key, _ in frame["moves"]} <= stage["keys"]:
        told |= {name: stage[name] for name in _PICTURE}
    return told


@lru_cache(maxsize=16)
def _stage(setting: Setting) -> dict[str, Any] | None:
    """The picture with room for every arrow; None for a design on which the rehearsal cannot be played."""
    try:
        run = Run(setting, [Play(action) for action in _rehearsal(setting)])
    except InputError:
        return None
    drawn = film(_Essence(run.trace))
    keys = {move_key(move) for step in run.trace.steps for move in step.moves}
    return {name: drawn[name] for name in _PICTURE} | {"keys": keys | {">"}}


def _rehearsal(setting: Setting) -> Iterator[str]:
    """Everything once in each mode on every CPU."""
    on = setting.long_mode
    for cpu in range(setting.cpus):
        yield f"preempt cpu{cpu}"
        for _ in range(2):
            yield from ("set-msr 0xA000", "get-msr", "run", "guest rdmsr", "guest wrmsr 0xB000")
            yield from ("emulate rdmsr", "emulate wrmsr 0xA000", *(["guest swapgs"] if on else []))
            yield from ("guest smi", "exit", "run", "guest rsm", f"preempt cpu{cpu}")
            on = not on
            yield from (f"guest long-mode {'on' if on else 'off'}", "exit")


class _Essence:
    """The steps of a run at which something is seen for the first time: an arrow, an owner, a longer text."""

    def __init__(self, trace: RunTrace) -> None:
        self._trace = trace
        self.title, self.subtitle = trace.title, trace.subtitle
        self.actions: Sequence[str] = trace.actions
        self.violations: Sequence[Violation] = ()
        self.notes: Sequence[str] = ()
        seen: set[Any] = set()
        self._scenes = [trace.scene(0)]
        self.steps: list[Step] = []
        for index, step in enumerate(trace.steps, 1):
            scene = trace.scene(index)
            news = {move_key(move) for move in step.moves} | _texts(scene)
            if news - seen:
                seen |= news
                self.steps.append(step)
                self._scenes.append(scene)

    def scene(self, index: int) -> Scene:
        """The scene behind step ``index``."""
        return self._scenes[index]

    def listing(self, function: str) -> Sequence[str]:
        """Sources do not matter here."""
        return ()


def _texts(scene: Scene) -> set[Any]:
    facts = {(box.id, name, len(value)) for box in scene.boxes for name, value in box.facts}
    return facts | {(box.kind, cell.value.owner) for box in scene.boxes for cell in box.cells if cell.value}
