"""How many states several vCPU threads reach together: exactly, at each distance, without a visit to one.

The threads meet only in who holds which CPU. What one leaves on a CPU, no other can tell (``left_behind.py``
makes sure of that for each design), and a thread that waits may be put on any CPU that is free. So a schedule
of all is a path of each thread through its own states. Any paths fit together, however long, if they end on
different CPUs, with one exception: where there are more threads than CPUs, those that start without one
move only if another thread gives up the CPU on which it started.

To fit them together, run each thread that is ever switched out up to its first wait. From here on a CPU is
free, and on it one of them after another goes on up to its last wait. Now all of them wait. Each that ends
with a CPU is switched in on that one, which nobody else holds, and goes on to its end. The threads that are
never switched out run whenever they like. (Threads that return to their own CPU only, under the assumption
``no-migration``, share one CPU or none: each CPU is such a system of its own.)

The shortest schedule to a state is therefore as long as the shortest such paths of the threads together. How
many states there are at each distance is a product of polynomials: in each factor the coefficient of z^n is
the number of a thread's states that n transitions lead to.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb, perm
from typing import TypeAlias

from attrs import evolve, field, frozen

from vmxsim.checker.lengths import FAR, IN_GUEST, LOADED, Kind, Total

#: For each mode in which the guests start, the shortest path if every thread so far keeps its CPU, and if one
#: does not; or the smaller one of the two alone.
Lengths: TypeAlias = tuple[tuple[int, ...], ...]


@frozen
class Sum:
    """Many states of some threads, that have the same lengths but for a number of transitions: that many are
    the coefficients of a polynomial. It is an integer, a coefficient in so many bits that no sum overflows.
    ``free`` and ``takes`` are as in :class:`~vmxsim.checker.lengths.Total`."""

    polynomial: int
    states: int
    free: int
    takes: int

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.polynomial + other.polynomial,
            self.states + other.states,
            self.free + other.free,
            self.takes + other.takes,
        )

    def __mul__(self, other: Sum) -> Sum:
        return Sum(
            self.polynomial * other.polynomial,
            self.states * other.states,
            self.free * other.states + self.states * other.free,
            self.takes * other.states + self.states * other.takes,
        )

    def times(self, ways: int, free_cpus: int) -> Sum:
        """That many times, where a thread that waits may take any of the free CPUs."""
        free = self.free + self.takes * free_cpus
        return Sum(self.polynomial * ways, self.states * ways, free * ways, 0)


Sums: TypeAlias = dict[Lengths, Sum]


#: How many threads hold the CPU on which they started, another one although they started on one, and any
#: although they started without.
Held: TypeAlias = tuple[int, int, int]


@frozen
class Together:
    """The states of several threads: ``layers`` counts them by distance from the start. ``held`` says how
    many there are for each way to hold the CPUs, for each group of threads that share some. ``alone`` is how
    many states of its own a thread has that starts with a CPU: on that one, on another, on none.
    """

    layers: tuple[int, ...]
    transitions: int
    held: tuple[dict[Held, int], ...] = field(repr=False)
    alone: tuple[int, int, int]

    @property
    def states(self) -> int:
        """How many states there are."""
        return sum(self.layers)


#: The states of a thread by kind.
Thread: TypeAlias = dict[Kind, Total]


def together(
    holds: Thread,
    waits: Thread,
    vcpus: int,
    cpus: int,
    *,
    moves: bool = True,
    same_guest: bool = True,
    ask: Callable[[], None] = lambda: None,
) -> Together:
    """The states of ``vcpus`` threads on ``cpus`` CPUs.

    ``holds`` is a thread that starts with a CPU, as the first ones do, and ``waits`` one that starts without.
    Unless it ``moves``, a thread returns to its own CPU: those that start without one share the last. All
    guests start in the same mode if they are the ``same_guest``'s. ``ask`` is called regularly and may raise.
    """
    if not same_guest:
        holds, waits = _in_any_mode(holds), _in_any_mode(waits)
    most = max(sum(total.states for total in thread.values()) for thread in (holds, waits))
    width = ((most * cpus) ** vcpus).bit_length() + 1
    groups = [(vcpus, cpus)]
    if not moves:
        alone = min(cpus, vcpus) - 1
        groups = [(1, 1)] * alone + [(vcpus - alone, 1)]
    found, held = _sharing(holds, waits, *groups[0], width, ask)
    every = [held]
    for group in groups[1:]:
        more, held = _sharing(holds, waits, *group, width, ask)
        found = _times(found, more, _one_after_another, width)
        every.append(held)
    polynomial, layers = sum(one.polynomial for one in found.values()), []
    while polynomial:
        layers.append(polynomial & (1 << width) - 1)
        polynomial >>= width
    return Together(tuple(layers), sum(one.free for one in found.values()), tuple(every), _alone(holds))


def _alone(thread: Thread) -> tuple[int, int, int]:
    holding = {kind: total.states for kind, total in thread.items() if not kind.waits}
    moved = sum(states for kind, states in holding.items() if min(after for _, after in kind.lengths) < FAR)
    return (
        sum(holding.values()),
        moved,
        sum(total.states for total in thread.values()) - sum(holding.values()),
    )


def _in_any_mode(thread: Thread) -> Thread:
    """The thread of a guest that starts in a mode of its own."""
    found: Thread = {}
    for kind, total in thread.items():
        lengths = tuple(min(each) for each in zip(*kind.lengths, strict=True))
        kind = evolve(kind, lengths=(lengths,))
        was = found.get(kind, Total(0, 0, 0))
        found[kind] = Total(was.states + total.states, was.free + total.free, was.takes + total.takes)
    return found


def _sharing(
    holds: Thread, waits: Thread, threads: int, cpus: int, width: int, ask: Callable[[], None]
) -> tuple[Sums, dict[Held, int]]:
    """The states of threads that share some CPUs, and how many there are for each way to hold these."""
    crowded = threads > cpus
    modes = max(len(kind.lengths) for kind in holds)
    so_far: dict[Held, Sums] = {(0, 0, 0): {((0, FAR) if crowded else (0,),) * modes: Sum(1, 1, 0, 0)}}
    starting = _places(holds, True, crowded, width), _places(waits, False, crowded, width)
    for n in range(threads):
        combine = (_holding if n < cpus else _waiting) if crowded else _one_after_another
        following: dict[Held, Sums] = {}
        for place, sums in starting[n >= cpus].items():
            for before, those in so_far.items():
                ask()
                after = before[0] + place[0], before[1] + place[1], before[2] + place[2]
                if sum(after) <= cpus:
                    _add(following.setdefault(after, {}), _times(those, sums, combine, width))
        so_far = following
    every: Sums = {}
    held = {}
    for place, sums in so_far.items():
        many = ways(place, cpus)
        shortest = _times(sums, {((0,),) * modes: Sum(1, 1, 0, 0)}, _shorter, width)
        shortest = {lengths: one.times(many, cpus - sum(place)) for lengths, one in shortest.items()}
        held[place] = sum(one.states for one in shortest.values())
        _add(every, shortest)
    return every, held


def _places(thread: Thread, holds: bool, crowded: bool, width: int) -> dict[Held, Sums]:
    """The thread's states where it waits, and where it holds the CPU on which it started, or another one."""
    found: dict[Held, Sums] = {}
    for kind, total in thread.items():
        switched = tuple((FAR, after) for _, after in kind.lengths)
        for place, lengths in (
            [((0, 0, 0), switched if holds else kind.lengths)] if kind.waits
            else [((1, 0, 0), kind.lengths), ((0, 1, 0), switched)] if holds
            else [((0, 0, 1), switched)]
        ):  # fmt: skip
            key, by = _least(lengths if crowded else tuple((min(mode),) for mode in lengths))
            if key:
                one = Sum(total.states << width * by, total.states, total.free, total.takes)
                _add(found.setdefault(place, {}), {key: one})
    return found


def ways(held: Held, cpus: int) -> int:
    """In how many ways threads can hold CPUs: some the one on which they started, the others different ones,
    not that on which they started themselves."""
    own, other, late = held
    return sum(
        (-1) ** back * comb(other, back) * perm(cpus - own - back, other + late - back)
        for back in range(min(other, cpus - own) + 1)
    )


#: What the lengths of some threads and of one more make.
Combine: TypeAlias = Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]]


def _one_after_another(so_far: tuple[int, ...], one: tuple[int, ...]) -> tuple[int, ...]:
    return (min(FAR, so_far[0] + one[0]),)


def _holding(so_far: tuple[int, ...], one: tuple[int, ...]) -> tuple[int, ...]:
    """With a thread that starts on a CPU, where there are more threads than CPUs."""
    keep, switched = so_far
    return min(FAR, keep + one[0]), min(FAR, switched + min(one), keep + one[1])


def _waiting(so_far: tuple[int, ...], one: tuple[int, ...]) -> tuple[int, ...]:
    """With a thread that starts without a CPU: it gets one only if another thread gives it up."""
    keep, switched = so_far
    return min(FAR, keep + one[0]), min(FAR, switched + min(one))


def _shorter(so_far: tuple[int, ...], _: tuple[int, ...]) -> tuple[int, ...]:
    return (min(so_far),)


def _add(to: Sums, more: Sums) -> None:
    for lengths, one in more.items():
        to[lengths] = to[lengths] + one if lengths in to else one


def _times(left: Sums, right: Sums, combine: Combine, width: int) -> Sums:
    found: Sums = {}
    for a, one in left.items():
        for b, other in right.items():
            key, by = _least(tuple(combine(*mode) for mode in zip(a, b, strict=True)))
            if key:
                both = one * other
                if by:
                    both = evolve(both, polynomial=both.polynomial << width * by)
                found[key] = found[key] + both if key in found else both
    return found


def _least(lengths: Lengths) -> tuple[Lengths, int]:
    """Lengths without what they have in common, and that; nothing if no path leads there."""
    least = min(min(mode) for mode in lengths)
    if least >= FAR:
        return (), 0
    return tuple(tuple(one if one >= FAR else one - least for one in mode) for mode in lengths), least


#: Situations of two vCPUs that a search must cover for a pass to mean anything, on two CPUs and more: what
#: both are doing.
SITUATIONS = {"two vCPUs loaded at once": LOADED, "two guests ran at once": IN_GUEST}
TAKEN_OVER = "a thread ran on a CPU that another one may have left"


def situations(found: Together, holds: Thread, cpus: int, moves: bool) -> dict[str, bool]:
    """Which of :data:`SITUATIONS` are reached, and whether threads share a CPU; ``found`` is what
    :func:`together` found."""
    shares = [states for held in found.held for (_, *others), states in held.items() if any(others)]
    reached = {TAKEN_OVER: any(shares)}
    for name, marks in SITUATIONS.items() if cpus > 1 else ():
        alike = {kind: total for kind, total in holds.items() if kind.marks & marks}
        reached[name] = bool(alike) and together(alike, alike, 2, cpus, moves=moves).states > 0
    return reached
