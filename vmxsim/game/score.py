"""How good a play was: its moves against par, and the best of this session."""

from __future__ import annotations

from collections.abc import Hashable

from attrs import frozen

#: The fewest moves with which each game was won in this session, help not taken.
_best: dict[Hashable, int] = {}


@frozen
class Score:
    """``moves`` is what a win took, ``par`` the fewest possible (None: not known), ``hints`` how many
    were asked for; ``told``: the checker's schedule had been shown."""

    moves: int
    par: int | None
    hints: int = 0
    told: bool = False

    @property
    def stars(self) -> int:
        """Three at par (or where nobody knows it), two at one over, else one; none if it was shown."""
        if self.told:
            return 0
        return 3 if self.par is None else max(1, 3 - max(0, self.moves - self.par))

    @property
    def words(self) -> str:
        """``2 moves: par``, ``3 moves: 1 over par, with 2 hints``."""
        text = f"{self.moves} move{'s' * (self.moves != 1)}"
        if self.par is not None:
            text += f": {against_par(self.moves, self.par)}"
        if self.hints:
            text += f", with {self.hints} hint{'s' * (self.hints != 1)}"
        return f"{text}; no score, the checker's schedule was shown" if self.told else text


def against_par(moves: int, par: int) -> str:
    """``par``, ``1 over par``, ``1 under par``."""
    if moves == par:
        return "par"
    return f"{abs(moves - par)} {'over' if moves > par else 'under'} par"


def keep(game: Hashable, score: Score) -> None:
    """Remember a win if it is the best so far. ``game`` says of which game it is."""
    if not score.told and not score.hints:
        _best[game] = min(score.moves, _best.get(game, score.moves))


def best(game: Hashable) -> int | None:
    """The fewest moves of this session without help, None before the first win."""
    return _best.get(game)
