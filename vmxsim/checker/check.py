"""``vmxsim.check``: explore every schedule of a design and give a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from attrs import define, evolve, field, frozen

from vmxsim.checker.assumptions import Restriction, restriction
from vmxsim.checker.cut import ENDINGS, INTERRUPTED, Cut, CutShort, Watch, cut_of
from vmxsim.checker.either_way import Ways, conditions_of
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.inspected import Outcomes, environments, one_sided, outcomes, values_to_write
from vmxsim.checker.left_behind import left_behind
from vmxsim.checker.lengths import counts, graph_of, kinds_of
from vmxsim.checker.one_by_one import MAX_JOINT, Threads
from vmxsim.checker.reach import ReachableStates, reachable
from vmxsim.checker.result import (
    FOLLOWED,
    HOLDS,
    UNKNOWN,
    VIOLATED,
    VISITED,
    CheckResult,
    Counterexample,
    HostResult,
    counterexample_of,
)
from vmxsim.checker.search import Path, reached, shortest_path
from vmxsim.checker.sharing import Sharing
from vmxsim.checker.states import GUEST_VALUES, NON_CANONICAL
from vmxsim.checker.symbolic import Line, own_values
from vmxsim.checker.together import Together, situations, together
from vmxsim.checker.transition_table import AS_ASSUMED, TransitionTable, Unknowns
from vmxsim.designs import find_design
from vmxsim.errors import InputError, SimulationError, checked, one_of, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Host
from vmxsim.progress import telling
from vmxsim.simulation.scenario import BASES, HOSTS, INTERCEPTIONS, MAX_CPUS, MAX_VCPUS, make_host

#: The default limit on the number of states of a thread.
MAX_STATES = 20_000_000
#: The most vCPUs; a scenario has at most two, and what breaks with more, vCPU 0 breaks alone.
MOST_VCPUS = 4
#: Whose several vCPUs are.
GUESTS = ("same", "different")

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


@checked
def check(
    design: str | type[Kvm],
    *,
    host: str = "both",
    cpus: int = 2,
    vcpus: int = 1,
    guests: str = "same",
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
    ``host`` is ``64-bit``, ``32-bit`` or ``both``; ``vcpus`` is 1 to 4, each with a thread
    of its own; ``guests`` says whether they are the ``same`` guest's, which starts in one mode, or
    ``different`` ones'. ``gs_base_from`` says where the
    thread's user GS base comes from, ``msr`` or ``descriptor`` (None: each width's own); ``fsgsbase``
    whether the kernel uses FSGSBASE (None: as the design's release did). ``assume`` names
    assumptions (:data:`~vmxsim.checker.assumptions.ASSUMPTIONS`). A search that reaches
    ``max_states`` (of a thread, or joint ones where those are visited) or ``max_seconds``, or that
    ``stopped()`` ends, is *incomplete*, never *safe*. ``progress(states, seconds)`` is called
    regularly; without it a terminal or a notebook shows a line. ``non_canonical`` lets the guest write a
    non-canonical address as well and adds the invariant ``no-host-fault``.

    A keyboard interrupt ends the search and returns what was found so far.
    Raises InputError for a bad argument or a design that cannot be checked.
    """
    chosen, assumed = find_design(design), restriction(assume)
    hosts = host_widths(host)
    _whole("cpus", cpus, MAX_CPUS)
    _whole("vcpus", vcpus, MOST_VCPUS)
    one_of("guests", guests, GUESTS)
    one_of("interception", interception, INTERCEPTIONS, "interception")
    if guests != "same" and vcpus == 1:
        raise InputError("one vCPU has one guest: different guests need two vCPUs", "guests")
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
            bounds = _Bounds(chosen, task, cpus, vcpus, guests, assumed, interception, written)

            def search(unknowns: Unknowns, bounds: _Bounds = bounds, limits: Limits = limits) -> HostResult:
                return _check_everywhere(evolve(bounds, unknowns=unknowns), limits, interrupted)

            results.append(ways.host(search) if ways.conditions else search(AS_ASSUMED))
    otherwise = ways.verdicts(results) | chosen._only_as_assumed
    return CheckResult(chosen, tuple(results), cpus, vcpus, assumed.names, otherwise, guests)


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
    guests: str
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

    def own_table(self, tracks_base: bool, limits: Limits) -> TransitionTable:
        """A table of one's own, to be extended."""
        return TransitionTable(
            self.design, self.task, self.assumed, interception=self.interception, written=self.written,
            unknowns=self.unknowns, tracks_base=tracks_base, watch=limits.watch,
        )  # fmt: skip

    def unexplored(self, left: Collection[str]) -> Cut | None:
        """What is not explored, if a thread may leave ``left`` on a CPU: each thread is followed as if nobody
        could find that."""
        why = f"were not explored, because of the fields of the CPU ({', '.join(left)})"
        if left and self.vcpus > 1 and (self.vcpus > self.cpus or self.assumed.moves):
            return Cut(f"schedules in which two vCPU threads share a CPU {why}")
        if left and self.cpus > 1 and self.assumed.moves:
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
            searched.append(_check_host(other, limits, interrupted, counting=False))
            if (cut := searched[-1].result.cut_by) and not cut.undecided:
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


def _check_host(bounds: _Bounds, limits: Limits, interrupted: list[bool], counting: bool = True) -> _Searched:
    """Check one host width in one environment. ``counting``: the states are wanted as well as the verdict."""
    wanted = bounds.invariants
    table, found, cut = None, None, None
    figures, several = _Figures(), counting and bounds.vcpus > 1
    broken, covered, told = 0, {}, ""
    examples: dict[str, Counterexample] = {}
    try:
        table = bounds.table(limits)
        until = 0 if several else sum(BROKEN[name] for name in wanted)
        found = reachable(table, until=until, watch=limits.watch)
        left = left_behind(found)
        unexplored = bounds.unexplored(left)
        total = counts(found, bounds.cpus, bounds.assumed.moves and not unexplored)
        figures = _Figures(total.states, total.transitions, len(found.layers) - 1)
        cut, broken, covered = found.cut or unexplored, found.broken, reached(table, found.taken)
        examples = _counterexamples(bounds, table, broken, wanted, limits)
        if unexplored and not found.cut and not broken:
            figures, cut, examples, told = _check_sharing(bounds, found, left, limits)
        elif several and not cut:
            figures, met = _figures_of_several(bounds, found, limits)
            covered |= met
    except ENDINGS as end:
        cut = cut_of(end)
        if several and found is not None and not found.cut and not broken:
            cut = evolve(cut, known="each thread alone was explored to the end and breaks nothing")
    invariants = dict.fromkeys(examples, VIOLATED)
    for name in wanted:
        if name not in invariants:
            invariants[name] = UNKNOWN if cut else HOLDS
    left_over, past = found is not None and found.left, None
    if examples and not cut:
        assert table is not None
        more, past = _search_past(bounds, table, invariants, examples, limits)
        left_over |= more
    if INTERRUPTED in (one.words for one in (cut, past) if one):
        interrupted.append(True)
    if past and past.undecided and UNKNOWN in invariants.values():
        cut = past
    result = HostResult(
        bounds.host,
        {name: invariants[name] for name in (*wanted, "contract") if name in invariants},
        figures.states,
        figures.transitions,
        figures.depth,
        limits.seconds,
        covered,
        examples,
        cut,
        found is not None and found.decided,
        (bounds.task.bases,),
        bounds.assumed.written(bounds.written),
        bounds.task,
        figures.together,
        told,
    )
    if table is None or found is None:
        return _Searched(result)
    everything = [True] * len(table.edges)  # where the search ended early
    return _Searched(result, left_over, outcomes(table, everything if found.decided else found.taken))


@frozen
class _Figures:
    states: int = 0
    transitions: int = 0
    depth: int = 0
    together: Together | None = None


def _figures_of_several(
    bounds: _Bounds, found: ReachableStates, limits: Limits
) -> tuple[_Figures, dict[str, bool]]:
    """The states of all vCPUs, and which of :data:`~vmxsim.checker.together.SITUATIONS` they cover.

    What they break, one thread breaks alone, by a schedule as short: one that starts without a CPU breaks
    nothing that others do not.
    """
    holds = waits = kinds_of(graph_of(found), limits.watch)
    if bounds.vcpus > bounds.cpus:
        late = reachable(found.table, waiting=True, watch=limits.watch)
        if late.cut or late.broken & ~found.broken:
            raise CutShort(late.cut.words if late.cut else "a thread that starts without a CPU breaks more")
        waits = kinds_of(graph_of(late, waiting=True), limits.watch)
    moves, same_guest = bounds.assumed.moves, bounds.guests == "same"
    both = together(
        holds, waits, bounds.vcpus, bounds.cpus,
        moves=moves, same_guest=same_guest, ask=lambda: limits.watch(found.states),
    )  # fmt: skip
    limits.follow(both.states)
    figures = _Figures(both.states, both.transitions, len(both.layers) - 1, both)
    return figures, situations(both, holds, bounds.cpus, moves)


def _check_sharing(
    bounds: _Bounds, found: ReachableStates, left: tuple[str, ...], limits: Limits
) -> tuple[_Figures, Cut | None, dict[str, Counterexample], str]:
    """Check threads that can tell what another left on a CPU, of which one alone breaks nothing. Returns what
    cut this short and how it was explored as well.

    Raises what Sharing raises.
    """
    figures = _Figures(found.states, found.transitions, len(found.layers) - 1)
    wanted, values = [*bounds.invariants, "contract"], {name for _, name in own_values(bounds.design)}
    bits, more = sum(BROKEN[name] for name in wanted), left
    while more:  # what a thread finds may make it leave something else
        left = tuple(dict.fromkeys((*left, *more)))
        if "kernel_gs_base" in left:
            return figures, bounds.unexplored(left), {}, ""
        looks = found.table.sections.looked or values & {*left}
        table = bounds.own_table(bool(looks), limits)
        sharing = Sharing(table, left, bounds.vcpus - 1, limits.watch)
        initial = table.initial + (table.initial_waiting if bounds.vcpus > bounds.cpus else [])
        reach = sharing.reach([sharing.start(*one) for one in initial])
        everything = ReachableStates(table, [], 0, 0, sharing.taken())
        more = tuple(name for name in left_behind(everything) if name not in left)
    names = ", ".join(left)
    if not reach.broken & bits:
        return _Figures(reach.states, reach.transitions, reach.depth), None, {}, FOLLOWED.format(names)
    # a third thread may stay where it starts: on a CPU of its own, or without one
    cpus = min(bounds.cpus, 2) if bounds.vcpus > 2 else bounds.cpus
    threads = Threads(sharing, min(bounds.vcpus, 2), cpus, bounds.assumed.moves)
    told = VISITED.format(names)
    most = MAX_JOINT if limits.max_states == MAX_STATES else limits.max_states
    left_bits = bits
    while left_bits:
        visited = threads.visit(threads.starts(), left_bits, most, True, limits.watch)
        figures = _Figures(visited.states, visited.transitions, visited.depth)
        if (path := visited.path) is None:
            break
        shown = [name for name in wanted if path.broken & left_bits & BROKEN[name]]
        found_all = _examples(bounds, table, path, shown)
        if examples := {name: example for name, example in found_all.items() if _breaks(example)}:
            return figures, _ONE_DECIDED, examples, told
        left_bits &= ~path.broken
    if visited.cut and visited.cut.option != "--max-states":
        return figures, visited.cut, {}, told
    visited = threads.visit(threads.starts(bounds.guests == "same"), bits, most, False, limits.watch)
    figures = _Figures(visited.states, visited.transitions, visited.depth)
    cut = visited.cut
    if visited.broken:
        broken = ", ".join(name for name in wanted if visited.broken & BROKEN[name])
        cut = Cut(
            f"a schedule of {visited.steps} transitions breaks {broken}, but no scenario that can be told was"
            " found for it",
            undecided=True,
        )
    elif not cut and bounds.vcpus > 2:
        cut = Cut(
            f"two vCPUs break nothing, but more can tell what is left in {names}, and were not explored"
        )
    return figures, cut, {}, told


def _breaks(example: Counterexample) -> bool:
    """Whether the scenario, run, breaks the invariant."""
    try:
        return any(found.invariant == example.invariant for found in example.trace.violations)
    except SimulationError:
        return example.invariant == "contract"


_ONE_DECIDED = Cut("whether another invariant can be broken as well, or without this one", undecided=True)


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
    while left:
        path = shortest_path(table, left[:1] if past else left, past_others=past, watch=limits.follow)
        if path is None:
            break
        found |= _examples(bounds, table, path, [n for n in left if path.broken & BROKEN[n]], past)
        left = [name for name in left if name not in found]
    return found


def _examples(
    bounds: _Bounds, table: TransitionTable, path: Path, names: Iterable[str], past: bool = False
) -> dict[str, Counterexample]:
    """What a path breaks, as counterexamples."""
    granted = f", assuming {', '.join(bounds.assumed.names)}" if bounds.assumed.names else ""
    return {
        name: counterexample_of(
            path, table, name, f"Schedule on which {name_of(bounds.design)} breaks {name}{granted}",
            cpus=bounds.cpus, vcpus=min(bounds.vcpus, MAX_VCPUS), past=past,
        )
        for name in names
    }  # fmt: skip


_LEFT_IN_REGISTER = Cut(
    "where all bases are 0, a context switch leaves a wrong value in the register, and what the next task"
    " does with it was not followed",
    undecided=True,
)


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
        # the next task then finds what the table does not follow
        cut = found.cut or (_LEFT_IN_REGISTER if found.left and table.host.leaves_zero else None)
        more = _counterexamples(bounds, table, found.broken, open_ones, limits, past=True)
    except ENDINGS as end:
        cut = cut_of(end)
    for name in open_ones:
        if name in more:
            invariants[name], counterexamples[name] = VIOLATED, more[name]
        elif cut:
            invariants[name] = UNKNOWN
    return found is not None and found.left, cut
