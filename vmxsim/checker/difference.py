"""The shortest schedule on which two designs differ visibly.

Two safe designs never do: in both, every read gives the guest its true value and every host
task its own. If only one is violated, they first differ where it breaks an invariant. Only
two violated designs have to be run side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.check import check, host_widths, kept_table
from vmxsim.checker.counterexample import action_text
from vmxsim.checker.footprints import IDENTITY, Effect
from vmxsim.checker.result import SAFE, CheckResult, Counterexample
from vmxsim.checker.states import BITS, CONSTANT_BITS, CONSTANTS, DATA_MASK, REGISTER
from vmxsim.checker.symbolic import IN, STEP, USER_GS_BASE, Choice
from vmxsim.checker.transition_table import Doer, Edge, TransitionTable
from vmxsim.designs import find_design
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import EFER_LMA
from vmxsim.progress import telling
from vmxsim.simulation.scenario import HOSTS, Scenario, make_scenario


@frozen
class Difference:
    """``scenario`` is the shortest schedule on which the designs differ, None if none was found.

    ``reason`` explains it in a sentence; ``complete``: every schedule was considered.
    """

    scenario: Scenario | None
    reason: str
    complete: bool = True


def _asked(where: Scenario) -> dict[str, Any]:
    """The host, as options of ``check`` and as fields of a scenario."""
    return {"host": where.host, "gs_base_from": where.gs_base_from, "fsgsbase": where.fsgsbase}


def shortest_difference(
    a: str | type[Kvm],
    b: str | type[Kvm],
    hosts: str | Iterable[str] = HOSTS,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> Difference:
    """The shortest schedule after which guest, user space or a host task reads a different value.

    ``gs_base_from`` and ``fsgsbase`` are those of ``check``. Raises InputError for an unknown design or host.
    """
    pair: Any = find_design(a), find_design(b)
    places = tuple(
        Scenario(host=host, gs_base_from=gs_base_from, fsgsbase=fsgsbase) for host in host_widths(hosts)
    )
    return _shortest(pair[0], pair[1], places, *(design._revision for design in pair))


#: A difference with what it is ordered by: its numbers of actions and of steps.
_Ranked = tuple[tuple[int, int], Difference]


def _shortest(a: Any, b: Any, places: tuple[Scenario, ...], *revisions: int) -> Difference:
    if a is b:
        return Difference(None, f"both are {name_of(a)}")
    each = {where: _on(a, b, where, *revisions) for where in places}
    found = [one for one in each.values() if not isinstance(one, bool)]
    unsettled = [where for where, one in each.items() if one is False]
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    where_ = " or a ".join(where.host_words for where in places)
    if unsettled:
        return Difference(
            None, f"no schedule of whole actions on a {where_} shows a difference", complete=False
        )
    return Difference(
        None,
        f"no schedule shows a difference on a {where_}: both designs are safe:"
        " every read gives the guest its true value and every host task its own",
    )


@lru_cache(maxsize=64)  # the explorer asks again for each preemption of the schedule
def _on(a: Any, b: Any, where: Scenario, *_revisions: int) -> _Ranked | bool:
    """The shortest difference on one host; without one, whether it is settled that there is none."""
    results = [_checked(design, where) for design in (a, b)]
    wrong = [result for result in results if result.verdict != SAFE]
    if len(wrong) == 1 and (example := wrong[0].counterexample):
        return (example.actions, example.steps), _one_is_wrong(example, results, where)
    return (_side_by_side(a, b, where) or False) if wrong else True


def _checked(design: type[Kvm], where: Scenario) -> CheckResult:
    result = check(design, **_asked(where))
    if result.interrupted:  # half a search is no answer to keep
        raise KeyboardInterrupt
    return result


def _one_is_wrong(example: Counterexample, results: list[Any], where: Scenario) -> Difference:
    right = next(result for result in results if result.verdict == SAFE)
    scenario = evolve(example.scenario, title="", design=None)
    wrong = name_of(example.design)
    reason = f"on a {where.host_words} {right.name} is safe, but {wrong} breaks {example.invariant}"
    return Difference(scenario, reason)


class _Walker:
    """Runs whole actions of a design, and tells what can be read between them."""

    def __init__(self, design: Any, where: Scenario) -> None:
        self.table: TransitionTable = kept_table(design, where.host_of(design), Restriction())
        self.act, self.way = cache(self._act), cache(self._way)

    def choices(self, state: int) -> list[Choice]:
        """The actions that are possible at rest."""
        return [edge.leaf.choice for edge in self.table.enabled(state)]

    def _act(self, state: int, choice: Choice) -> tuple[int, tuple[int, ...]] | None:
        """Where an undisturbed action leads, and what the guest reads during it; None if the
        design fails."""
        read: list[int] = []
        table, data = self.table, state & DATA_MASK
        edge = next((edge for edge in table.enabled(state) if edge.leaf.choice == choice), None)
        while edge is not None:
            doers, found, target = self.way(edge)
            full = data | CONSTANT_BITS
            read += [full >> bit & 7 for bit in found]
            for doer in doers:
                data, _ = doer.done(data)
            if target < 0:
                return None
            state = (target << CONSTANTS) | data
            step = table.alone(state)
            edge = step[0] if step else None
        return state, tuple(read)

    def _way(self, edge: Edge) -> tuple[list[Doer], list[int], int]:
        """The transition and those that follow it by themselves whatever the data: what they do together,
        the bits of the data before that the guest reads in them, and the number of the last control state
        (-1 if they fail)."""
        table = self.table
        moves, read = IDENTITY, list[int]()
        while True:
            effect = table.effects[edge.effect]
            if effect.exchanges_hosts:  # done by itself
                doers = [Doer(Effect(moves), {}), table.doers[edge.effect]]
                return doers, read + _read(edge, moves), edge.target
            read += _read(edge, moves)
            moves = tuple(_source(bit, moves) for bit in effect.moves)
            following = table.edges_of(edge.target) if edge.target >= 0 else []
            following = [one for one in following if one.leaf.choice in (STEP, IN)]
            if len(following) != 1 or following[0].leaf.mask or table.at_rest(edge.target):
                return [Doer(Effect(moves), {})], read, edge.target
            (edge,) = following

    def visible(self, state: int) -> tuple[Any, ...]:
        """What a read would return now, and the GS base that user space would find."""
        values = self.table.values
        in_user = self.table.get(self.table.states[state >> CONSTANTS], "thread0", "mode") == "user"
        found = self.act(state, Choice("action", "get-msr" if in_user else "guest rdmsr"))
        read = values[found[1][0]].number if found and found[1] else None
        register = state >> (BITS * REGISTER) & 7
        return read, values[register].number if in_user else None


def _source(bit: int, moves: tuple[int, ...]) -> int:
    """Where the value at ``bit`` came from before ``moves``."""
    return moves[bit // BITS] if bit < CONSTANTS else bit


def _read(edge: Edge, moves: tuple[int, ...]) -> list[int]:
    """Where the guest's reads of a transition came from before ``moves``."""
    return [_source(bit, moves) for kind, bit, _ in edge.leaf.effect.checks if kind == "guest"]


def _side_by_side(a: Any, b: Any, where: Scenario) -> _Ranked | None:
    left, right = _Walker(a, where), _Walker(b, where)
    starts = zip(left.table.initial, right.table.initial, strict=True)
    paths: list[tuple[int, int, tuple[Any, ...]]] = [
        ((m << CONSTANTS) | x, (n << CONSTANTS) | y, (left.table.states[m],)) for (m, x), (n, y) in starts
    ]
    seen = {(x, y) for x, y, _ in paths}
    with telling() as tell:
        while paths:
            following = []
            for x, y, path in paths:
                tell(f"{len(path) - 1} actions, {len(seen):,} pairs of states")
                theirs = set(right.choices(y))
                for choice in left.choices(x):
                    if choice not in theirs:
                        continue
                    one, other = left.act(x, choice), right.act(y, choice)
                    if one is None or other is None:
                        continue
                    longer = (*path, choice)
                    if left.visible(one[0]) != right.visible(other[0]):
                        return (len(path), 0), _told(left, right, longer, where)
                    pair = one[0], other[0]
                    if pair not in seen:
                        seen.add(pair)
                        following.append((*pair, longer))
            paths = following
    return None


def _told(left: _Walker, right: _Walker, path: tuple[Any, ...], where: Scenario) -> Difference:
    table = left.table
    long_mode = bool(table.get(path[0], "vcpu0", "efer") & EFER_LMA)
    verbs = [choice.verb for choice in path[1:]]
    steps = [
        action_text(choice, table, verbs[: n + 1].count(USER_GS_BASE)) for n, choice in enumerate(path[1:])
    ]
    names = f"{name_of(left.table.design)} and {name_of(right.table.design)}"
    reason = f"on a {where.host_words} both {names} are violated, and here they return different values"
    reason += " (only schedules of whole actions were compared, without ticks inside the kernel)"
    return Difference(make_scenario(steps, **_asked(where), long_mode=long_mode), reason)
