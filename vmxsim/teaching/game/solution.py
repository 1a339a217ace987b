"""What the checker knows of a game: whether it can be won, and in how few moves.

A move is an action, a tick or a signal: what the search counts with ``count_ticks``. Par is the least of it
over *every* schedule, proved by that search, which goes through all schedules of fewer moves.
``vmxsim.check`` counts actions first; its counterexample may spend a tick more.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from attrs import define, frozen

from vmxsim.checker.assumptions import Restriction, restriction
from vmxsim.checker.check import ALWAYS, check, kept_table
from vmxsim.checker.counterexample import action_text, scenario_of
from vmxsim.checker.result import SAFE
from vmxsim.checker.search import Path, shortest_path
from vmxsim.checker.states import ALL_SLOTS, CONSTANTS, RESET, exchange_hosts, pack, take_out
from vmxsim.checker.symbolic import Choice
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.errors import InputError, SimulationError, counted
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import EFER_LMA
from vmxsim.kernel.program import SourceLine
from vmxsim.kernel.simulator import NEW_GS_BASE
from vmxsim.progress import telling
from vmxsim.simulation.scenario import BASES, Scenario, make_host
from vmxsim.teaching.game.playing import Position

#: What nothing depends on anymore once an action is over, and the value it has in the checker then. In
#: the simulator some of it is left over, into the next action.
_OVER = {
    ("vcpu0", "exit_reason"): "",
    ("thread0", "signal_pending"): False,
    ("vcpu0", "msr_data"): None,
}
_NO_EXIT = {("vcpu0", "exit_reason"): ""}
_NO_SMM = {("vcpu0", "smram_efer"): 0, ("vcpu0", "smram_cr0"): 0}


class Packer:
    """Finds positions among the states of a transition table."""

    def __init__(self, table: TransitionTable) -> None:
        self._table = table
        self._states = {state: number for number, state in enumerate(table.states)}
        self._stacks = {stack: number for number, stack in enumerate(table.stacks)}
        self._numbers = {(v.number, v.owner): number for number, v in enumerate(table.values)}

    def pack(self, at: Position, guest_wrote: bool) -> int | None:
        """The packed state; None if the checker has none, as in the middle of what it takes for one
        step. ``guest_wrote``: the guest wrote a value in long mode before."""
        fields: dict[tuple[str, str], Any] = at.fields()
        fields |= {
            ("thread0", "waiting"): at.waits,
            ("thread0", "base_changed"): at.user_gs_base == NEW_GS_BASE,
            ("vcpu0", "script"): "",
            ("vcpu0", "guest_wrote"): guest_wrote,
        }
        if at.at_rest:
            fields |= _OVER
        no_smm = {} if at.smm else _NO_SMM
        try:
            stack, locals_ = take_out(at.continuation)
            places = self._table.sections.m.slot_fields
            slots = [self._number(fields[name]) for name in places] + [*map(self._number, locals_)]
            for left_over in ({}, _NO_EXIT, no_smm, _NO_EXIT | no_smm):
                number = self._state(self._stacks[stack], fields | left_over)
                if number is not None:
                    data = pack(slots + [RESET] * (ALL_SLOTS - len(slots)))
                    tracked = self._table.sections.tracks_base
                    if at.user_gs_base == NEW_GS_BASE and not tracked:  # HOST is always the true one
                        data = exchange_hosts(data)
                    return (number << CONSTANTS) | data
        except (KeyError, SimulationError):
            pass
        return None

    def _state(self, stack: int, fields: dict[tuple[str, str], Any]) -> int | None:
        return self._states.get((stack, *(fields.get(name, 0) for name in self._table.fields)))

    def _number(self, value: Any) -> int:
        return RESET if value is None else self._numbers[value.number, value.owner]


#: The fewest moves with which each game was won in this session, help not taken.
_best: dict[Hashable, int] = {}


@frozen
class Score:
    """``moves`` is what a win took, ``par`` the fewest possible (None: not known), ``hints`` how many
    were asked for; ``told``: the checker's schedule had been shown; ``taken_back``: how many moves were."""

    moves: int
    par: int | None
    hints: int = 0
    told: bool = False
    taken_back: int = 0

    @property
    def stars(self) -> int:
        """Three at par (or where nobody knows it), two at one over, else one; none if it was shown. Trying
        every button costs stars, too: see :attr:`tries`."""
        if self.told:
            return 0
        over = 0 if self.par is None else max(0, self.moves - self.par)
        return max(1, 3 - over - self.tries)

    @property
    def tries(self) -> int:
        """What moves taken back cost: nothing for twice par (at least four), then a star for every four."""
        free = max(4, 2 * (self.par or 0))
        return -(-max(0, self.taken_back - free) // 4)

    @property
    def words(self) -> str:
        """``2 moves: par``, ``3 moves: 1 over par, with 2 hints``."""
        text = counted(self.moves, "move")
        if self.par is not None:
            text += f": {against_par(self.moves, self.par)}"
        if self.hints:
            text += f", with {counted(self.hints, 'hint')}"
        if self.tries:
            text += f", after {counted(self.taken_back, 'move')} taken back"
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


#: Seconds after which the checker gives a design up: the game is then played without a par.
PATIENCE = 20.0

#: What ends a game.
WANTED = (*ALWAYS, "contract")


_NOWHERE = SourceLine("", 0)


@frozen
class FirstMove:
    """The first move of a path: an action's text, or a tick (``signal``: a signal) before the line ``at``."""

    action: str
    at: SourceLine = _NOWHERE
    source: str = ""
    signal: bool = False


@define(eq=False)
class Solution:
    """``verdict`` is ``safe``, ``violated`` or ``incomplete``; ``why`` says why it is the last.
    ``path`` is one with the fewest ``moves``, ``scenario`` the same as a scenario, ``states`` how many
    were searched for the verdict. ``bases`` are the tasks' user GS bases, ``zero`` if it can only be broken
    with these."""

    verdict: str
    table: TransitionTable | None = None
    path: Path | None = None
    scenario: Scenario | None = None
    states: int = 0
    why: str = ""
    bases: str = BASES[0]

    @property
    def moves(self) -> int | None:
        """Par."""
        return None if self.path is None else cost(self.path)

    @property
    def long_mode(self) -> bool | None:
        """Whether the path starts in long mode."""
        if self.path is None or self.table is None:
            return None
        first = self.table.states[self.path.start >> CONSTANTS]
        return bool(self.table.get(first, "vcpu0", "efer") & EFER_LMA)

    def from_here(self, state: int) -> Path | None:
        """A path with the fewest moves from a packed state, None if nothing can break anymore."""
        assert self.table is not None
        return shortest_path(self.table, WANTED, count_ticks=True, starts=[state])


def solve(design: type[Kvm], host: str, cpus: int, long_mode: bool | None, assumed: Restriction) -> Solution:
    """Ask the checker. ``long_mode`` None leaves both starts to it. A design that it cannot follow
    is *incomplete*, with the reason."""
    names = assumed_with_start(assumed, long_mode).names
    try:
        result = check(design, host=host, cpus=cpus, assume=names, max_seconds=PATIENCE)
        found = result.hosts[0]
        if found.verdict == SAFE or not found.counterexamples:
            why = f"the checker did not finish. {found.cut_without_option}"
            return Solution(found.verdict, states=found.states, why=why)
        for bases in found.bases:
            table = kept_table(design, make_host(host, design, bases=bases), restriction(names))
            with telling() as tell:
                path = shortest_path(
                    table, WANTED, count_ticks=True, watch=lambda states: tell(f"par: {states:,} states")
                )
            if path is not None:
                title = f"The checker breaks {name_of(design)}: {path.invariant}"
                scenario = scenario_of(path, table, design, cpus=cpus, vcpus=1, title=title)
                return Solution(found.verdict, table, path, scenario, found.states, bases=bases)
    except InputError as error:  # it does what the checker does not follow
        return Solution("incomplete", why=f"the checker did not finish. {error}")
    why = "the checker breaks it, but with values that nobody writes in this game."
    return Solution("incomplete", states=found.states, why=why)


def assumed_with_start(assumed: Restriction, long_mode: bool | None) -> Restriction:
    """The assumptions, and the start as one of them. Raises InputError if they exclude it."""
    if long_mode is None:
        return assumed
    return restriction((*assumed.names, f"starts-{'in' if long_mode else 'outside'}-long-mode"))


def cost(path: Path) -> int:
    """How many moves a path takes."""
    return sum(edge.at_rest or edge.interrupts for _, edge in path.transitions)


def first_move(path: Path, table: TransitionTable) -> FirstMove | None:
    """The first move of a path; None if it takes none."""
    for state, edge in path.transitions:
        choice: Choice = edge.leaf.choice
        if edge.at_rest:
            return FirstMove(action_text(choice, table))
        if edge.interrupts:
            stack = table.stacks[table.states[state >> CONSTANTS][0]]
            function, index = edge.leaf.asked[-1] if choice.pending else stack[:2]
            line = function.instructions[index].line
            return FirstMove("", function.at(line), function.text(line), choice.signal)
    return None


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
        there; None if there is no such position."""
        if self._solution.table is None:
            return None
        if self._packer is None:
            self._packer = Packer(self._solution.table)
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
            return "From here nothing can break it anymore: undo."
        told = [_distance(cost(path), moves, par)]
        assert self._solution.table is not None
        first = first_move(path, self._solution.table)
        if first is None:
            return f"{told[0]} Let it run on."
        if level > 1:
            told.append(_who(first))
        if level > 2:
            told = [_which(first, here, at)]
        return told[-1]


def _distance(left: int, moves: int, par: int | None) -> str:
    if not left:
        return "It now breaks by itself: no further move is needed."
    words = f"From here it takes {counted(left, 'more move')}"
    if not moves:
        return f"{words}."
    total = moves + left
    over = f", {against_par(total, par)}" if par is not None else ""
    undo = " Undo to get back to par." if par is not None and total > par else ""
    return f"{words}: {total} in all{over}.{undo}"


def _who(first: FirstMove) -> str:
    if first.signal:
        return f"A signal comes next, while {first.at.function}() is running."
    if not first.action:
        return f"The scheduler moves next: a tick inside {first.at.function}()."
    return _WHO.get(first.action.split()[0], "User space moves next.")


def _which(first: FirstMove, here: Position, at: Position) -> str:
    if first.action:
        run_on = "Let the action run to its end, then: " if not at.at_rest else ""
        action = "a tick" if first.action.startswith("preempt") else first.action
        return f"{run_on}{action}." if run_on else f"Next: {action}."
    name = "signal" if first.signal else "tick"
    return f"A {name} before {first.at.words}(): {first.source}"
