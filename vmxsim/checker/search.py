"""The shortest path to a broken invariant, breadth first in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from vmxsim.checker.control import Control, Edge
from vmxsim.checker.data import make_doers, transitions
from vmxsim.checker.footprints import BROKEN, EARLY
from vmxsim.checker.loops import endless
from vmxsim.checker.state import CONSTANTS

UNSEEN = 1 << 60


@frozen
class Path:
    """Transitions from an initial state (``start``, a packed state) to the one that breaks an
    invariant: (packed state before, transition) pairs. ``broken`` are bits of BROKEN."""

    start: int
    transitions: tuple[tuple[int, Edge], ...]
    broken: int

    @property
    def invariant(self) -> str:
        """The first of the invariants that it breaks."""
        return next(name for name, bit in BROKEN.items() if self.broken & bit)

    @property
    def actions(self) -> int:
        """How many actions of a scenario it has."""
        return sum(edge.at_rest for _, edge in self.transitions)


def shortest_path(
    control: Control,
    invariants: str | Iterable[str],
    *,
    steps_alone: bool = False,
    past_others: bool = False,
    watch: Callable[[int], None] | None = None,
) -> Path | None:
    """The shortest path that breaks an invariant, or one of several: fewest actions, then fewest
    transitions; or fewest transitions, with ``steps_alone``. None where there is none.

    No path goes on behind a broken invariant, unless ``past_others``: then only behind
    those of other invariants. ``watch`` is called now and then with the number of states
    visited, and may raise.
    """
    names = (invariants,) if isinstance(invariants, str) else invariants
    wanted = sum(BROKEN[name] for name in names)
    doers = make_doers(control.values, control.effects)
    start = [(number << CONSTANTS) | data for number, data in control.initial]
    parents: dict[int, tuple[int, Edge] | None] = dict.fromkeys(start)
    level = dict.fromkeys(start, 0)  # actions on the best path so far
    buckets, actions, visited = [start], 0, 0  # buckets[n]: states n transitions away
    while any(buckets):
        following: list[list[int]] = []
        depth = 0
        while depth < len(buckets):
            for state in buckets[depth]:
                if level[state] < actions:
                    continue  # found again meanwhile, with fewer actions
                visited += 1
                if watch and not visited & 1023:
                    watch(visited)
                if state >> CONSTANTS in control.suspects and wanted & BROKEN["contract"]:
                    loop = endless(control, doers, state)
                    if loop is not None:
                        return _path(parents, state, loop, BROKEN["contract"])
                for edge, to, broken in transitions(control, doers, state):
                    if broken & wanted:
                        return _path(parents, state, edge, broken)
                    if (broken and not past_others) or broken & EARLY or to < 0:
                        continue
                    costs_action = edge.at_rest and not steps_alone
                    if level.get(to, UNSEEN) <= actions + costs_action:
                        continue
                    level[to], parents[to] = actions + costs_action, (state, edge)
                    _put(following if costs_action else buckets, depth + 1, to)
            buckets[depth] = []
            depth += 1
        buckets, actions = following, actions + 1
    return None


def _put(buckets: list[list[int]], depth: int, state: int) -> None:
    while len(buckets) <= depth:
        buckets.append([])
    buckets[depth].append(state)


def _path(parents: dict[int, tuple[int, Edge] | None], state: int, edge: Edge, broken: int) -> Path:
    found = [(state, edge)]
    while (parent := parents[found[-1][0]]) is not None:
        found.append(parent)
    found.reverse()
    return Path(found[0][0], tuple(found), broken)
