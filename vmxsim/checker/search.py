"""Breadth-first search for the shortest path to a broken invariant, and what a search has covered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import frozen

from vmxsim.checker.footprints import BROKEN, EARLY
from vmxsim.checker.states import CONSTANTS
from vmxsim.checker.transition_table import Edge, TransitionTable, endless
from vmxsim.kernel.machine import EFER_LMA


class _Look:
    """One transition: the control state before, the choice, the control state after."""

    def __init__(self, table: TransitionTable, edge: Edge) -> None:
        self._table = table
        self.before = table.states[edge.source]
        self.after = table.states[edge.target] if edge.target >= 0 else self.before
        self.choice = edge.leaf.choice

    def get(self, state: Any, name: str, holder: str = "vcpu0") -> Any:
        return self._table.get(state, holder, name)

    def long_mode(self, state: Any) -> bool:
        return bool(self.get(state, "efer") & EFER_LMA)

    @property
    def loaded(self) -> bool:
        """Whether guest state is loaded before the transition."""
        return bool(self.get(self.before, "loaded"))

    @property
    def mode(self) -> str:
        return str(self.get(self.before, "mode", "thread0"))

    def does(self, verb: str) -> bool:
        return self.choice.verb == verb


#: Situations that a search must cover for a pass to mean anything (*sometimes* properties).
SOMETIMES: dict[str, Callable[[_Look], bool]] = {
    "loaded in long mode and preempted": (
        lambda x: x.choice.kind == "out" and x.loaded and x.long_mode(x.before)
    ),
    "loaded outside long mode and preempted": (
        lambda x: x.choice.kind == "out" and x.loaded and not x.long_mode(x.before)
    ),
    "preempted inside the kernel while loaded": (
        lambda x: x.choice.kind == "out" and x.loaded and x.mode == "kernel"
    ),
    "a tick seen only by need_resched()": lambda x: x.choice.pending > 0,
    "set out to enter long mode while loaded": lambda x: x.does("guest long-mode on") and x.loaded,
    "set out to leave long mode while loaded": lambda x: x.does("guest long-mode off") and x.loaded,
    "EFER.LMA set": lambda x: x.long_mode(x.after) and not x.long_mode(x.before),
    "EFER.LMA cleared": lambda x: x.long_mode(x.before) and not x.long_mode(x.after),
    "guest read the register": lambda x: x.does("guest rdmsr"),
    "guest wrote the register": lambda x: x.does("guest wrmsr"),
    "SWAPGS in the guest": lambda x: x.does("guest swapgs"),
    "KVM emulated a write while loaded": lambda x: x.does("emulate wrmsr") and x.loaded,
    "KVM_RUN cancelled with state loaded": (
        lambda x: x.loaded and bool(x.get(x.before, "signal_pending", "thread0"))
    ),
    "SMI while loaded in long mode": lambda x: x.does("guest smi") and x.loaded and x.long_mode(x.before),
    "RSM back into long mode": (
        lambda x: x.get(x.before, "exit_reason") == "RSM" and not x.long_mode(x.before)
        and x.long_mode(x.after)
    ),
    "a signal ended KVM_RUN after a handled exit": lambda x: x.choice.signal,
    "user space changed its GS base": lambda x: x.does("user gs-base"),
    "KVM_GET_MSRS": lambda x: x.does("get-msr"),
    "KVM_SET_SREGS changed long mode": lambda x: x.choice.verb.startswith("set-efer"),
}  # fmt: skip


def reached(table: TransitionTable, taken: Sequence[bool]) -> dict[str, bool]:
    """Which of :data:`SOMETIMES` the transitions taken cover."""
    found = dict.fromkeys(SOMETIMES, False)
    missing = set(SOMETIMES)
    for number, edge in enumerate(table.edges):
        if not missing:
            break
        if taken[number]:
            look = _Look(table, edge)
            for name in [name for name in missing if SOMETIMES[name](look)]:
                found[name] = True
                missing.discard(name)
    return found


UNSEEN = 1 << 60


#: How a thread comes to a transition: in its own action, or on the way to one, from where it was switched
#: out; or because another thread needs its CPU.
ACTS, COMES, MAKES_ROOM = "acts", "comes", "makes room"


@frozen
class Turn:
    """Which of several threads makes a transition, on which CPU, and how it comes to that."""

    vcpu: int
    cpu: int
    how: str = ACTS


@frozen
class Path:
    """Transitions from ``start``, a packed state, to the one that breaks an invariant.

    Each is paired with the packed state before it; ``broken`` holds bits of BROKEN. If CPUs are told apart,
    ``turns`` has one for each transition.
    """

    start: int
    transitions: tuple[tuple[int, Edge], ...]
    broken: int
    turns: tuple[Turn, ...] = ()

    @property
    def invariant(self) -> str:
        """The first invariant that it breaks."""
        return next(name for name, bit in BROKEN.items() if self.broken & bit)

    @property
    def tests(self) -> tuple[tuple[str, bool, bool], ...]:
        """The conditions that are not modeled which it tests, in order: how each comes out, and whether that
        is the other way."""
        leaves = [edge.leaf for _, edge in self.transitions]
        return tuple(
            (text, holds, number in leaf.choice.otherwise)
            for leaf in leaves
            for number, (text, holds) in enumerate(leaf.unknowns, 1)
        )

    @property
    def actions(self) -> int:
        """How many actions of a scenario begin on it."""
        makes_room = sum(turn.how == MAKES_ROOM for turn in self.turns)
        return sum(edge.at_rest for _, edge in self.transitions) - makes_room


#: The transition that breaks an invariant: its depth, the state before it, itself, what it breaks.
_End = tuple[int, int, Edge, int]


def shortest_path(
    table: TransitionTable,
    invariants: str | Iterable[str],
    *,
    steps_alone: bool = False,
    count_ticks: bool = False,
    past_others: bool = False,
    starts: Iterable[int] | None = None,
    watch: Callable[[int], None] | None = None,
) -> Path | None:
    """The shortest path that breaks one of ``invariants``, None if there is none.

    The shortest has the fewest actions, then the fewest transitions; with ``steps_alone``
    only transitions count, with ``count_ticks`` a tick or a signal inside the kernel counts as an action.
    It starts in an initial state, or in one of the packed states ``starts``. It does not
    continue past a broken invariant; with ``past_others`` it may, past the other invariants.
    ``watch`` is called regularly with the number of states visited, and may raise.
    """
    names = (invariants,) if isinstance(invariants, str) else invariants
    wanted = sum(BROKEN[name] for name in names)
    if starts is None:
        starts = ((number << CONSTANTS) | data for number, data in table.initial)
    start = list(starts)
    parents: dict[int, tuple[int, Edge] | None] = dict.fromkeys(start)
    level = dict.fromkeys(start, 0)  # actions on the best path so far
    buckets, actions, visited = [start], 0, 0  # buckets[n]: states n transitions away
    ends: _End | None = None  # an action of this level breaks an invariant
    while any(buckets) or ends:
        following: list[list[int]] = []
        found, ends, depth = ends, None, 0
        while depth < len(buckets):
            if found and found[0] <= depth:
                break
            for state in buckets[depth]:
                if level[state] < actions:
                    continue  # since found with fewer actions
                visited += 1
                if watch and not visited & 1023:
                    watch(visited)
                if state >> CONSTANTS in table.suspects and wanted & BROKEN["contract"]:
                    loop = endless(table, state)
                    if loop is not None:
                        return _path(parents, state, loop, BROKEN["contract"])
                for edge, to, broken in table.successors(state):
                    costs_action = not steps_alone and (edge.at_rest or (count_ticks and edge.interrupts))
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
