"""The game: choose who runs next and where a tick comes, and break the design in the fewest moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.explanation import explain
from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, counted, nearest, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS, Scenario, make_scenario, parse_action, scenario_yaml
from vmxsim.teaching.game import solution as scores
from vmxsim.teaching.game.moves import (
    Move,
    Option,
    action_name,
    moves_of,
    options,
    values_of,
    why_no_signal,
    why_no_tick,
    why_not,
)
from vmxsim.teaching.game.playing import SIGNAL, Play, Position, Run, Setting, as_plays, as_scenario
from vmxsim.teaching.game.solution import LEVELS, NO_HINT, Hints, Score, solve


@frozen
class Broken:
    """What broke: ``invariant`` (``contract``: the design did what the kernel must not), why in ``words``,
    a short name of the ``mechanism``. ``early``: an assumption says that it does not count."""

    invariant: str
    words: str
    mechanism: str
    early: bool = False


def broken_at(at: Position, is_early: Callable[[int], bool]) -> Broken | None:
    """What is broken at a position, None if nothing is; ``is_early`` says whether a step came too early."""
    run = at.run
    found = next((v for v in run.trace.violations if v.step < at.shown), None)
    if found is not None:
        why = explain(run.trace, found.invariant)
        assert why is not None
        return Broken(found.invariant, why.words, why.mechanism, is_early(found.step))
    if run.failure and at.shown == run.length:
        return Broken("contract", run.failure, "the design does what the kernel must not")
    return None


#: Moves that cost nothing, and what they do.
FREE = {
    "next line": "let it run one line",
    "next function": "let it run until the function changes",
    "to the end": "let it run to the end of the action",
    "back": "one line back, but not past the last move",
}


#: CPUs that a game may have.
MOST_CPUS = 4


class Game:
    """A game; its arguments are those of ``vmxsim.be_the_scheduler``.

    ``solution`` is what the checker knows. ``do`` makes a move, ``options`` are all of them,
    ``broken`` is what broke. Raises InputError.
    """

    def __init__(
        self,
        design: str | type[Kvm] = "dedicated-accessors",
        *,
        host: str = HOSTS[0],
        cpus: int = 2,
        long_mode: bool | None = None,
        assume: str | Iterable[str] = (),
        par: int | None = None,
        budget: int | None = None,
    ) -> None:
        chosen: Any = find_design(design)
        if host not in HOSTS:
            raise unknown("host", host, HOSTS)
        for name, value, most in (("cpus", cpus, MOST_CPUS), ("par", par, 99), ("budget", budget, 99)):
            if value is not None and (type(value) is not int or not 1 <= value <= most):
                raise InputError(
                    f"expected a whole number from 1 to {most}, not {printable(repr(value))}", name
                )
        if long_mode not in (None, False, True):
            raise InputError(f"expected True, False or None, not {printable(repr(long_mode))}", "long_mode")
        assumed = restriction(assume)
        self.solution = solve(chosen, host, cpus, long_mode, assumed)
        starts = (long_mode, self.solution.long_mode, assumed.long_modes[0])
        start = next(start for start in starts if start is not None)
        self.par = self.solution.moves if par is None else par
        self.told, self.chose_start = False, long_mode is not None
        self._hints = Hints(self.solution)
        title = f"Your schedule on {name_of(chosen)}"
        self.setting = Setting(chosen, host, cpus, start, title, self.solution.bases)
        self.assumed, self.budget = assumed, budget
        #: What was played.
        self.plays: list[Play] = []
        #: How many moves were taken back before something broke; a new attempt after a win starts at 0.
        self.taken_back = 0
        self._history: list[tuple[list[Play], int]] = []
        self.restart()

    def __repr__(self) -> str:
        par = "?" if self.par is None else self.par
        return f"<Game: {self.name}, {self.setting.host} host; {self.count} moves, par {par}>"

    @property
    def count(self) -> int:
        """How many moves were made: actions, ticks and signals."""
        return sum(1 + len(play.interrupts) for play in self.plays)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves in words."""
        return moves_of(self.run, self.plays)

    @property
    def options(self) -> tuple[Option, ...]:
        """All moves, those that are not possible now with the reason, then the free ones."""
        over = self.over
        found = options(self.at, self.assumed, self.setting.cpus)
        counted = tuple(evolve(option, why_not=over or option.why_not) for option in found)
        return counted + tuple(
            Option(name, "scheduler", name, words, self._why_not_free(name), counts=False)
            for name, words in FREE.items()
        )

    @cached_property
    def broken(self) -> Broken | None:
        """What broke so far; once a game is won, only undo is left."""
        return broken_at(self.at, self._is_early)

    def do(self, name: str) -> None:
        """Make a move: an action as a scenario writes it, ``tick cpu1`` (at rest the same as ``preempt
        cpu1``), ``signal``, or a free one. Raises InputError with the reason where it is not possible."""
        words = " ".join(str(name).split())
        if words in FREE:
            self._refuse(words, self._why_not_free(words))
            self._free(words)
        elif words.startswith(("tick ", "preempt")):
            action = parse_action(f"preempt {words.split(maxsplit=1)[-1]}" if words != "preempt" else words)
            self._tick(action.cpu or 0)
        elif words == SIGNAL:
            self._signal()
        else:
            self._act(words)

    def _act(self, words: str) -> None:
        try:
            action = parse_action(words)
        except InputError as error:
            near = nearest(words, [option.name for option in self.options])
            raise InputError(f"no move '{printable(words)}'{near}; {error.message}") from None
        if action.expected is not None:
            raise InputError("a move cannot have an expectation: leave out '->'", printable(words))
        known = values_of(action.verb, self.at)
        if not known:
            raise InputError("all user GS bases are 0 in this game, and stay 0", printable(words))
        if action.value not in known:
            values = " and ".join(f"0x{value:X}" for value in known)
            only = f"the values {values}" if len(known) > 1 else f"only the value {values} now"
            raise InputError(f"the game knows {only}", printable(words))
        name = action_name(action.verb, action.value)
        self._refuse(name, self.over or why_not(action.verb, action.value, self.at, self.assumed))
        self._start(name)

    def _start(self, action: str) -> None:
        self._move([*self.plays, Play(action)], 1)

    def _tick(self, cpu: int) -> None:
        if cpu >= self.setting.cpus:
            raise InputError(f"there is no CPU {cpu}; the last is cpu{self.setting.cpus - 1}", "tick")
        self._refuse(f"tick cpu{cpu}", self.over or why_no_tick(cpu, self.at, self.assumed))
        if self.at.at_rest:
            self._start(f"preempt cpu{cpu}")
            return
        play, at_once = self.plays[-1], self.at.preemptible
        offset = self.at.shown - self.run.first[-1]
        self._move([*self.plays[:-1], evolve(play, ticks=(*play.ticks, (offset, cpu)))], 1)
        while at_once and self.at.scheduling and self.broken is None:  # nobody can act in between
            self._show(self.at.shown + 1)

    def _signal(self) -> None:
        self._refuse(SIGNAL, self.over or why_no_signal(self.at, self.assumed))
        offset = self.at.shown - self.run.first[-1]
        self._move([*self.plays[:-1], evolve(self.plays[-1], signal=offset)], 1)

    def _move(self, plays: list[Play], steps: int) -> None:
        self._history.append((self.plays, self.at.shown))
        self._show(self.at.shown + steps, plays)

    def _refuse(self, name: str, why: str) -> None:
        if why:
            raise InputError(f"'{name}' is not possible now: {why}")

    @property
    def over(self) -> str:
        """Why no move counts anymore, '' if one does."""
        if self.broken is not None:
            return "something is already broken: undo, or start over"
        if self.budget is not None and self.count >= self.budget:
            used = "is" if self.budget == 1 else "are"
            return f"your {counted(self.budget, 'move')} {used} used up: undo, or start over"
        return ""

    def _why_not_free(self, name: str) -> str:
        if name == "back":
            return "" if self.at.shown > self._floor else "the last move comes right before"
        if self.broken is not None:
            return self.over
        return "no action is in progress: choose one" if self.at.at_rest else ""

    @property
    def _floor(self) -> int:
        """How far back is free: right after the last move."""
        if not self.plays:
            return 0
        interrupts = self.plays[-1].interrupts
        return self.run.first[-1] + (interrupts[-1][0] if interrupts else 0) + 1

    def _free(self, name: str) -> None:
        function = self.at.function
        if name == "to the end":
            self._show(self.run.length)
            return
        self._show(self.at.shown + (-1 if name == "back" else 1))
        while name == "next function" and self.at.function == function and not self._why_not_free(name):
            self._show(self.at.shown + 1)

    def _show(self, shown: int, plays: list[Play] | None = None) -> None:
        """Show so many steps, no further than to what breaks."""
        if plays is not None:
            self.plays, self.run = plays, Run(self.setting, plays)
        first = next((v.step + 1 for v in self.run.trace.violations), self.run.length)
        self.at = Position(self.run, min(shown, first, self.run.length))
        self.__dict__.pop("broken", None)
        self._asked, self._last_hint = 0, ""
        if self.score is not None:
            scores.keep(self.key, self.score)

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
        """Take the last move back. Raises InputError if there is none."""
        if not self._history:
            raise InputError("nothing to undo: no move has been made yet", "undo")
        self.taken_back += not self.won
        plays, shown = self._history.pop()
        self._show(shown, plays)

    def restart(self) -> None:
        """Start over. The hints that were taken are forgotten; the moves count as taken back."""
        if self.plays:
            self.taken_back = 0 if self.won else self.taken_back + self.count
        self.hints = 0
        self._history = []
        self._show(0, [])

    @property
    def name(self) -> str:
        """The design's id, or the class's name of a reader's own."""
        return name_of(self.setting.design)

    @property
    def trace(self) -> RunTrace:
        """The run, to the end of its last action: steps from ``at.shown`` on are still to come."""
        return self.run.trace

    @property
    def scenario(self) -> Scenario:
        """What was played as a scenario: ``vmxsim.run`` plays the same. Raises InputError if
        nothing was played."""
        if not self.plays:
            raise InputError("nothing was played yet", "scenario")
        return as_scenario(self.setting, self.plays)

    @property
    def scenario_text(self) -> str:
        """The scenario as YAML, for a file that ``vmxsim run`` reads."""
        return scenario_yaml(self.scenario)

    def play(self, scenario: Any) -> None:
        """Start over and make the moves of a scenario (as ``vmxsim.run`` takes it) that suits this game.
        Raises InputError for a move that is not possible; those before it stay made."""
        plays = as_plays(self.setting, make_scenario(scenario))
        self.restart()
        for play in plays:
            if self.broken is not None:
                break
            self.do(play.action)
            for offset, cpu in play.interrupts:
                self._show(self.run.first[-1] + offset)
                self.do(SIGNAL if cpu is None else f"tick cpu{cpu}")
            if not self.at.at_rest and self.broken is None:
                self.do("to the end")

    @property
    def key(self) -> Any:
        """Which game this is, for the session's best."""
        return self.setting, self.assumed.names

    @property
    def won(self) -> bool:
        """Whether an invariant is broken."""
        return self.broken is not None and not self.broken.early

    @property
    def score(self) -> Score | None:
        """The score of a game that is won."""
        return Score(self.count, self.par, self.hints, self.told, self.taken_back) if self.won else None

    @property
    def best(self) -> int | None:
        """The fewest moves with which this game was won in this session, without help."""
        return scores.best(self.key)

    def hint(self) -> str:
        """The next hint at this position: how far it is, then who moves, then which move it is."""
        if self.broken is not None:
            return "It is broken: undo or start over to play on."
        if self.solution.path is None:
            return self.is_possible()
        self._asked = min(self._asked + 1, LEVELS)
        words = self._hints.words(self.at, self.wrote(self.at.shown), self._asked, self.count, self.par)
        if words not in (NO_HINT, self._last_hint):  # the same again is no help
            self.hints += 1
        self._last_hint = words
        return words

    def is_possible(self) -> str:
        """What the checker says: whether anything can break this design."""
        s = self.solution
        granted = f", assuming {', '.join(self.assumed.names)}" if self.assumed.names else ""
        if s.verdict == "safe":
            return (
                f"Nothing you can do breaks {self.name} on a {self.setting.host} host{granted}: the checker"
                f" proved it, every schedule was explored ({s.states:,} states)."
            )
        if s.moves is None:
            return f"Nobody knows: {s.why}"
        return f"Yes: the checker breaks it in {counted(s.moves, 'move')}{granted}. Fewer are not enough."

    def show_solution(self) -> None:
        """Play the checker's schedule. From now on this game has no score. Raises InputError if
        there is none."""
        if self.solution.scenario is None:
            raise InputError(self.is_possible())
        self.told = True
        self.play(self.solution.scenario)

    def next_design(self) -> str:
        """The id of the design to play next."""
        designs = list(DESIGNS.values())
        here = designs.index(self.setting.design) if self.setting.design in designs else -1
        return designs[(here + 1) % len(designs)].id
