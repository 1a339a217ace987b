"""The joint states of one or two threads that tell what was left on a CPU, visited one by one.

A joint state has for each thread its node, and the CPU that it holds or (in a schedule that can be told as a
scenario) held last; and what is left on each CPU that nobody holds. Not every schedule can be told: in a
scenario one action follows the other, so that a thread makes room for another only where it is at rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from attrs import define, field, frozen

from vmxsim.checker.cut import Cut, CutShort, Watch, until_cut
from vmxsim.checker.search import ACTS, COMES, MAKES_ROOM, Path, Turn
from vmxsim.checker.sharing import Sharing, Step
from vmxsim.checker.states import CONSTANTS
from vmxsim.checker.symbolic import OUT, STEP
from vmxsim.checker.transition_table import Edge

#: The default limit on the number of joint states.
MAX_JOINT = 1_000_000
#: Bits for a node, a CPU, and what is left on one.
_WIDTHS = 32, 8, 32
#: How far a joint state is: actions, transitions.
Cost = tuple[int, int]


class Joint(NamedTuple):
    """A joint state. A thread's place is -1 if it has none; what is left on a CPU that is held is -1.
    ``acting`` is the thread whose action goes on, -1 for none, and ``coming`` says that it is on its way."""

    nodes: tuple[int, ...]
    places: tuple[int, ...]
    lefts: tuple[int, ...]
    acting: int = -1
    coming: bool = False


#: A thread's transition: its state before, and what it is.
Made = tuple[Turn, int, Edge]
#: What leads to a joint state (None: to a broken invariant): the transitions, the bits of BROKEN.
Move = tuple[tuple[Made, ...], "Joint | None", int]


@define(eq=False)
class Visited:
    """What was visited: ``layers`` counts the joint states by distance, ``path`` is the shortest to a broken
    invariant (only where it can be told), ``broken`` the bits of that one, ``steps`` how many transitions
    lead there; ``cut`` says what ended the search early."""

    layers: list[int] = field(factory=list)
    transitions: int = 0
    path: Path | None = None
    broken: int = 0
    steps: int = 0
    depth: int = 0
    cut: Cut | None = None

    @property
    def states(self) -> int:
        """How many joint states were visited."""
        return sum(self.layers)


@frozen
class Threads:
    """Threads that share ``cpus`` CPUs. Unless they ``move``, each returns to its own only."""

    sharing: Sharing
    threads: int
    cpus: int
    moves: bool = True

    def starts(self, same_guest: bool = True) -> list[Joint]:
        """The initial states, in each mode or modes of the guests."""
        one = [(self.sharing.start(*a), self.sharing.start(*b)) for a, b in zip(
            self.sharing.table.initial, self.sharing.table.initial_waiting, strict=True)]  # fmt: skip
        held = min(self.threads, self.cpus)
        found = []
        for modes in [(a, b) for a in one for b in (one if not same_guest else [a])]:
            nodes = tuple(modes[n][n >= self.cpus] for n in range(self.threads))
            places = tuple(n if n < self.cpus else -1 for n in range(self.threads))
            found.append(Joint(nodes, places, (-1,) * held + (0,) * (self.cpus - held)))
        return list(dict.fromkeys(found))

    def visit(self, starts: list[Joint], wanted: int, most: int, told: bool, watch: Watch | None) -> Visited:
        """Visit all joint states by distance, up to the first broken invariant of ``wanted`` (0: past none).

        Those of schedules that can be ``told``: by actions, then by transitions. ``most`` is the limit on
        their number."""
        found, count = Visited(), 0
        if told:
            starts = [self._at_home(start) for start in starts]
        first = [self._pack(start) for start in starts]
        #: How far the state is, and the one before it on the way.
        best: dict[int, tuple[Cost, int]] = dict.fromkeys(first, ((0, 0), -1))
        buckets, order = {(0, 0): first}, [(0, 0)]
        ends: dict[Cost, tuple[int, tuple[Made, ...], int]] = {}
        with until_cut(found, watch):
            while order:
                cost = heappop(order)
                if cost in ends:
                    state, made, found.broken = ends[cost]
                    found.steps = cost[1]
                    if told:
                        found.path = self._path(best, state, made, found.broken)
                    break
                layer = [state for state in buckets.pop(cost) if best[state][0] == cost]
                if layer:
                    found.layers.append(0)
                    found.depth = max(found.depth, cost[1])
                for state in layer:
                    if count >= most:
                        raise CutShort(f"the limit of {most:,} joint states was reached", "--max-states")
                    if watch and not count & 255:
                        watch(count, 0)
                    found.layers[-1] += 1
                    count += 1
                    joint = self._unpack(state)
                    before = state if told else -1
                    for made, after, broken in self._told(joint) if told else self._next(joint):
                        found.transitions += 1
                        to = _further(cost, made, told)
                        if after is None:
                            if not broken & wanted or to in ends:
                                continue
                            ends[to] = state, made, broken
                        else:
                            number = self._pack(after)
                            if number in best and best[number][0] <= to:
                                continue
                            best[number] = to, before
                        if to not in buckets:
                            buckets[to] = []
                            heappush(order, to)
                        if after is not None:
                            buckets[to].append(number)
                if watch:
                    watch(count, 0)
        return found

    def _pack(self, joint: Joint) -> int:
        """A joint state as one number: there are many."""
        packed = (joint.acting + 1) << 1 | joint.coming
        for bits, numbers in zip(_WIDTHS, joint[:3], strict=True):
            for number in numbers:
                packed = packed << bits | number + 1
        return packed

    def _unpack(self, packed: int) -> Joint:
        parts = []
        counts = self.threads, self.threads, self.cpus
        for bits, count in zip(reversed(_WIDTHS), reversed(counts), strict=True):
            numbers = []
            for _ in range(count):
                numbers.append((packed & (1 << bits) - 1) - 1)
                packed >>= bits
            parts.append(tuple(reversed(numbers)))
        return Joint(parts[2], parts[1], parts[0], (packed >> 1) - 1, bool(packed & 1))

    def _at_home(self, start: Joint) -> Joint:
        return Joint(start.nodes, tuple(self._home(n) for n in range(self.threads)), start.lefts)

    def _home(self, thread: int) -> int:
        return min(thread, self.cpus - 1)

    def _left(self, state: Joint, thread: int, cpu: int) -> int:
        """What the thread finds on a free CPU."""
        return self.sharing.as_other(state.lefts[cpu]) if thread else state.lefts[cpu]

    def _next(self, state: Joint) -> Iterator[Move]:
        """Whatever can happen next."""
        for thread, node in enumerate(state.nodes):
            if not self.sharing.waits(node):
                cpu = state.places[thread]
                for step in self.sharing.steps(node):
                    yield self._move(state, thread, cpu, step, place=-1)
                continue
            for cpu in range(self.cpus) if self.moves else [self._home(thread)]:
                if state.lefts[cpu] >= 0:
                    for step in self.sharing.enters(node, self._left(state, thread, cpu)):
                        yield self._move(state, thread, cpu, step, place=-1)

    def _move(
        self, state: Joint, thread: int, cpu: int, step: Step, how: str = ACTS, place: int | None = None,
        acting: int = -1, before: tuple[Made, ...] = (),
    ) -> Move:  # fmt: skip
        """A thread's transition on a CPU. If it is switched out, its place is ``place``, or that CPU."""
        made = (*before, (Turn(thread, cpu, how), step.edge.source, step.edge))
        if step.target < 0:
            return made, None, step.broken
        nodes, places, lefts = list(state.nodes), list(state.places), list(state.lefts)
        nodes[thread], places[thread], lefts[cpu] = step.target, cpu, -1
        if step.left >= 0:
            lefts[cpu] = self.sharing.as_other(step.left) if thread else step.left
            places[thread] = cpu if place is None else place
        return made, Joint(tuple(nodes), tuple(places), tuple(lefts), acting, how == COMES and acting >= 0), 0

    def _told(self, state: Joint) -> Iterator[Move]:
        """What can happen next in a scenario."""
        for thread in range(self.threads) if state.acting < 0 else [state.acting]:
            node, coming = state.nodes[thread], state.coming
            begins = state.acting < 0
            if self.sharing.waits(node):
                how = COMES if begins or coming else ACTS
                for cpu in range(self.cpus) if self.moves and how == ACTS else [state.places[thread]]:
                    yield from self._take(state, thread, cpu, how)
                continue
            at_rest = self._rests(node)
            for step in self.sharing.steps(node):
                if at_rest != step.edge.at_rest or (coming and not at_rest and step.edge.leaf.choice != STEP):
                    continue
                how = COMES if coming and not at_rest else ACTS
                yield self._move(
                    state, thread, state.places[thread], step, how, acting=self._goes_on(thread, step, how)
                )

    def _take(self, state: Joint, thread: int, cpu: int, how: str) -> Iterator[Move]:
        """Switch the thread in, after one that is at rest on that CPU was switched out."""
        rooms: list[tuple[Joint, tuple[Made, ...]]] = []
        if state.lefts[cpu] >= 0:
            rooms.append((state, ()))
        else:
            other = 1 - thread
            for step in self.sharing.steps(state.nodes[other]):
                if step.edge.leaf.choice != OUT:
                    continue
                made, after, broken = self._move(state, other, cpu, step, MAKES_ROOM, acting=state.acting)
                if after is None:
                    yield made, None, broken
                elif step.left >= 0:
                    rooms.append((after, made))
        for room, before in rooms:
            for step in self.sharing.enters(room.nodes[thread], self._left(room, thread, cpu)):
                yield self._move(
                    room, thread, cpu, step, how, acting=self._goes_on(thread, step, how), before=before
                )

    def _goes_on(self, thread: int, step: Step, how: str) -> int:
        """The thread if its action goes on, -1 if that is over."""
        return -1 if step.target >= 0 and how == ACTS and self._rests(step.target) else thread

    def _rests(self, node: int) -> bool:
        return self.sharing.table.at_rest(self.sharing.nodes[node][0])

    def _path(
        self, best: dict[int, tuple[Cost, int]], state: int, made: tuple[Made, ...], broken: int
    ) -> Path:
        """The path that ends with ``made`` from a state. What leads from each to the next is found again."""
        every = [made]
        while (before := best[state][1]) >= 0:
            cost = best[state][0], best[before][0]
            moves = self._told(self._unpack(before))
            every.append(
                next(
                    made
                    for made, after, _ in moves
                    if after and self._pack(after) == state and _further(cost[1], made, True) == cost[0]
                )
            )
            state = before
        start = self.sharing.nodes[self._unpack(state).nodes[0]][0] << CONSTANTS
        one_by_one = [one for made in reversed(every) for one in made]
        transitions = tuple((source << CONSTANTS, edge) for _, source, edge in one_by_one)
        return Path(start, transitions, broken, tuple(turn for turn, _, _ in one_by_one))


def _further(cost: Cost, made: tuple[Made, ...], told: bool) -> Cost:
    """How far transitions lead from there: in actions (0 throughout unless it is told), and transitions."""
    acts = sum(edge.at_rest and turn.how == ACTS for turn, _, edge in made) if told else 0
    return cost[0] + acts, cost[1] + len(made)
