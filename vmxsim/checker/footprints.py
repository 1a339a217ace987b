"""What sections of kernel code do, recorded once for all states that they treat alike.

A section depends only on the fields that it reads, its *footprint*, and it moves values
without looking at them. The recorded effect, a :class:`Leaf`, therefore holds for every
state with the same footprint, whatever the values.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from attrs import define, frozen

from vmxsim.checker.states import ALL_SLOTS, BITS, CONSTANTS, RESET, put_in, take_out
from vmxsim.checker.symbolic import (
    Choice,
    Inspected,
    Line,
    Outcome,
    SecretToken,
    Sections,
    Token,
)
from vmxsim.errors import SimulationError
from vmxsim.kernel.machine import Value
from vmxsim.kernel.program import Function, Instruction
from vmxsim.kernel.thread import Stack

#: One bit for each invariant. ``contract``: the design does what the kernel must not.
BROKEN = {"guest-value": 1, "host-value": 2, "no-leak": 4, "no-host-fault": 8, "contract": 16}
#: Marks a transition that breaks an invariant before one may break (``guest-wrote-first``).
EARLY = 32
#: Marks a context switch that does not leave the task's own base in the register. That breaks nothing where
#: the next task's base is written: see ``zero`` in :class:`~vmxsim.kernel.machine.Host`.
LEFT = 64

IDENTITY = tuple(BITS * slot for slot in range(ALL_SLOTS))


@frozen
class Effect:
    """What a section does to the data.

    ``moves`` has for each slot the bit from which its new value comes; ``checks`` are (kind,
    bit of the value found, bit of the right value); ``broken`` are bits of :data:`BROKEN` set
    whatever the values. ``exchanges_hosts``: before the moves, HOST and OTHER are exchanged everywhere.
    """

    moves: tuple[int, ...]
    checks: tuple[tuple[str, int, int], ...] = ()
    broken: int = 0
    exchanges_hosts: bool = False


@define(eq=False)
class Leaf:
    """What a section does wherever its footprint matches.

    If the design looked at a value, ``mask`` and ``bits`` say for which data it applies.
    ``writes`` are (position in the control tuple, value); ``stack`` is the stack afterward,
    with holes for values. ``asked`` are the lines before which a tick would be noticed although
    preemption is disabled. ``error`` says why the section failed. ``may_signal``: a signal could have ended
    KVM_RUN. ``outcomes`` and ``unknowns`` are those of :class:`~vmxsim.checker.symbolic.Outcome`.
    ``reads`` are the positions in the control tuple that it reads before it writes them.
    """

    choice: Choice
    mask: int
    bits: int
    effect: Effect
    writes: tuple[tuple[int, Any], ...]
    stack: Stack
    asked: tuple[Line, ...]
    error: SimulationError | None
    may_signal: bool = False
    outcomes: tuple[tuple[Line, Any], ...] = ()
    unknowns: tuple[tuple[str, bool], ...] = ()
    reads: tuple[int, ...] = ()


class ReachedDown(Exception):
    """Code on top of ANY_STACK returned into it."""


def _reach_down(*_: Any) -> None:
    raise ReachedDown


#: Stands for any preempted kernel code: the scheduler does the same on top of all of it.
ANY_STACK: Stack = (
    Function("any", "", ("",), 0, (), [Instruction("do", 1, run=_reach_down)]), 0, (), None,
)  # fmt: skip


class _Node:
    """A decision on a position in the control tuple or (if negative) on a slot."""

    __slots__ = ("branches", "field", "leaf")

    def __init__(self) -> None:
        self.field: int | None = None
        self.branches: dict[Any, _Node] = {}
        self.leaf: Leaf | None = None

    def branch(self, value: Any) -> _Node:
        """The node to which a value leads."""
        found = self.branches.get(value)
        if found is None:
            found = self.branches[value] = _Node()
        return found


class Footprints:
    """The decision trees of all sections of a design. ``fields`` names the control tuple's
    positions from 1."""

    def __init__(self, sections: Sections, fields: tuple[tuple[str, str], ...], secret: bool) -> None:
        self.sections, self.fields = sections, fields
        #: How many slots are not on the stack.
        self._fixed = len(sections.m.slot_fields)
        self._position = {field: n + 1 for n, field in enumerate(fields)}
        self._numbers = {(v.number, v.owner): n for n, v in enumerate(sections.values)}
        self._tokens: list[Value] = [(SecretToken if secret else Token)(slot) for slot in range(ALL_SLOTS)]
        self._trees: dict[Hashable, _Node] = {}
        self._secret = secret
        #: The runs of sections that looked at a value, and what came out.
        self.looked: list[tuple[tuple[Any, ...], Any]] = []

    def leaves(self, key: Hashable, control: tuple[Any, ...], choice: Choice, stack: Stack) -> list[Leaf]:
        """What a section does in a control state: a leaf for each case of the values that the
        design looks at. ``key`` identifies stack and choice.

        Raises ReachedDown for a section on ANY_STACK that returns into it.
        """
        root = self._trees.get(key)
        if root is None:
            root = self._trees[key] = _Node()
        return self._find(root, root, control, choice, stack, {})

    def _find(
        self,
        root: _Node,
        node: _Node,
        control: tuple[Any, ...],
        choice: Choice,
        stack: Stack,
        seen: dict[int, int],
    ) -> list[Leaf]:
        while node.leaf is None:
            if (field := node.field) is None:
                self._grow(root, control, choice, stack, seen)
            elif field >= 0:
                node = node.branches.get(control[field]) or node.branch(control[field])
            else:
                return [
                    leaf
                    for value in range(1 << BITS)
                    for leaf in self._find(
                        root, node.branch(value), control, choice, stack, {**seen, -1 - field: value}
                    )
                ]
        return [node.leaf]

    def _grow(
        self, root: _Node, control: tuple[Any, ...], choice: Choice, stack: Stack, seen: dict[int, int]
    ) -> None:
        """Run the section and add the path that it took to the tree."""
        leaf, path = self.outcome(control, choice, stack, seen)
        if seen or leaf is None:
            self.looked.append(((control, choice, stack, dict(seen)), _as_key(leaf, path)))
        node = root
        for field in path:
            while node.field is not None and node.field < 0:  # already looked at in an earlier run
                node = node.branch(seen[-1 - node.field])
            if node.field is None:
                node.field = field
            if field < 0:
                return
            node = node.branch(control[field])
        while node.field is not None:
            node = node.branch(seen[-1 - node.field])
        node.leaf = leaf

    def outcome(
        self, control: tuple[Any, ...], choice: Choice, stack: Stack, seen: dict[int, int]
    ) -> tuple[Leaf | None, list[int]]:
        """Run a section with the values ``seen`` in some slots: what it does, and the positions and slots
        that it reads. None if it looks at the value in one more slot, which is the path's last."""
        m = self.sections.m
        slots = [
            self.sections.values[seen[n]] if n in seen else token for n, token in enumerate(self._tokens)
        ]
        m.start(dict(zip(self.fields, control[1:], strict=True)), slots)
        leaf = None
        try:
            leaf = self._leaf(choice, self.sections.run(choice, put_in(stack, slots[self._fixed :])), seen)
            path = [self._position[field] for field in m.reads]
            leaf.reads = tuple(path)
        except Inspected as look:
            path = [self._position[field] for field in m.reads] + [-1 - look.slot]
        return leaf, path

    def fits(self, other: Sections) -> bool:
        """Whether every section that looked at a value does the same with the values of ``other``."""
        again = Footprints(other, self.fields, self._secret)
        try:
            return all(_as_key(*again.outcome(*run)) == was for run, was in self.looked)
        except ReachedDown:
            return False

    def _leaf(self, choice: Choice, end: Outcome, seen: dict[int, int]) -> Leaf:
        m = self.sections.m
        mask = sum(7 << (BITS * slot) for slot in seen)
        bits = sum(value << (BITS * slot) for slot, value in seen.items())
        broken = sum(BROKEN[name] for name in dict.fromkeys(end.broken))
        try:
            checks = tuple((kind, self._source(a), self._source(b)) for kind, a, b in end.checks)
            if end.error is None:
                stack, values = take_out(end.stack, ALL_SLOTS - self._fixed)
                moves = [self._source(value) for value in (*m.slots(), *values)]
                if values and ANY_STACK in _levels(stack):
                    raise ReachedDown
        except SimulationError as error:
            end.error, checks = error, ()
        if end.error is not None:
            effect = Effect(IDENTITY, checks, broken | BROKEN["contract"])
            return Leaf(
                choice, mask, bits, effect, (), None, tuple(end.asked), end.error, unknowns=end.unknowns
            )
        if ANY_STACK in _levels(stack):
            moves += IDENTITY[self._fixed :]
        moves += [self._constant(RESET)] * (ALL_SLOTS - len(moves))
        writes = tuple(
            (self._position[field], m.field(field)) for field in m.written if field in self._position
        )
        effect = Effect(tuple(moves), checks, broken, end.exchanges_hosts)
        asked, outcomes = tuple(end.asked), tuple(end.outcomes)
        return Leaf(
            choice, mask, bits, effect, writes, stack, asked, None, end.may_signal, outcomes, end.unknowns
        )

    def _constant(self, number: int) -> int:
        return CONSTANTS + BITS * number

    def _source(self, value: Value) -> int:
        """The bit from which a value comes."""
        if isinstance(value, Token):
            return BITS * value.slot
        number = self._numbers.get((value.number, value.owner)) if isinstance(value, Value) else None
        if number is None:
            raise SimulationError(f"{value} is used where a value of the register is expected")
        return self._constant(number)


def _as_key(leaf: Leaf | None, path: list[int]) -> Any:
    """What came out of a section, to be compared."""
    if leaf is None:
        return path
    did = leaf.effect, leaf.writes, leaf.stack, leaf.asked, str(leaf.error), leaf.may_signal, leaf.outcomes
    return did, path, leaf.unknowns


def _levels(stack: Stack) -> Iterator[Stack]:
    while stack is not None:
        yield stack
        stack = stack[3]
