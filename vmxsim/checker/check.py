"""``vmxsim.check``: explore every schedule of a design and give a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, evolve, field, frozen

from vmxsim.checker.assumptions import Restriction, restriction
from vmxsim.checker.cut import ENDINGS, INTERRUPTED, Cut, CutShort, Watch, cut_of
from vmxsim.checker.either_way import Ways, conditions_of
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.inspected import Outcomes, environments, one_sided, outcomes, values_to_write
from vmxsim.checker.product import MOST, Product, counts, product, thread_graph
from vmxsim.checker.reach import ReachableStates, reachable
from vmxsim.checker.result import (
    HOLDS,
    UNKNOWN,
    VIOLATED,
    CheckResult,
    Counterexample,
    HostResult,
    counterexample_of,
)
from vmxsim.checker.search import reached, shortest_path
from vmxsim.checker.states import GUEST_VALUES, NON_CANONICAL
from vmxsim.checker.symbolic import Line
from vmxsim.checker.transition_table import AS_ASSUMED, TransitionTable, Unknowns
from vmxsim.designs import find_design
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Host
from vmxsim.progress import telling
from vmxsim.simulation.scenario import BASES, HOSTS, MAX_CPUS, make_host

#: The default limit on the number of states.
MAX_STATES = 20_000_000

#: Called regularly with (states found, seconds).
Progress = Callable[[int, float], None]


@define(eq=False)
class Limits:
    """Limits of one check. ``stopped`` says whether the user asked to stop."""

    max_states: int = MAX_STATES
    max_seconds: float | None = None
    progress: Progress | None = None
    stopped: Callable[[], bool] = lambda: False
    started: float = field(factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the check began."""
        return time.perf_counter() - self.started

    def watch(self, states: int, layer: int = 0) -> None:
        """Report progress. Raises CutShort if a limit is reached."""
        if self.stopped():
            raise CutShort(INTERRUPTED)
        if layer and states >= self.max_states:
            raise CutShort(f"the limit of {self.max_states:,} states was reached", "--max-states")
        seconds = self.seconds
        if self.max_seconds is not None and seconds >= self.max_seconds:
            raise CutShort(f"the limit of {self.max_seconds:g} seconds was reached", "--max-seconds")
        if self.progress:
            self.progress(states, seconds)

    def follow(self, states: int) -> None:
        """Report progress of what no limit ends."""
        if self.progress:
            self.progress(states, self.seconds)


def state_counter(tell: Callable[[str], None], where: str = "") -> Progress:
    """A Progress that says it in a line of :mod:`vmxsim.progress`."""

    def progress(states: int, seconds: float) -> None:
        tell(f"{where}{states:,} states" if states else f"{where}reading the design")

    return progress


_KEPT = 32
_tables: dict[Any, TransitionTable] = {}


def kept_table(
    design: type[Kvm],
    host: Host,
    assumed: Restriction,
    interception: str = "rule",
    written: tuple[int, int] = GUEST_VALUES,
    unknowns: Unknowns = AS_ASSUMED,
    watch: Watch | None = None,
) -> TransitionTable:
    """The TransitionTable with these bounds; the last few are kept. Raises what TransitionTable raises."""
    key = (design, design._revision, host, assumed, interception, written, unknowns)
    found = _tables.pop(key, None) or TransitionTable(
        design, host, assumed, interception=interception, written=written, unknowns=unknowns, watch=watch
    )
    _tables[key] = found  # the most recently used one is last
    if len(_tables) > _KEPT:
        del _tables[next(iter(_tables))]
    return found


#: Invariants of every check; ``no-host-fault`` comes with non-canonical values.
ALWAYS = ("guest-value", "host-value", "no-leak")
#: Invariants that depend on the guest's true value.
_OF_THE_GUEST = {"guest-value", "no-leak"}


def check(
    design: str | type[Kvm],
    *,
    host: str = "both",
    cpus: int = 2,
    vcpus: int = 1,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
    assume: str | Iterable[str] | None = (),
    max_states: int = MAX_STATES,
    max_seconds: float | None = None,
    non_canonical: bool = False,
    interception: str = "rule",
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> CheckResult:
    """Explore every schedule of a design and say whether the invariants hold.

    ``design`` is an id, a commit hash, a prefix of either, or your own subclass of a design.
    ``host`` is ``64-bit``, ``32-bit`` or ``both``; ``vcpus`` is 1 or 2. ``gs_base_from`` says where the
    thread's user GS base comes from, ``msr`` or ``descriptor`` (None: each width's own); ``fsgsbase``
    whether the kernel uses FSGSBASE (None: as the design's release did). ``assume`` names
    assumptions (:data:`~vmxsim.checker.assumptions.ASSUMPTIONS`). A search that reaches
    ``max_states`` or ``max_seconds``, or that ``stopped()`` ends, is *incomplete*, never
    *safe*. ``progress(states, seconds)`` is called regularly; without it a terminal or a
    notebook shows a line. ``non_canonical`` lets the guest write a non-canonical address as well and adds the
    invariant ``no-host-fault``.

    A keyboard interrupt ends the search and returns what was found so far.
    Raises InputError for a bad argument or a design that cannot be checked.
    """
    chosen, assumed = find_design(design), restriction(assume)
    hosts = host_widths(host)
    _whole("cpus", cpus, MAX_CPUS)
    _whole("vcpus", vcpus, 2)
    _positive("max_states", max_states)
    if max_seconds is not None:
        _positive("max_seconds", max_seconds)
    interrupted: list[bool] = []
    results, ways = [], Ways(conditions_of(chosen))
    with telling() as tell:
        for width in hosts:
            told = progress or state_counter(tell, f"{width} host: ")
            limits = Limits(max_states, max_seconds, told, lambda: bool(interrupted) or stopped())
            written = (GUEST_VALUES[0], NON_CANONICAL) if non_canonical else GUEST_VALUES
            task = make_host(width, chosen, gs_base_from, fsgsbase)
            bounds = _Bounds(chosen, task, cpus, vcpus, assumed, interception, written)

            def search(unknowns: Unknowns, bounds: _Bounds = bounds, limits: Limits = limits) -> HostResult:
                return _check_everywhere(evolve(bounds, unknowns=unknowns), limits, interrupted)

            results.append(ways.host(search) if ways.conditions else search(AS_ASSUMED))
    otherwise = ways.verdicts(results) | chosen._only_as_assumed
    return CheckResult(chosen, tuple(results), cpus, vcpus, assumed.names, otherwise)


def refuse_cpu_fields(design: type[Kvm], assumed: Restriction) -> None:
    """Raises InputError for a design with fields of the CPU, unless its thread stays on one."""
    if assumed.moves and (fields := design.own_fields("cpu_fields")):
        raise InputError(
            f"a table keeps the fields of the CPU ({', '.join(fields)}) with the thread: assume no-migration",
            name_of(design),
        )


def host_widths(hosts: str | Iterable[str]) -> tuple[str, ...]:
    """The widths of the host's user space in ``hosts``: a width, ``both``, or several widths.

    Raises InputError if one is unknown or there is none.
    """
    if hosts == "both":
        return HOSTS
    if isinstance(hosts, str):
        hosts = (hosts,)
    widths = tuple(hosts) if isinstance(hosts, Iterable) else (hosts,)
    for width in widths or (hosts,):
        if width not in HOSTS:
            raise unknown("host", width, (*HOSTS, "both"))
    return widths


def _whole(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InputError(f"expected a whole number from 1 to {most}, not {printable(repr(value))}", name)


def _positive(name: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or not value > 0:
        raise InputError(f"expected more than 0, not {printable(repr(value))}", name)


@define
class _Bounds:
    design: type[Kvm]
    task: Host
    cpus: int
    vcpus: int
    assumed: Restriction
    interception: str
    written: tuple[int, int]
    unknowns: Unknowns = AS_ASSUMED

    @property
    def host(self) -> str:
        """The width of the host's user space."""
        return f"{self.task.bits}-bit"

    def table(self, limits: Limits) -> TransitionTable:
        return kept_table(
            self.design, self.task, self.assumed, self.interception, self.written, self.unknowns, limits.watch
        )

    @property
    def moves(self) -> bool:
        """Whether the thread may resume on another CPU. A table keeps the fields of a CPU with the thread."""
        return self.assumed.moves and not self.design.own_fields("cpu_fields")

    @property
    def unexplored(self) -> Cut | None:
        """What cannot be explored: a field of a CPU keeps its value while the thread is on another one, and
        another thread may change it."""
        if not (fields := self.design.own_fields("cpu_fields")):
            return None
        why = f"cannot be explored, because of the fields of the CPU ({', '.join(fields)})"
        if self.vcpus > 1 and (self.cpus == 1 or self.assumed.moves):
            return Cut(f"schedules in which two vCPU threads share a CPU {why}")
        if self.cpus > 1 and self.assumed.moves:
            return Cut(f"schedules in which the thread moves to another CPU {why}; assume no-migration")
        return None

    @property
    def invariants(self) -> tuple[str, ...]:
        return ("no-host-fault", *ALWAYS) if NON_CANONICAL in self.written else ALWAYS


def _check_everywhere(bounds: _Bounds, limits: Limits, interrupted: list[bool]) -> HostResult:
    """Check one host width, and again in the environments in which what holds might not."""
    searched = [_check_host(bounds, limits, interrupted)]
    first = searched[0].result
    if first.cut_by:
        return first
    table, bases, written = bounds.table(limits), first.bases, set[int]()
    if HOLDS in first.invariants.values():
        explored = [table]
        for host, pair in environments(explored, searched[0].left):
            other = evolve(bounds, task=host, written=pair)
            searched.append(_check_host(other, limits, interrupted))
            if searched[-1].result.cut_by:
                break
            explored.append(other.table(limits))
        else:  # what was not explored again cannot differ
            bases = BASES if bounds.task.gs_base_from == "msr" else bases
            written = {number for pair in values_to_write(table) for number in pair}
    result = merged([one.result for one in searched])
    written |= set(result.written)
    result = evolve(result, bases=bases, written=tuple(sorted(written)))
    lines = one_sided([one.outcomes for one in searched])
    if lines and HOLDS in result.invariants.values():
        result = _not_all_values(result, lines)
    return result


def _not_all_values(result: HostResult, lines: list[Line]) -> HostResult:
    """The result of a design that computes with values, where some may make a difference that were not
    explored."""
    where = ", ".join(f"{f.at(f.instructions[index].line).words}()" for f, index in lines)
    cut = Cut(
        f"{where} computes with a value of the register, or depends on such a computation, and came out the"
        " same way for every value explored"
    )
    unknown = {name: UNKNOWN if how == HOLDS else how for name, how in result.invariants.items()}
    return evolve(result, invariants=unknown, cut_by=result.cut_by or cut)


def merged(found: list[HostResult]) -> HostResult:
    """The results of one host width in several environments as one. The counts are the first one's,
    the seconds those of all."""
    first = found[0]
    invariants = dict(first.invariants)
    examples: dict[str, Counterexample] = {}
    for one in found:
        for name, how in one.invariants.items():
            now = invariants.get(name, how)
            invariants[name] = next(word for word in (VIOLATED, UNKNOWN, HOLDS) if word in (now, how))
        for name, example in one.counterexamples.items():
            shortest = examples.get(name, example)
            examples[name] = min(shortest, example, key=lambda c: (c.actions, c.steps))
    return evolve(
        first,
        invariants=invariants,
        counterexamples=examples,
        cut_by=next((one.cut_by for one in found if one.cut_by), None),
        seconds=max(one.seconds for one in found),
        written=tuple(sorted({number for one in found for number in one.written})),
    )


@frozen
class _Searched:
    """One search. ``left``: a context switch may leave another value than the task's own in the register;
    ``outcomes``: see :func:`~vmxsim.checker.inspected.outcomes`."""

    result: HostResult
    left: bool = False
    outcomes: Outcomes = field(factory=dict)


def _check_host(bounds: _Bounds, limits: Limits, interrupted: list[bool]) -> _Searched:
    """Check one host width in one environment."""
    wanted = bounds.invariants
    table, found, cut = None, None, bounds.unexplored
    states, transitions, depth, broken = 0, 0, 0, 0
    examples: dict[str, Counterexample] = {}
    try:
        table = bounds.table(limits)
        found = reachable(table, until=sum(BROKEN[name] for name in wanted), watch=limits.watch)
        total = counts(found, bounds.cpus, bounds.moves)
        states, transitions, depth = total.states, total.transitions, len(found.layers) - 1
        cut, broken = found.cut or cut, found.broken
        if bounds.vcpus > 1 and not cut and not found.decided:
            both, cut = _of_two(bounds, table, found, limits)
            if both is not None:
                states, transitions, depth = both.states, both.transitions, len(both.layers) - 1
                broken |= both.broken
        examples = _counterexamples(bounds, table, broken, wanted, limits)
    except ENDINGS as end:
        cut = cut_of(end)
    if cut and bounds.vcpus > 1 and found is not None and not (found.cut or bounds.unexplored):
        known = "" if broken else "each thread alone was explored to the end and breaks nothing"
        cut = evolve(cut, known=known, closed_by=_closing(bounds, cut, limits, interrupted))
    invariants = dict.fromkeys(examples, VIOLATED)
    for name in wanted:
        if name not in invariants:
            invariants[name] = UNKNOWN if cut else HOLDS
    left, past = found is not None and found.left, None
    if examples and not cut:
        assert table is not None
        more, past = _search_past(bounds, table, invariants, examples, limits)
        left |= more
    if INTERRUPTED in (one.words for one in (cut, past) if one):
        interrupted.append(True)
    result = HostResult(
        bounds.host,
        {name: invariants[name] for name in (*wanted, "contract") if name in invariants},
        states,
        transitions,
        depth,
        limits.seconds,
        reached(table, found.taken) if table and found else {},
        examples,
        cut,
        found is not None and found.decided,
        (bounds.task.bases,),
        bounds.written,
        bounds.task,
    )
    if table is None or found is None:
        return _Searched(result)
    everything = [True] * len(table.edges)  # where the search ended early
    return _Searched(result, left, outcomes(table, everything if found.decided else found.taken))


_ONE_IS_ENOUGH = Cut("one vCPU alone breaks it, so the schedules of two were not explored")


def _of_two(
    bounds: _Bounds, table: TransitionTable, found: ReachableStates, limits: Limits
) -> tuple[Product | None, Cut | None]:
    """The states of two vCPUs, and why they are not all of them. What one alone breaks is broken with two as
    well: then they are explored only where that is quick."""
    if found.broken and counts(found, bounds.cpus, bounds.moves).states ** 2 > MOST:
        return None, _ONE_IS_ENOUGH
    both = product(*_graphs(bounds, table, found, limits), bounds.cpus, watch=limits.watch)
    return both, both.cut


#: Assumptions that narrow what two vCPUs do, in the order in which they are added.
_NARROWER = ("one-value,no-swapgs,no-smm", "no-user-gs-base", "no-emulation", "no-set-efer", "no-set-msr")


def _closing(bounds: _Bounds, cut: Cut, limits: Limits, interrupted: list[bool]) -> tuple[str, ...]:
    """Assumptions under which two vCPUs have fewer states than the limit, if more time would not help."""
    if cut.option != "--max-states" and cut != _ONE_IS_ENOUGH:
        return ()
    names = list(bounds.assumed.names)
    try:
        for more in _NARROWER:
            narrow = evolve(bounds, assumed=restriction(names := [*names, more]))
            table = narrow.table(limits)
            found = reachable(table, watch=limits.watch)
            if found.cut:
                break
            a, b = _graphs(narrow, table, found, limits)
            if len(a.cpu) * len(b.cpu) < limits.max_states:
                return narrow.assumed.names
    except ENDINGS as end:
        interrupted += [True] * isinstance(end, KeyboardInterrupt)
    return ()


def _graphs(
    bounds: _Bounds, table: TransitionTable, found: ReachableStates, limits: Limits
) -> tuple[Any, Any]:
    """The graphs of both threads: vCPU 1's starts on CPU 1, or without a CPU if there is only one."""
    cpus, moves = bounds.cpus, bounds.moves
    if cpus > 1:
        return thread_graph(found, cpus, moves, 0), thread_graph(found, cpus, moves, 1)
    waiting = reachable(table, waiting=True, watch=limits.watch)
    return thread_graph(found, 1, moves, 0), thread_graph(waiting, 1, moves, None)


def _counterexamples(
    bounds: _Bounds,
    table: TransitionTable,
    broken: int,
    wanted: Iterable[str],
    limits: Limits,
    past: bool = False,
) -> dict[str, Counterexample]:
    """The shortest counterexample to each broken invariant. A shortest path of all is the
    shortest for every invariant that it breaks."""
    left = [name for name in (*wanted, "contract") if broken & BROKEN[name]]
    found: dict[str, Counterexample] = {}
    granted = f", assuming {', '.join(bounds.assumed.names)}" if bounds.assumed.names else ""
    while left:
        path = shortest_path(table, left[:1] if past else left, past_others=past, watch=limits.follow)
        if path is None:
            break
        shown = [name for name in left if path.broken & BROKEN[name]]
        found |= {
            name: counterexample_of(
                path, table, name, f"Schedule on which {name_of(bounds.design)} breaks {name}{granted}",
                cpus=bounds.cpus, vcpus=bounds.vcpus, past=past,
            )
            for name in shown
        }  # fmt: skip
        left = [name for name in left if name not in found]
    return found


def _search_past(
    bounds: _Bounds,
    table: TransitionTable,
    invariants: dict[str, str],
    counterexamples: dict[str, Counterexample],
    limits: Limits,
) -> tuple[bool, Cut | None]:
    """Decide the invariants that hold while no other is broken by searching past the others. Returns whether
    a context switch may find another value than the thread's own in the register, and what cut this short."""
    open_ones = [name for name, how in invariants.items() if how == HOLDS]
    if not open_ones:
        return False, None
    ignore = sum(BROKEN[name] for name in counterexamples if name != "contract")
    until = sum(BROKEN[name] for name in open_ones)
    found, more = None, {}
    try:
        found = reachable(
            table,
            ignore=ignore,
            until=until,
            ghosts=bool(_OF_THE_GUEST & set(open_ones)),
            watch=limits.watch,
        )
        cut = found.cut
        more = _counterexamples(bounds, table, found.broken, open_ones, limits, past=True)
    except ENDINGS as end:
        cut = cut_of(end)
    for name in open_ones:
        if name in more:
            invariants[name], counterexamples[name] = VIOLATED, more[name]
        elif cut:
            invariants[name] = UNKNOWN
    return found is not None and found.left, cut
