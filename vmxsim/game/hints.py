"""Hints, one by one: how far it is from here, who moves next, which move it is."""

from __future__ import annotations

from vmxsim.checker.search import Path
from vmxsim.game.packed import Packer
from vmxsim.game.position import Position
from vmxsim.game.score import against_par
from vmxsim.game.solution import FirstMove, Solution, cost, first_move

#: How many hints a position has.
LEVELS = 3
#: What is said where the checker has no state.
NO_HINT = "There is no hint here: let the action run to its end, then ask again."

_WHO = {
    "guest": "The guest moves next.",
    "exit": "The guest moves next.",
    "emulate": "KVM's emulator moves next.",
    "preempt": "The scheduler moves next, right here.",
}


class Hints:
    """Asks the checker for the fewest moves from a position. The tables are made at the first question."""

    def __init__(self, solution: Solution) -> None:
        self._solution = solution
        self._packer: Packer | None = None

    def path(self, at: Position, guest_wrote: bool) -> tuple[Position, Path | None] | None:
        """The next position from which the checker can be asked, and the path with the fewest moves from
        there; None where there is no such position."""
        if self._solution.control is None:
            return None
        if self._packer is None:
            self._packer = Packer(self._solution.control)
        for shown in range(at.shown, at.run.length + 1):
            here = Position(at.run, shown) if shown > at.shown else at
            if here.is_choice:
                state = self._packer.pack(here, guest_wrote)
                if state is not None:
                    return here, self._solution.from_here(state)
        return None

    def words(self, at: Position, guest_wrote: bool, level: int, moves: int, par: int | None) -> str:
        """Hint number ``level`` (from 1) at a position to which ``moves`` moves led."""
        found = self.path(at, guest_wrote)
        if found is None:
            return NO_HINT
        here, path = found
        if path is None:
            return "From here nothing can break it any more: undo."
        told = [_distance(cost(path), moves, par)]
        assert self._solution.control is not None
        first = first_move(path, self._solution.control)
        if first is None:
            return f"{told[0]} Let it run on."
        if level > 1:
            told.append(_who(first))
        if level > 2:
            told = [_which(first, here, at)]
        return told[-1]


def _distance(left: int, moves: int, par: int | None) -> str:
    if not left:
        return "It breaks by itself now: no move is missing."
    words = f"From here it takes {left} more move{'s' * (left > 1)}"
    if not moves:
        return f"{words}."
    total = moves + left
    over = f", {against_par(total, par)}" if par is not None else ""
    undo = " Undo to come to par." if par is not None and total > par else ""
    return f"{words}: {total} in all{over}.{undo}"


def _who(first: FirstMove) -> str:
    if not first.action:
        return f"The scheduler moves next: a tick inside {first.function}()."
    return _WHO.get(first.action.split()[0], "User space moves next.")


def _which(first: FirstMove, here: Position, at: Position) -> str:
    if first.action:
        run_on = "Let the action run to its end, then: " if not at.at_rest else ""
        action = "a tick" if first.action.startswith("preempt") else first.action
        return f"{run_on}{action}." if run_on else f"Next: {action}."
    return f"A tick before line {first.line} of {first.function}(): {first.source}"
