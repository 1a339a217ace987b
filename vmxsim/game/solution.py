"""What the checker knows of a game: whether it can be won, and in how few moves.

A move is an action or a tick: what the search counts with ``count_ticks``. Par is the least of it
over *every* schedule, proved by that search, which goes through all schedules of fewer moves.
``vmxsim.check`` counts actions first; its counterexample may spend a tick more.
"""

from __future__ import annotations

from attrs import define, frozen

from vmxsim.checker.assumptions import Restriction, restriction
from vmxsim.checker.choices import Choice
from vmxsim.checker.control import Control
from vmxsim.checker.counterexample import action_text, scenario_of
from vmxsim.checker.result import SAFE
from vmxsim.checker.search import Path, shortest_path
from vmxsim.checker.state import CONSTANTS
from vmxsim.checker.tables import control_table
from vmxsim.checker.verdict import ALWAYS, check
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.model.registers import EFER_LMA
from vmxsim.scenario import Scenario

#: Seconds after which the checker gives a design up: the game is then played without a par.
PATIENCE = 20.0

#: What ends a game.
WANTED = (*ALWAYS, "contract")


@frozen
class FirstMove:
    """The first move of a path: an action's text, or a tick before ``line`` of ``function``."""

    action: str
    function: str = ""
    line: int = 0
    source: str = ""


@define(eq=False)
class Solution:
    """``verdict`` is ``safe``, ``violated`` or ``incomplete``; ``why`` says why it is the last.
    ``path`` is one with the fewest ``moves``, ``scenario`` the same as a scenario, ``states`` how many
    were searched for the verdict."""

    verdict: str
    control: Control | None = None
    path: Path | None = None
    scenario: Scenario | None = None
    states: int = 0
    why: str = ""

    @property
    def moves(self) -> int | None:
        """Par."""
        return None if self.path is None else cost(self.path)

    @property
    def long_mode(self) -> bool | None:
        """Whether the path starts in long mode."""
        if self.path is None or self.control is None:
            return None
        first = self.control.states[self.path.start >> CONSTANTS]
        return bool(self.control.get(first, "vcpu0", "efer") & EFER_LMA)

    def from_here(self, state: int) -> Path | None:
        """A path with the fewest moves from a packed state, None where nothing can break any more."""
        assert self.control is not None
        return shortest_path(self.control, WANTED, count_ticks=True, starts=[state])


def solve(design: type[Kvm], host: str, cpus: int, long_mode: bool | None, assumed: Restriction) -> Solution:
    """Ask the checker. ``long_mode`` None leaves both starts to it. A design that it cannot follow
    is *incomplete*, with the reason."""
    names = assumed_with_start(assumed, long_mode).names
    try:
        result = check(design, host=host, cpus=cpus, assume=names, max_seconds=PATIENCE)
        found = result.hosts[0]
        if found.verdict == SAFE or not found.counterexamples:
            return Solution(found.verdict, states=found.states, why=found.cut)
        control = control_table(design, int(host[:2]), restriction(names))
        path = shortest_path(control, WANTED, count_ticks=True)
    except InputError as error:  # it does what the checker does not follow
        return Solution("incomplete", why=str(error))
    assert path is not None
    title = f"The checker breaks {design._name()}: {path.invariant}"
    scenario = scenario_of(path, control, design, cpus=cpus, vcpus=1, title=title)
    return Solution(found.verdict, control, path, scenario, found.states)


def assumed_with_start(assumed: Restriction, long_mode: bool | None) -> Restriction:
    """The assumptions, and the start as one of them. Raises InputError where they exclude it."""
    if long_mode is None:
        return assumed
    return restriction((*assumed.names, f"starts-{'in' if long_mode else 'outside'}-long-mode"))


def cost(path: Path) -> int:
    """How many moves a path takes."""
    return sum(edge.at_rest or edge.is_tick for _, edge in path.transitions)


def first_move(path: Path, control: Control) -> FirstMove | None:
    """The first move of a path; None if it takes none."""
    for state, edge in path.transitions:
        choice: Choice = edge.leaf.choice
        if edge.at_rest:
            return FirstMove(action_text(choice, control))
        if edge.is_tick:
            stack = control.stacks[control.states[state >> CONSTANTS][0]]
            function, index = edge.leaf.asked[-1] if choice.pending else stack[:2]
            line = function.instructions[index].line
            return FirstMove("", function.name, line, function.source[line - 1].strip())
    return None
