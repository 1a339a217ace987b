"""``vmxsim why``: for each line of a design, what breaks without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field, frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, Restriction, restriction
from vmxsim.checker.closure import closure
from vmxsim.checker.control import Control, CutShort
from vmxsim.checker.counterexample import scenario_of
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.limits import Limits
from vmxsim.checker.mutants import Mutant, mutants
from vmxsim.checker.result import Counterexample
from vmxsim.checker.search import Path, shortest_path
from vmxsim.checker.sometimes import reached
from vmxsim.checker.tables import new_table
from vmxsim.checker.verdict import check
from vmxsim.designs import find_design
from vmxsim.kernel.kvm import Kvm
from vmxsim.scenario import HOSTS

_INVARIANTS = ("guest-value", "host-value", "no-leak", "contract")

#: Tried, in this order, for a design that is violated without any: its own defect must not
#: hide what its lines are for.
_GRANTED = ("no-long-mode-entry", "no-mode-switch,no-smm", *ASSUMPTIONS)


@frozen
class Reason:
    """What breaks without a line: ``counterexample`` is the shortest, None where nothing does
    in this model. ``host`` is the host width, ``granted`` the assumptions under which the
    design itself is safe and this variant is not. ``lost`` are situations that the design
    reaches and this variant never does: where nothing breaks they tell what the line is for."""

    mutant: Mutant
    counterexample: Counterexample | None
    host: str
    granted: tuple[str, ...]
    incomplete: bool = False
    lost: tuple[str, ...] = ()

    @property
    def breaks(self) -> str:
        """The invariant, or that nothing breaks."""
        if self.counterexample:
            return self.counterexample.invariant
        return "not concluded" if self.incomplete else "nothing breaks in this model"


@define(eq=False)
class _Ground:
    """On what a design's variants are compared with it: a host width, the assumptions under
    which the design is safe, and what it breaks without them."""

    host: str
    assumed: Restriction | None
    breaks: int = 0
    reaches: set[str] = field(factory=set)


@frozen(slots=False, repr=False)
class Why:
    """``reasons``, one for each line, and what was granted on each host width (None: nothing
    that was tried makes the design safe there). ``assumed`` is what the reader granted."""

    design: type[Kvm]
    reasons: tuple[Reason, ...]
    granted: dict[str, tuple[str, ...] | None]
    assumed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        from vmxsim.checker.reasontext import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from vmxsim.checker.reasontext import as_html

        return as_html(self)


def why(
    design: str | type[Kvm],
    *,
    hosts: Iterable[str] = HOSTS,
    assume: str | Iterable[str] = (),
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Why:
    """Take each line of the functions that a design changed away (or negate it, where it is a
    condition), check again, and say what breaks.

    A design that is violated itself is looked at twice: without assumptions for the
    invariants that it keeps, and under assumptions that make it safe for the others.
    ``progress(done, all)`` is told of each variant. Raises InputError.
    """
    chosen, limits = find_design(design), limits or Limits()
    assumed = restriction(assume)
    grounds = [_ground(chosen, host, assumed, limits) for host in hosts]
    variants = list(mutants(chosen))
    reasons = []
    for number, mutant in enumerate(variants, 1):
        reasons.append(_reason(mutant, grounds, limits))
        if progress:
            progress(number, len(variants))
    granted = {g.host: None if g.assumed is None else g.assumed.names for g in grounds}
    return Why(chosen, tuple(reasons), granted, assumed.names)


def _ground(design: type[Kvm], host: str, assumed: Restriction, limits: Limits) -> _Ground:
    found = check(design, host=host, assume=assumed.names).hosts[0]
    reaches = {name for name, was in found.sometimes.items() if was}
    if found.verdict == "safe":
        return _Ground(host, assumed, reaches=reaches)
    breaks = sum(BROKEN[name] for name in found.counterexamples)
    for names in () if assumed.names else _GRANTED:
        tried = restriction(names)
        look = _look(design, host, tried, 0, limits)
        if not look.broken:
            return _Ground(host, tried, breaks, look.situations)
    return _Ground(host, None, breaks)


@frozen
class _Look:
    """What a search for the first breach found: bits of what is broken, whether it was cut, the
    situations that it reached. ``control`` is the table, None where none could be made."""

    control: Control | None
    broken: int
    cut: bool
    situations: set[str]


def _look(design: Any, host: str, assumed: Restriction, ignore: int, limits: Limits) -> _Look:
    """Search a design for the first breach; those in ``ignore`` are passed over."""
    wanted = sum(BROKEN[name] for name in _INVARIANTS) & ~ignore
    try:
        control = new_table(design, int(host[:2]), assumed, watch=limits.watch)
    except CutShort:
        return _Look(None, 0, True, set())
    ghosts = bool(wanted & (BROKEN["guest-value"] | BROKEN["no-leak"]))
    found = closure(control, ignore=ignore, first=wanted, ghosts=ghosts, watch=limits.watch)
    broken = found.broken & wanted
    situations = set() if broken else {n for n, was in reached(control, found.taken).items() if was}
    return _Look(control, broken, bool(found.cut), situations)


def _reason(mutant: Mutant, grounds: list[_Ground], limits: Limits) -> Reason:
    """The first host width on which the variant breaks something decides; of what is broken
    there, the shortest counterexample."""
    cut = False
    lost: dict[str, None] = {}
    for ground in grounds:
        best: Reason | None = None
        for assumed, ignore in _looks(ground):
            look = _look(mutant.design, ground.host, assumed, ignore, limits)
            cut |= look.cut
            if not look.broken or look.control is None:
                lost |= dict.fromkeys(sorted(ground.reaches - look.situations) if not ignore else ())
                continue
            example = _shortest(mutant, look.control, ignore)
            if example and (best is None or _length(example) < _length(best.counterexample)):
                best = Reason(mutant, example, ground.host, assumed.names)
        if best is not None:
            return best
    return Reason(mutant, None, "", (), cut, tuple(lost))


def _looks(ground: _Ground) -> Iterable[tuple[Restriction, int]]:
    if ground.breaks:
        yield Restriction(), ground.breaks
    if ground.assumed is not None:
        yield ground.assumed, 0


def _length(example: Counterexample | None) -> tuple[int, int]:
    return (example.actions, example.steps) if example else (1 << 30, 0)


def _shortest(mutant: Mutant, control: Control, ignore: int) -> Counterexample | None:
    wanted = [name for name in _INVARIANTS if not BROKEN[name] & ignore]
    path: Path | None = shortest_path(control, wanted, past_others=bool(ignore))
    if path is None:
        return None
    title = f"{mutant.function} line {mutant.line} {mutant.edit}: {mutant.source}"
    invariant = next(name for name in _INVARIANTS if path.broken & BROKEN[name] & ~ignore)
    scenario = scenario_of(path, control, mutant.design, cpus=2, vcpus=1, title=title)
    failure = str(path.transitions[-1][1].leaf.error or "")
    steps = len(path.transitions)
    return Counterexample(mutant.design, invariant, scenario, path.actions, steps, failure, past=bool(ignore))
