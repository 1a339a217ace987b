"""The game: choose who runs next and where a tick comes, and break the design in the fewest moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vmxsim.checker.assumptions import restriction
from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, nearest, printable
from vmxsim.game import score as scores
from vmxsim.game.hints import LEVELS, NO_HINT, Hints
from vmxsim.game.playing import Setting
from vmxsim.game.schedule import as_plays, as_scenario
from vmxsim.game.score import Score
from vmxsim.game.solution import assumed_with_start, solve
from vmxsim.game.turns import Turns
from vmxsim.kernel.kvm import Kvm
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import HOSTS, Scenario, make_scenario
from vmxsim.scenariotext import scenario_yaml

#: CPUs that a game may have.
MOST_CPUS = 4


class Game(Turns):
    """A game on ``design``: an id, a commit's hash, a prefix or your own subclass of a design.

    ``host`` is ``64-bit`` or ``32-bit``, ``long_mode`` how the guest starts; None starts as the checker's
    shortest schedule does. ``assume`` names assumptions of the checker, which forbid moves. ``par`` is
    what moves are counted against; None: the fewest that the checker finds. ``budget`` is the most moves.

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
            raise InputError(
                f"'{printable(host)}' is none; choose {' or '.join(HOSTS)}{nearest(str(host), HOSTS)}", "host"
            )
        for name, value, most in (("cpus", cpus, MOST_CPUS), ("par", par, 99), ("budget", budget, 99)):
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise InputError(
                    f"{printable(repr(value))} where a whole number from 1 to {most} was expected", name
                )
        if long_mode not in (None, False, True):
            raise InputError(
                f"{printable(repr(long_mode))} where True, False or None was expected", "long_mode"
            )
        assumed = restriction(assume)
        assumed_with_start(assumed, long_mode)
        self.solution = solve(chosen, host, cpus, long_mode, assumed)
        start = self.solution.long_mode if long_mode is None else long_mode
        if start is None:
            start = assumed.long_modes[0]
        self.par = self.solution.moves if par is None else par
        self.told, self.chose_start = False, long_mode is not None
        self._hints = Hints(self.solution)
        title = f"Your schedule on {chosen._name()}"
        super().__init__(Setting(chosen, host, cpus, start, title), assumed, budget)

    def __repr__(self) -> str:
        par = "?" if self.par is None else self.par
        return f"<Game: {self.name}, {self.setting.host} host; {self.count} moves, par {par}>"

    @property
    def name(self) -> str:
        """The design's id, or the class's name of a reader's own."""
        return self.setting.design._name()

    # -- what was played

    @property
    def trace(self) -> RunTrace:
        """The run, to the end of its last action: steps from ``at.shown`` on are still to come."""
        return self.run.trace

    @property
    def scenario(self) -> Scenario:
        """What was played as a scenario: ``vmxsim.run`` plays the same. Raises InputError where
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
            for offset, cpu in play.ticks:
                self._show(self.run.first[-1] + offset)
                self.do(f"tick cpu{cpu}")
            if not self.at.at_rest and self.broken is None:
                self.do("to the end")

    # -- how good it is

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
        return Score(self.count, self.par, self.hints, self.told) if self.won else None

    @property
    def best(self) -> int | None:
        """The fewest moves with which this game was won in this session, without help."""
        return scores.best(self.key)

    def _show(self, *args: Any) -> None:
        super()._show(*args)
        self._asked, self._last_hint = 0, ""
        if self.score is not None:
            scores.keep(self.key, self.score)

    def restart(self) -> None:
        """Start over; the hints that were taken are forgotten."""
        self.hints = 0
        super().restart()

    # -- help

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
            return f"Nobody knows: the checker did not come to an end. {s.why}"
        moves = f"{s.moves} move{'s' * (s.moves > 1)}"
        return f"Yes: the checker breaks it in {moves}{granted}. Fewer are not enough."

    def show_solution(self) -> None:
        """Play the checker's schedule. From now on this game has no score. Raises InputError where
        there is none."""
        if self.solution.scenario is None:
            raise InputError(self.is_possible())
        self.told = True
        self.play(self.solution.scenario)

    def next_design(self) -> str:
        """The id of the design to play next."""
        ids = list(DESIGNS)
        here = self.setting.design.id
        return ids[(ids.index(here) + 1) % len(ids)] if DESIGNS.get(here) is self.setting.design else ids[0]
