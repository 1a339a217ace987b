"""``vmxsim.check``: every schedule of a design, a verdict, the shortest counterexample."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define

from vmxsim.checker.assumptions import Restriction, restriction
from vmxsim.checker.closure import Closure, closure
from vmxsim.checker.control import Control, CutShort
from vmxsim.checker.counterexample import scenario_of
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.limits import INTERRUPTED, MAX_STATES, Limits, Progress
from vmxsim.checker.notebook import notebook_progress
from vmxsim.checker.product import product
from vmxsim.checker.result import HOLDS, UNKNOWN, VIOLATED, CheckResult, Counterexample, HostResult
from vmxsim.checker.search import Path, shortest_path
from vmxsim.checker.sometimes import reached
from vmxsim.checker.tables import control_table
from vmxsim.checker.threads import counts, thread_graph
from vmxsim.designs import find_design
from vmxsim.errors import InputError, nearest, printable
from vmxsim.kernel.kvm import Kvm
from vmxsim.scenario import HOSTS, MAX_CPUS

#: Invariants of every check; ``no-host-fault`` comes with non-canonical values.
ALWAYS = ("guest-value", "host-value", "no-leak")
#: Invariants that compare with the guest's true value.
_OF_THE_GUEST = {"guest-value", "no-leak"}


def check(
    design: str | type[Kvm],
    *,
    host: str = "both",
    cpus: int = 2,
    vcpus: int = 1,
    assume: str | Iterable[str] = (),
    max_states: int = MAX_STATES,
    max_seconds: float | None = None,
    non_canonical: bool = False,
    interception: str = "rule",
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> CheckResult:
    """Explore every schedule of a design and say whether the invariants hold.

    ``design`` is an id, a commit's hash, a prefix or your own subclass of a design. ``host``
    is ``64-bit``, ``32-bit`` or ``both``; ``vcpus`` is 1 or 2. ``assume`` names assumptions
    (:data:`~vmxsim.checker.assumptions.ASSUMPTIONS`). A search that reaches ``max_states``
    or ``max_seconds``, or that ``stopped()`` ends, is *incomplete*, never *safe*.
    ``progress(states, seconds)`` is told now and then; without it a notebook shows a line.
    ``non_canonical`` lets the guest write a non-canonical address too and adds the invariant
    ``no-host-fault``.

    A keyboard interrupt ends the search: what was found so far is returned.
    Raises InputError for a bad argument or a design that cannot be checked.
    """
    chosen, assumed = find_design(design), restriction(assume)
    hosts = _hosts(host)
    _whole("cpus", cpus, MAX_CPUS)
    _whole("vcpus", vcpus, 2)
    if not max_states > 0 or (max_seconds is not None and not max_seconds > 0):
        raise InputError("more than 0 was expected", "max_states" if not max_states > 0 else "max_seconds")
    interrupted: list[bool] = []
    results = []
    with notebook_progress() as in_notebook:
        for width in hosts:
            told = progress or in_notebook
            limits = Limits(max_states, max_seconds, told, lambda: bool(interrupted) or stopped())
            bounds = _Bounds(chosen, width, cpus, vcpus, assumed, interception, non_canonical)
            results.append(_check_host(bounds, limits, interrupted))
    return CheckResult(chosen, tuple(results), cpus, vcpus, assumed.names)


def _hosts(host: str) -> tuple[str, ...]:
    if host == "both":
        return HOSTS
    if host not in HOSTS:
        choices = (*HOSTS, "both")
        raise InputError(
            f"'{printable(host)}' is none; choose {', '.join(choices)}{nearest(str(host), choices)}", "host"
        )
    return (host,)


def _whole(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InputError(f"{printable(repr(value))} where a whole number from 1 to {most} was expected", name)


@define
class _Bounds:
    design: Any  # a design's class
    host: str
    cpus: int
    vcpus: int
    assumed: Restriction
    interception: str
    non_canonical: bool

    def control(self, limits: Limits) -> Control:
        bits = int(self.host[:2])
        return control_table(
            self.design, bits, self.assumed, self.interception, self.non_canonical, limits.watch
        )

    @property
    def invariants(self) -> tuple[str, ...]:
        return ("no-host-fault", *ALWAYS) if self.non_canonical else ALWAYS


def _check_host(bounds: _Bounds, limits: Limits, interrupted: list[bool]) -> HostResult:
    wanted = bounds.invariants
    until = sum(BROKEN[name] for name in wanted)
    try:
        control = bounds.control(limits)
        found = closure(control, until=until, watch=limits.watch)
    except (KeyboardInterrupt, CutShort) as end:
        cut = str(end) or INTERRUPTED
        if isinstance(end, KeyboardInterrupt):
            interrupted.append(True)
        return HostResult(bounds.host, dict.fromkeys(wanted, UNKNOWN), 0, 0, 0, limits.seconds, {}, {}, cut)
    total = counts(found, bounds.cpus, bounds.assumed.moves)
    states, transitions, depth, cut = total.states, total.transitions, len(found.layers) - 1, found.cut
    broken = found.broken
    if bounds.vcpus > 1 and not cut and not found.decided:
        graphs = _graphs(bounds, control, found, limits)
        try:
            both = product(*graphs, bounds.cpus, watch=limits.watch)
            states, transitions, depth, cut = both.states, both.transitions, len(both.layers) - 1, both.cut
            broken |= both.broken
        except KeyboardInterrupt:
            interrupted.append(True)
            cut = INTERRUPTED
        if cut and not broken:
            cut += "; each thread alone was explored to the end and breaks nothing"
    counterexamples = _counterexamples(bounds, control, broken, wanted)
    invariants = dict.fromkeys(counterexamples, VIOLATED)
    for name in wanted:
        if name not in invariants:
            invariants[name] = UNKNOWN if cut else HOLDS
    if counterexamples and not cut:
        _go_on_past(bounds, control, invariants, counterexamples, limits)
    ordered = {name: invariants[name] for name in (*wanted, "contract") if name in invariants}
    sometimes = reached(control, found.taken)
    return HostResult(
        bounds.host,
        ordered,
        states,
        transitions,
        depth,
        limits.seconds,
        sometimes,
        counterexamples,
        cut,
        found.decided,
    )


def _graphs(bounds: _Bounds, control: Control, found: Closure, limits: Limits) -> tuple[Any, Any]:
    """The two threads' graphs: vCPU 1's thread starts on CPU 1, or without a CPU if there is one only."""
    cpus, moves = bounds.cpus, bounds.assumed.moves
    if cpus > 1:
        return thread_graph(found, cpus, moves, 0), thread_graph(found, cpus, moves, 1)
    waiting = closure(control, waiting=True, watch=limits.watch)
    return thread_graph(found, 1, moves, 0), thread_graph(waiting, 1, moves, None)


def _counterexamples(
    bounds: _Bounds, control: Control, broken: int, wanted: Iterable[str], past: bool = False
) -> dict[str, Counterexample]:
    """The shortest counterexample to each invariant that is broken. One path may break several,
    and is the shortest for each of them if it is so for all."""
    left = [name for name in (*wanted, "contract") if broken & BROKEN[name]]
    found: dict[str, Counterexample] = {}
    while left:
        path = shortest_path(control, left[:1] if past else left, past_others=past)
        if path is None:
            break
        shown = [name for name in left if path.broken & BROKEN[name]]
        found |= {name: _counterexample(bounds, control, path, name, past) for name in shown}
        left = [name for name in left if name not in found]
    return found


def _counterexample(bounds: _Bounds, control: Control, path: Path, name: str, past: bool) -> Counterexample:
    title = f"{bounds.design._name()} breaks {name}"
    if bounds.assumed.names:
        title += f", assuming {', '.join(bounds.assumed.names)}"
    scenario = scenario_of(
        path, control, bounds.design, cpus=bounds.cpus, vcpus=bounds.vcpus,
        interception=bounds.interception, title=title,
    )  # fmt: skip
    failure = str(path.transitions[-1][1].leaf.error or "")
    return Counterexample(bounds.design, name, scenario, path.actions, len(path.transitions), failure, past)


def _go_on_past(
    bounds: _Bounds,
    control: Control,
    invariants: dict[str, str],
    counterexamples: dict[str, Counterexample],
    limits: Limits,
) -> None:
    """Decide the invariants that hold as long as no other is broken: go on behind the others' breaches."""
    open_ones = [name for name, how in invariants.items() if how == HOLDS]
    if not open_ones:
        return
    ignore = sum(BROKEN[name] for name in counterexamples if name != "contract")
    until = sum(BROKEN[name] for name in open_ones)
    try:
        found = closure(
            control,
            ignore=ignore,
            until=until,
            ghosts=bool(_OF_THE_GUEST & set(open_ones)),
            watch=limits.watch,
        )
    except (KeyboardInterrupt, CutShort):
        found = None
    more = _counterexamples(bounds, control, found.broken if found else 0, open_ones, past=True)
    for name in open_ones:
        if name in more:
            invariants[name], counterexamples[name] = VIOLATED, more[name]
        elif found is None or found.cut:
            invariants[name] = UNKNOWN
