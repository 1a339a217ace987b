"""``vmxsim.be_the_scheduler``: choose who runs and where a tick comes, and break the design."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as w

from vmxsim.designs import find_design
from vmxsim.game.game import Game
from vmxsim.kernel.kvm import Kvm
from vmxsim.widgets.message import Message
from vmxsim.widgets.player import Player
from vmxsim.widgets.scheduler_board import Board, board_state
from vmxsim.widgets.scheduler_film import game_film


def be_the_scheduler(
    design: str | type[Kvm] = "dedicated-accessors",
    *,
    host: str = "64-bit",
    cpus: int = 2,
    long_mode: bool | None = None,
    assume: str | Iterable[str] = (),
    par: int | None = None,
    budget: int | None = None,
) -> SchedulerGame:
    """A game to be shown by a notebook cell: break ``design`` in as few moves as the checker.

    ``design`` is an id, a commit's hash, a prefix or your own subclass of a design; ``long_mode`` says how
    the guest starts (None: as in the checker's shortest schedule). ``assume`` names assumptions of
    ``vmxsim.check``, which forbid moves. Moves are actions and ticks; ``par`` is what they are counted
    against (None: the fewest that the checker finds), ``budget`` how many there are. Stepping is free.

    Raises InputError.
    """
    options = {"host": host, "cpus": cpus, "long_mode": long_mode, "assume": assume}
    return SchedulerGame(Game(design, **options, par=par, budget=budget))  # type: ignore[arg-type]


class _Alert(Message):
    """What was wrong, told on the board: in a place that is always there."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def say(self, text: str) -> None:
        """Keep the message for the board."""
        self.text = text


class SchedulerGame(w.VBox):
    """The board over the player. ``game`` is the game that is played."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._own = game.setting.design
        self._said = ""
        self.message = _Alert()
        self.board, self.player = Board(), Player()
        self.board.on_ask(self._heard)
        super().__init__([self.board, self.player])
        self._refresh(None)

    def _heard(self, content: dict[str, Any]) -> None:
        before, self._said = self._look(), ""
        self.message.guard(lambda: self._answer(content))
        self._refresh(before, from_start=content.get("kind") == "show" and not self.message.text)

    def _look(self) -> tuple[Any, ...]:
        return self.game, self.game.at

    def _answer(self, content: dict[str, Any]) -> None:
        kind, game = content.get("kind"), self.game
        if kind == "do":
            game.do(str(content.get("name")))
        elif kind == "undo":
            game.undo()
        elif kind == "restart":
            game.restart()
        elif kind == "hint":
            self._said = f"Hint: {game.hint()}"
        elif kind == "possible":
            self._said = game.is_possible()
        elif kind == "show":
            game.show_solution()
            self._said = "The checker's schedule. Play it below; start over to try your own."
        elif kind == "next":
            self._start(game.next_design(), game.setting.host)
        elif kind == "game":
            name = content.get("design")
            self._start(self._own if name == "own" else str(name), str(content.get("host")))

    def _start(self, design: str | type[Kvm], host: str) -> None:
        """Another game: the same start and budget where they still fit."""
        here = self.game
        same = find_design(design) is here.setting.design
        long_mode = here.setting.long_mode if same and here.chose_start else None
        self.game = Game(
            design,
            host=host,
            cpus=here.setting.cpus,
            long_mode=long_mode,
            assume=here.assumed.names,
            budget=here.budget,
        )

    def _refresh(self, before: tuple[Any, ...] | None, from_start: bool = False) -> None:
        """The board at once; then the film, where another position is shown."""
        self.board.state = board_state(self.game, self._said, self.message.text)
        if before != self._look():
            film = game_film(self.game)
            self.player.show(film, 0 if from_start else len(film["frames"]) - 1)
        if from_start:
            self.player.look()
