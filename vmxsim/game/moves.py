"""The moves of a play in words: each action, each tick and the line that it came before."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vmxsim.game.playing import Play, Run
from vmxsim.game.position import Position


@frozen
class Move:
    """``text`` is the action's, or says where a tick came; ``tick`` tells the two apart;
    ``pending``: it came while preemption was disabled. ``step`` is the index of the run's
    step right behind it."""

    text: str
    tick: bool
    pending: bool
    step: int


def moves_of(run: Run, plays: Sequence[Play]) -> tuple[Move, ...]:
    """What counts in a play: actions and ticks, in order."""
    found = []
    for first, play in zip(run.first, plays, strict=True):
        found.append(Move(play.action, False, False, first))
        for offset, cpu in play.ticks:
            at = Position(run, first + offset)
            line = f"line {at.instruction.line} of {at.function}()" if at.instruction else "the next line"
            words = f"tick before {line}, on to CPU {cpu}"
            found.append(Move(words, True, not at.preemptible, first + offset))
    return tuple(found)
