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


#: Transitions before it, the state before it, the transition that breaks an invariant, what it breaks.
_End = tuple[int, int, Edge, int]


def shortest_path(
    control: Control,
    invariants: str | Iterable[str],
    *,
    steps_alone: bool = False,
    count_ticks: bool = False,
    past_others: bool = False,
    starts: Iterable[int] | None = None,
    watch: Callable[[int], None] | None = None,
) -> Path | None:
    """The shortest path that breaks an invariant, or one of several: fewest actions, then fewest
    transitions; or fewest transitions, with ``steps_alone``. With ``count_ticks`` a tick inside the kernel
    counts as an action. None where there is none.

    It starts where the thread does, or in one of the packed states ``starts``.

    No path goes on behind a broken invariant, unless ``past_others``: then only behind
    those of other invariants. ``watch`` is called now and then with the number of states
    visited, and may raise.
    """
    names = (invariants,) if isinstance(invariants, str) else invariants
    wanted = sum(BROKEN[name] for name in names)
    doers = make_doers(control.values, control.effects)
    if starts is None:
        starts = ((number << CONSTANTS) | data for number, data in control.initial)
    start = list(starts)
    parents: dict[int, tuple[int, Edge] | None] = dict.fromkeys(start)
    level = dict.fromkeys(start, 0)  # actions on the best path so far
    buckets, actions, visited = [start], 0, 0  # buckets[n]: states n transitions away
    ends: _End | None = None  # breaks an invariant by an action that starts on this level
    while any(buckets) or ends:
        following: list[list[int]] = []
        found, ends, depth = ends, None, 0
        while depth < len(buckets):
            if found and found[0] <= depth:
                break
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
                    costs_action = not steps_alone and (edge.at_rest or (count_ticks and edge.is_tick))
                    if broken & wanted:
                        if not costs_action:
                            return _path(parents, state, edge, broken)
                        ends = ends or (depth, state, edge, broken)
                        continue
                    if (broken and not past_others) or broken & EARLY or to < 0:
                        continue
                    if level.get(to, UNSEEN) <= actions + costs_action:
                        continue
                    level[to], parents[to] = actions + costs_action, (state, edge)
                    _put(following if costs_action else buckets, depth + 1, to)
            buckets[depth] = []
            depth += 1
        if found:
            return _path(parents, *found[1:])
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
