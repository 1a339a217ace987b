"""A thread that finds on a CPU what another thread left there.

The table of transitions takes what belongs to the CPU along with the thread. Where ``left_behind.py`` notices
that a thread can tell, that part is taken out here: a thread that waits has none of it, and one that is
switched in takes what its CPU has. First each thread is followed with everything that any thread may ever
leave. If that breaks nothing, no schedule does, of however many threads.
"""

from __future__ import annotations

from typing import Any

from attrs import define, frozen

from vmxsim.checker.cut import CutShort, Watch
from vmxsim.checker.footprints import LEFT, Effect, Leaf
from vmxsim.checker.states import BITS, HOST, OTHER, UNKNOWN, ZERO, numbered_values, unpack
from vmxsim.checker.transition_table import Edge, Numbered, TransitionTable, breach_table

#: Values from here on are another thread's: this plus its number there.
OTHERS = 1 << BITS
#: What exchanging HOST and OTHER makes of a value.
_EXCHANGED = {HOST: OTHER, OTHER: HOST}

#: What is left on a CPU: the fields, and the values of the register, as the thread numbers them.
Left = tuple[tuple[Any, ...], tuple[int, ...]]


@frozen
class Step:
    """A transition of a thread: the node to which it leads (-1: it breaks an invariant or fails), what it
    leaves on its CPU (-1: it keeps the CPU), and the bits of BROKEN."""

    edge: Edge
    target: int
    left: int
    broken: int


@define(eq=False)
class Reach:
    """What a thread reaches that may find whatever any thread leaves."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    broken: int = 0


class Sharing:
    """A thread's transitions, where it shares ``left`` (names of fields of the CPU) with others.

    Its states are numbered :attr:`nodes`: control state and the number of the data, which has more values
    than the table's: those of the ``others`` (how many threads) as well. ``table`` is extended.

    Raises CutShort.
    """

    def __init__(
        self, table: TransitionTable, left: tuple[str, ...], others: int, watch: Watch | None = None
    ) -> None:
        self.table, self.others, self.watch = table, others, watch
        self._fields = [n for n, one in enumerate(table.fields, 1) if one[0] == "cpu0" and one[1] in left]
        slots = enumerate(table.sections.m.slot_fields)
        self._slots = [n for n, one in slots if one[0] == "cpu0" and one[1] in left]
        number, data = table.initial[0]
        first = table.states[number]
        self._first: Left = tuple(first[n] for n in self._fields), tuple(unpack(data)[n] for n in self._slots)
        values = table.values + numbered_values(table.written, table.host.bases, 1)
        self._breach, self._values = breach_table(values), len(values)
        self.data: Numbered[tuple[int, ...]] = Numbered()
        self.nodes: Numbered[tuple[int, int]] = Numbered()
        self.lefts: Numbered[Left] = Numbered()
        self.lefts.number(self._first)
        self._after: dict[tuple[int, int], tuple[int, int]] = {}
        self._steps: dict[int, list[Step]] = {}
        self._entered: dict[tuple[int, int], list[Step]] = {}
        self._extend()
        if table.suspects:
            raise CutShort("whether kernel code loops forever depends on values of the register")

    def _extend(self) -> None:
        """Add the control states of a waiting thread whose CPU holds what any may have left there."""
        table, done = self.table, 0
        while done < len(table.states):
            done = len(table.states)
            waiting = [state for state in table.states if table.get(state, "thread0", "waiting")]
            left = {tuple(state[n] for n in self._fields) for state in waiting}
            found = {self._with(state, fields) for state in waiting for fields in left}
            table.extend((state for state in found), self.watch)

    def _with(self, state: tuple[Any, ...], fields: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = list(state)
        for n, value in zip(self._fields, fields, strict=True):
            changed[n] = value
        return tuple(changed)

    def start(self, number: int, data: int) -> int:
        """The node of an initial state, as the table packs it."""
        return self.nodes.number((number, self.data.number(tuple(unpack(data)))))

    def waits(self, node: int) -> bool:
        """Whether the thread waits for a CPU."""
        return bool(self.table.get(self.table.states[self.nodes[node][0]], "thread0", "waiting"))

    def as_other(self, left: int) -> int:
        """What is left on a CPU, as another thread numbers it."""
        fields, values = self.lefts[left]
        return self.lefts.number((fields, tuple(map(_exchange, values))))

    def steps(self, node: int) -> list[Step]:
        """The transitions of a thread that holds a CPU."""
        found = self._steps.get(node)
        if found is None:
            found = self._steps[node] = self._follow(*self.nodes[node])
        return found

    def enters(self, node: int, left: int) -> list[Step]:
        """The transitions of a thread that waits onto a CPU with ``left``."""
        found = self._entered.get((node, left))
        if found is None:
            control, data = self.nodes[node]
            fields, values = self.lefts[left]
            control = self.table.states.number(self._with(self.table.states[control], fields))
            found = self._entered[node, left] = self._follow(control, self._put(data, values))
        return found

    def _put(self, data: int, values: tuple[int, ...]) -> int:
        if not self._slots:
            return data
        changed = list(self.data[data])
        for n, value in zip(self._slots, values, strict=True):
            changed[n] = value
        return self.data.number(tuple(changed))

    def _follow(self, control: int, data: int) -> list[Step]:
        found = []
        for edge in self.table.edges_of(control):
            if edge.leaf.mask and not self._fits(edge.leaf, data):
                continue
            after, broken = self._done(edge.effect, data)
            if broken or edge.target < 0:
                found.append(Step(edge, -1, -1, broken))
                continue
            target, left = edge.target, -1
            state = self.table.states[target]
            if self.table.get(state, "thread0", "waiting"):
                numbers = self.data[after]
                fields = tuple(state[n] for n in self._fields)
                values = tuple(numbers[n] for n in self._slots)
                left = self.lefts.number((fields, values))
                if self.others:
                    self.as_other(left)
                if self.others > 1:  # it may be a third thread that finds both values
                    self.lefts.number((fields, tuple(_exchange(v % OTHERS) for v in values)))
                target = self.table.states.number(self._with(state, self._first[0]))
                after = self._put(after, self._first[1])
            found.append(Step(edge, self.nodes.number((target, after)), left, 0))
        return found

    def _fits(self, leaf: Leaf, data: int) -> bool:
        for slot, value in enumerate(self.data[data]):
            if leaf.mask >> BITS * slot & 7:
                if value >= OTHERS:
                    raise CutShort("the design looks at a value that another thread left on a CPU")
                if value != leaf.bits >> BITS * slot & 7:
                    return False
        return True

    def _done(self, number: int, data: int) -> tuple[int, int]:
        """The data after an effect, and the bits of the broken invariants."""
        found = self._after.get((number, data))
        if found is None:
            effect: Effect = self.table.effects[number]
            was = self.data[data]
            if effect.exchanges_hosts:
                was = tuple(_EXCHANGED.get(value, value) for value in was)
            full = (*was, *range(OTHERS))
            broken = effect.broken
            for kind, a, b in effect.checks:
                broken |= self._breach[kind][full[a // BITS] + self._values * full[b // BITS]]
            after = self.data.number(tuple(full[bit // BITS] for bit in effect.moves))
            found = self._after[number, data] = after, broken & ~LEFT
        return found

    def taken(self) -> list[bool]:
        """For each edge of the table, whether it was met."""
        every = (*self._steps.values(), *self._entered.values())
        met = {id(step.edge) for steps in every for step in steps}
        return [id(edge) in met for edge in self.table.edges]

    def reach(self, starts: list[int]) -> Reach:
        """Follow a thread that finds on a CPU whatever was left on any CPU so far."""
        found, layer = Reach(), list(dict.fromkeys(starts))
        seen, waiting, known = set(layer), list[int](), 0
        while layer or known < len(self.lefts):
            new = range(known, len(self.lefts))
            steps = [step for node in waiting for left in new for step in self.enters(node, left)]
            known = new.stop
            for count, node in enumerate(layer):
                if self.watch and not count & 1023:
                    self.watch(len(seen), 0)
                if self.waits(node):
                    waiting.append(node)
                    steps += [step for left in range(known) for step in self.enters(node, left)]
                else:
                    steps += self.steps(node)
            layer = []
            for step in steps:
                found.broken |= step.broken
                if step.target >= 0 and step.target not in seen:
                    seen.add(step.target)
                    layer.append(step.target)
            found.transitions += len(steps)
            found.depth += bool(layer)
            found.states = len(seen)
            if self.watch:
                self.watch(found.states, len(layer))
        return found


def _exchange(value: int) -> int:
    """A value as the other thread numbers it. Two of them are everybody's."""
    return value if value % OTHERS in (ZERO, UNKNOWN) else value ^ OTHERS
