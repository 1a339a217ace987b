"""The learner's turns: moves made so far, how far the last action is shown, undo."""

from __future__ import annotations

from functools import cached_property

from attrs import evolve

from vmxsim.action_syntax import parse_action
from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.values import GUEST_VALUES
from vmxsim.errors import InputError, nearest, printable
from vmxsim.game.broken import Broken, broken_at
from vmxsim.game.moves import Move, moves_of
from vmxsim.game.options import Option, options, why_no_tick, why_not
from vmxsim.game.playing import Play, Run, Setting
from vmxsim.game.position import Position

#: Moves that cost nothing, and what they do.
FREE = {
    "next line": "let it run on for one line",
    "next function": "let it run on until the function is another",
    "to the end": "let it run to the end of the action",
    "back": "one line back, not behind the last move",
}


class Turns:
    """What was played in ``setting``; ``budget`` is the most moves, None for no limit."""

    def __init__(self, setting: Setting, assumed: Restriction, budget: int | None) -> None:
        self.setting, self.assumed, self.budget = setting, assumed, budget
        self.plays: list[Play] = []
        self._history: list[tuple[list[Play], int]] = []
        self.restart()

    # -- what there is

    @property
    def count(self) -> int:
        """How many moves were made: actions and ticks."""
        return sum(1 + len(play.ticks) for play in self.plays)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves in words."""
        return moves_of(self.run, self.plays)

    @property
    def options(self) -> tuple[Option, ...]:
        """All moves, those that are not possible now with the reason, then the free ones."""
        over = self._over()
        found = options(self.at, self.assumed, self.setting.cpus)
        counted = tuple(evolve(option, why_not=over or option.why_not) for option in found)
        return counted + tuple(
            Option(name, "scheduler", words, self._why_not_free(name), counts=False)
            for name, words in FREE.items()
        )

    @cached_property
    def broken(self) -> Broken | None:
        """What broke so far; a game that is won goes on only by undo."""
        return broken_at(self.at, self._is_early)

    # -- moves

    def do(self, name: str) -> None:
        """Make a move: an action as a scenario writes it, ``tick cpu1`` (at rest the same as ``preempt
        cpu1``), or a free one. Raises InputError with the reason where it is not possible."""
        words = " ".join(str(name).split())
        if words in FREE:
            self._refuse(words, self._why_not_free(words))
            self._free(words)
        elif words.startswith(("tick ", "preempt")):
            action = parse_action(f"preempt {words.split(maxsplit=1)[-1]}" if words != "preempt" else words)
            self._tick(action.cpu or 0)
        else:
            self._act(words)

    def _act(self, words: str) -> None:
        try:
            action = parse_action(words)
        except InputError as error:
            names = [option.name for option in self.options]
            near = nearest(words, names)
            raise InputError(f"no move '{printable(words)}'{near}; {error.message}") from None
        if action.expected is not None:
            raise InputError("a move states no expectation: leave '->' out", printable(words))
        if action.value is not None and action.value not in GUEST_VALUES:
            values = " and ".join(f"0x{value:X}" for value in GUEST_VALUES)
            raise InputError(f"the game knows the values {values}", printable(words))
        value = "" if action.value is None else f" 0x{action.value:X}"
        name = f"{action.verb}{value}"
        self._refuse(name, self._over() or why_not(name, self.at, self.assumed))
        self._start(name)

    def _start(self, action: str) -> None:
        self._move([*self.plays, Play(action)], 1)

    def _tick(self, cpu: int) -> None:
        if cpu >= self.setting.cpus:
            raise InputError(f"there is no CPU {cpu}; the last is cpu{self.setting.cpus - 1}", "tick")
        self._refuse(f"tick cpu{cpu}", self._over() or why_no_tick(cpu, self.at, self.assumed))
        if self.at.at_rest:
            self._start(f"preempt cpu{cpu}")
            return
        play, at_once = self.plays[-1], self.at.preemptible
        offset = self.at.shown - self.run.first[-1]
        self._move([*self.plays[:-1], evolve(play, ticks=(*play.ticks, (offset, cpu)))], 1)
        while at_once and self.at.scheduling and self.broken is None:  # nobody can act in between
            self._show(self.at.shown + 1)

    def _move(self, plays: list[Play], steps: int) -> None:
        self._history.append((self.plays, self.at.shown))
        self._show(self.at.shown + steps, plays)

    def _refuse(self, name: str, why: str) -> None:
        if why:
            raise InputError(f"'{name}' is not possible now: {why}")

    def _over(self) -> str:
        """Why no move counts any more, '' if one does."""
        if self.broken is not None:
            return "something is broken already: undo, or start over"
        if self.budget is not None and self.count >= self.budget:
            return f"your {self.budget} moves are used up: undo, or start over"
        return ""

    # -- moves that are free

    def _why_not_free(self, name: str) -> str:
        if name == "back":
            return "" if self.at.shown > self._floor else "the last move comes right before"
        if self.broken is not None:
            return "something is broken: undo, or start over"
        return "no action is under way: choose one" if self.at.at_rest else ""

    @property
    def _floor(self) -> int:
        """How far back is free: right behind the last move."""
        if not self.plays:
            return 0
        ticks = self.plays[-1].ticks
        return self.run.first[-1] + (ticks[-1][0] if ticks else 0) + 1

    def _free(self, name: str) -> None:
        function = self.at.function
        if name == "to the end":
            self._show(self.run.length)
            return
        self._show(self.at.shown + (-1 if name == "back" else 1))
        while name == "next function" and self.at.function == function and not self._why_not_free(name):
            self._show(self.at.shown + 1)

    # -- position

    def _show(self, shown: int, plays: list[Play] | None = None) -> None:
        """Show so many steps, no further than to what breaks."""
        if plays is not None:
            self.plays, self.run = plays, Run(self.setting, plays)
        first = next((v.step + 1 for v in self.run.trace.violations), self.run.length)
        self.at = Position(self.run, min(shown, first, self.run.length))
        self.__dict__.pop("broken", None)

    def wrote(self, before: int) -> bool:
        """Whether the guest wrote a value in long mode by an action that began before a step."""
        trace = self.run.trace
        return any(
            play.action.startswith("guest wrmsr")
            and first < before
            and trace.machine(first).vcpus[0].long_mode
            for first, play in zip(self.run.first, self.plays, strict=True)
        )

    def _is_early(self, step: int) -> bool:
        if not self.assumed.guest_wrote_first:
            return False
        began = next(n for n in range(step, -1, -1) if Position(self.run, n).is_choice)
        return not self.wrote(began)

    def undo(self) -> None:
        """Take the last move back. Raises InputError where there is none."""
        if not self._history:
            raise InputError("nothing to undo: no move was made yet", "undo")
        plays, shown = self._history.pop()
        self._show(shown, plays)

    def restart(self) -> None:
        """Start over."""
        self._history = []
        self._show(0, [])
