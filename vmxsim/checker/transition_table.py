"""All transitions of one thread, in a table built by running the design's kernel code."""

from __future__ import annotations

import gc
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any, TypeVar

from attrs import define, evolve, frozen

from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.cut import CutShort, Watch
from vmxsim.checker.footprints import (
    ANY_STACK,
    BROKEN,
    EARLY,
    IDENTITY,
    LEFT,
    Effect,
    Footprints,
    Leaf,
    ReachedDown,
)
from vmxsim.checker.relevant import relevant_bits, relevant_vcpu_fields
from vmxsim.checker.states import (
    ALL_SLOTS,
    BITS,
    CONSTANT_BITS,
    CONSTANTS,
    DATA_MASK,
    FIRST,
    GUEST_BASE,
    GUEST_VALUES,
    HOST,
    OTHER,
    RESET,
    SECOND,
    TRUE,
    TRUE_BASE,
    UNKNOWN,
    ZERO,
    exchange_hosts,
    pack,
    unpack,
)
from vmxsim.checker.symbolic import (
    CPU_FIELDS,
    GUEST_CHECK,
    HOST_CHECK,
    IN,
    LEFT_CHECK,
    OUT,
    STEP,
    TASK_FIELDS,
    USER_GS_BASE,
    Choice,
    Sections,
    actions_at_rest,
    own_fields,
    own_values,
)
from vmxsim.errors import SimulationError
from vmxsim.kernel.attributes import U64
from vmxsim.kernel.instructions import is_canonical
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import EFER_LMA, Host, Value, reset_cr0, reset_efer
from vmxsim.kernel.program import Const, Instruction, Operation, parts
from vmxsim.kernel.thread import Stack

#: Kinds of checks; those with EARLY belong to paths on which no violation counts yet.
CHECKS = (GUEST_CHECK, HOST_CHECK, LEFT_CHECK, *(f"{kind} {EARLY}" for kind in (GUEST_CHECK, HOST_CHECK)))


def breach_table(values: tuple[Value, ...]) -> dict[str, list[int]]:
    """For each of :data:`CHECKS`, the invariants broken by found and right, indexed by found + right times
    the number of values."""
    guest, host, left = [], [], []
    for right in values:
        for found in values:
            wrong = found.number != right.number
            left.append(wrong * LEFT)
            leaks = found.owner.startswith("thread")
            guest.append(wrong * (BROKEN["guest-value"] + leaks * BROKEN["no-leak"]))
            leaked = found.owner.startswith("vcpu")
            host.append(wrong * (BROKEN["host-value"] + leaked * BROKEN["no-leak"]))
    early = [[EARLY * bool(breach) for breach in codes] for codes in (guest, host)]
    return dict(zip(CHECKS, (guest, host, left, *early), strict=True))


class Doer:
    """Applies one :class:`~vmxsim.checker.footprints.Effect` to packed data."""

    def __init__(self, effect: Effect, table: dict[str, list[int]]) -> None:
        self.effect, self._table = effect, table
        self._changed = [
            (source, BITS * slot) for slot, source in enumerate(effect.moves) if source != IDENTITY[slot]
        ]
        self._kept = (1 << BITS * ALL_SLOTS) - 1
        for _, at in self._changed:
            self._kept &= ~(7 << at)
        self.done = cache(self._do)

    def _do(self, data: int) -> tuple[int, int]:
        """The data afterward, and the bits of the broken invariants."""
        if self.effect.exchanges_hosts:
            data = exchange_hosts(data)
        full, broken = data | CONSTANT_BITS, self.effect.broken
        for kind, found, right in self.effect.checks:
            broken |= self._table[kind][(full >> found & 7) | (full >> right & 7) << BITS]
        after = data & self._kept
        for source, at in self._changed:
            after |= (full >> source & 7) << at
        return after, broken


def make_doers(values: tuple[Value, ...], effects: list[Effect]) -> list[Doer]:
    """A Doer for each effect."""
    table = breach_table(values)
    return [Doer(effect, table) for effect in effects]


#: The guest's values, which the host need not tell apart.
_GUESTS = (FIRST, SECOND, GUEST_BASE)


def as_the_host_sees(effect: Effect, looks: bool) -> Effect:
    """The effect reduced to what matters for the host's value.

    The guest's true value is dropped, because kernel code cannot see it. The guest's values
    become one, unless the design ``looks`` at values: kernel code copies them all alike.
    """
    reset = CONSTANTS + BITS * RESET
    guests = () if looks else tuple(CONSTANTS + BITS * value for value in _GUESTS)
    moves = tuple(
        reset if slot in (TRUE, TRUE_BASE) or source in guests else source
        for slot, source in enumerate(effect.moves)
    )
    checks = tuple(c for c in effect.checks if not c[0].startswith(GUEST_CHECK))
    return evolve(effect, moves=moves, checks=checks)


def data_as_the_host_sees(data: int, looks: bool) -> int:
    """Initial data, reduced in the same way."""
    values = unpack(data)
    for slot, value in enumerate(values):
        if slot in (TRUE, TRUE_BASE) or (value in _GUESTS and not looks):
            values[slot] = RESET
    return pack(values)


State = tuple[Any, ...]
#: Ways through conditions that are not modeled, in one stretch of kernel code, beyond which a search ends.
MOST_WAYS = 4_096

#: Control states beyond which a field is taken to count up forever.
MOST_STATES = 300_000


Thing = TypeVar("Thing", bound=Hashable)


class Numbered(list[Thing]):
    """Distinct things in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[Thing, int] = {}

    def number(self, thing: Thing) -> int:
        """The index of ``thing``, which is added if it is new."""
        found = self._numbers.get(thing)
        if found is None:
            found = self._numbers[thing] = len(self)
            self.append(thing)
        return found


@define(eq=False)
class Edge:
    """A transition between control states.

    ``target`` is -1 if the section failed; ``effect`` indexes the table's effects.
    ``at_rest``: it starts an action of the scenario. A tick at rest is the action
    ``preempt``; a tick in the kernel belongs to the action that it interrupts.
    """

    source: int
    target: int
    effect: int
    leaf: Leaf
    at_rest: bool

    @property
    def is_tick(self) -> bool:
        """Whether a tick arrives inside the kernel."""
        choice = self.leaf.choice
        return not self.at_rest and (choice.kind == "out" or choice.pending > 0)

    @property
    def interrupts(self) -> bool:
        """Whether a tick or a signal arrives inside the kernel."""
        return self.is_tick or self.leaf.choice.signal


_NOTHING = Restriction()


@frozen
class Unknowns:
    """How conditions that are not modeled (:func:`~vmxsim.kernel.instructions.not_modeled`) come out: as is
    assumed, but the other way throughout for those in ``inverted``; or either way at each test."""

    either_way: bool = False
    inverted: frozenset[str] = frozenset()


AS_ASSUMED, EITHER_WAY = Unknowns(), Unknowns(either_way=True)


class TransitionTable:
    """All control states that a thread of ``design`` can reach on ``host`` under assumptions.

    ``states`` are tuples: the stack's number, then the values of :attr:`fields`. ``edges``
    are grouped by source; those of state n start at ``first[n]``. ``initial`` holds pairs of
    control state and data; ``initial_waiting`` is the same for a thread without a CPU.
    ``tracks_base``: the states say which of the thread's two bases is the true one, even where nothing looks.
    ``unknowns`` says how conditions that are not modeled come out. If that is either way, EFER and CR0 hold
    only the bits that the design's code looks at: they come apart, and the rest only makes more states.
    ``watch`` is called regularly and may raise. Raises CutShort if the design's state grows
    without end.
    """

    def __init__(
        self,
        design: type[Kvm],
        host: Host,
        assumed: Restriction = _NOTHING,
        *,
        interception: str = "rule",
        written: tuple[int, int] = GUEST_VALUES,
        unknowns: Unknowns = AS_ASSUMED,
        tracks_base: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self.design, self.host, self.assumed, self.written = design, host, assumed, written
        self._either_way = unknowns.either_way
        self.sections = Sections(design, host, interception, written)
        self.sections.m.inverted, self.sections.tracks_base = unknowns.inverted, tracks_base
        if unknowns.either_way:
            self.sections.m.kept_bits = relevant_bits(design)
        self.values = self.sections.values
        self._allows = assumed.filter()
        self._build(watch)
        if self._lacks_base():
            self.sections.tracks_base = True
            self._build(watch)

    def _lacks_base(self) -> bool:
        """Whether the states have to say which base is the true one, and do not: user space changes its base,
        and the bases are not alike to the reader's code. It compares values with numbers, or computes with
        them; or it compares values, one of which the guest may choose to be a base of the host's."""
        looked = self.sections.looked
        if self.sections.tracks_base or not looked or not any(e.exchanges_hosts for e in self.effects):
            return False
        chosen = {self.values[HOST].number, self.values[OTHER].number} & {*self.written}
        return any(chosen or _names_numbers(f.instructions[index]) for f, index in looked)

    def _build(self, watch: Watch | None) -> None:
        design, host, assumed, written = self.design, self.host, self.assumed, self.written
        own = own_fields(design)
        ghosts = ("script", "guest_wrote") if assumed.guest_wrote_first else ("script",)
        vcpu_fields = (*relevant_vcpu_fields(design, self.sections.interception), *ghosts)
        tracked = ("base_changed",) if self.sections.tracks_base else ()
        self.fields = (
            *(("cpu0", name) for name in CPU_FIELDS),
            *(field for field, first in own.items() if field[0] == "cpu0" and not isinstance(first, U64)),
            *(("thread0", name) for name in (*TASK_FIELDS, "waiting", *tracked)),
            *(("vcpu0", name) for name in vcpu_fields),
        )
        self._position = {field: n + 1 for n, field in enumerate(self.fields)}
        secret = not all(is_canonical(number, host.address_bits) for number in written)
        self._footprints = Footprints(self.sections, self.fields, secret)
        self.stacks: Numbered[Stack] = Numbered()
        self.stacks.number(None)
        #: For a stack built by the scheduler: the leaf that put frames on top of ANY_STACK, and
        #: the stack below.
        self._split: dict[int, tuple[Leaf, int]] = {}
        #: What the scheduler does to a state's fields, whatever stack is below.
        self._scheduled: dict[tuple[Any, tuple[int, ...], State], list[tuple[Leaf, State]]] = {}
        #: The stack that (leaf, stack below) make.
        self._made: dict[tuple[Leaf, int], int] = {}
        self.effects: Numbered[Effect] = Numbered()
        self._leaf_effects: dict[tuple[Leaf, bool], int] = {}
        self._waiting, self._mode = self._position["thread0", "waiting"], self._position["thread0", "mode"]
        self._guest_wrote = self._position.get(("vcpu0", "guest_wrote"))
        self.states: Numbered[State] = Numbered()
        self.edges: list[Edge] = []
        self.first: list[int] = []
        self.initial, self.initial_waiting = (
            [self._start(long_mode, waiting) for long_mode in assumed.long_modes] for waiting in (False, True)
        )
        with without_collection():
            self._explore(watch)

    def covers(self, written: tuple[int, int]) -> bool:
        """Whether the table with these numbers written would be this one, and no breach show that does not
        here: the design does the same with them, and numbers that are equal here are so there."""
        other = Sections(self.design, self.host, self.sections.interception, written)
        other.m.inverted, other.m.kept_bits = self.sections.m.inverted, self.sections.m.kept_bits
        other.tracks_base = self.sections.tracks_base
        return _equal(self.values) <= _equal(other.values) and self._footprints.fits(other)

    def get(self, state: State, holder: str, name: str) -> Any:
        """A field of a control state; None if it is not part of the state."""
        at = self._position.get((holder, name))
        return None if at is None else state[at]

    def _start(self, long_mode: bool, waiting: bool) -> tuple[int, int]:
        host = self.host
        values: dict[tuple[str, str], Any] = {
            ("cpu0", "irqs_disabled"): False,
            ("cpu0", "need_resched"): False,
            ("thread0", "mode"): "user",
            ("thread0", "preempt_notifier"): False,
            ("thread0", "signal_pending"): False,
            ("thread0", "gs_sel"): host.gs_sel,
            ("thread0", "bits"): host.bits,
            ("thread0", "waiting"): waiting,
            ("thread0", "base_changed"): False,
            ("vcpu0", "efer"): reset_efer(long_mode),
            ("vcpu0", "cr0"): reset_cr0(long_mode),
            ("vcpu0", "loaded"): False,
            ("vcpu0", "lists_kernel_gs_base"): long_mode,
            ("vcpu0", "save_nmsrs"): self.design.shared_msrs[long_mode],
            ("vcpu0", "bitmap_passes"): long_mode or self.design.bitmap_passes_at_creation,
            ("vcpu0", "exit_reason"): "",
            ("vcpu0", "script"): "",
            ("vcpu0", "guest_wrote"): False,
            ("vcpu0", "smm"): False,
            ("vcpu0", "msrs_ready"): False,
        }
        for name, bits in self.sections.m.kept_bits.items():
            values["vcpu0", name] = values.get(("vcpu0", name), 0) & bits
        values |= own_fields(self.design, long_mode)
        in_array = self.design.labels["h"].startswith("host_msrs")
        register, h = RESET if waiting else HOST, HOST if in_array else UNKNOWN
        saved = ZERO if host.starts_saved_as_zero else HOST
        own = [UNKNOWN] * len(own_values(self.design))
        data = pack([register, RESET, h, GUEST_BASE, RESET, GUEST_BASE, RESET, saved, *own])
        return self.states.number((0, *(values.get(field, 0) for field in self.fields))), data

    def choices(self, state: State) -> tuple[Choice, ...]:
        """What can happen next in a control state."""
        if state[self._waiting]:
            return (IN,)
        mode = state[self._mode]
        if mode == "kernel":
            return (STEP, OUT)
        long_mode = bool(self.get(state, "vcpu0", "efer") & EFER_LMA)
        actions = actions_at_rest(mode, long_mode, bool(self.get(state, "vcpu0", "smm")))
        if self.host.bases == "zero":  # both bases are 0 and stay so
            actions = tuple(choice for choice in actions if choice.verb != USER_GS_BASE)
        return actions

    def extend(self, states: Iterable[State], watch: Watch | None = None) -> None:
        """Add control states that the thread alone does not come to, and all to which they lead."""
        for state in states:
            self.states.number(state)
        del self.first[-1]
        with without_collection():
            self._explore(watch)
        if self._lacks_base():
            raise CutShort("the design compares values of the register with numbers")

    def _explore(self, watch: Watch | None) -> None:
        done = len(self.first)
        while done < len(self.states):
            if not done & 1023:
                if watch:
                    watch(0, 0)
                if len(self.states) > MOST_STATES:
                    raise CutShort(f"over {MOST_STATES:,} control states: a field may count up without end")
            if not done & 127 and self._lacks_base():
                return  # the table is built again
            self.first.append(len(self.edges))
            state = self.states[done]
            for choice in self.choices(state):
                self._follow(done, state, choice)
            done += 1
        self.first.append(len(self.edges))
        refuse_loops(self)
        self.suspects = suspects(self)

    @cached_property
    def doers(self) -> list[Doer]:
        """What does each of :attr:`effects` to the data."""
        return make_doers(self.values, self.effects)

    def successors(self, state: int) -> Iterator[tuple[Edge, int, int]]:
        """What can happen next in a packed state: the transition, the next state (-1 if it
        fails), and the bits of the invariants that it breaks."""
        data = state & DATA_MASK
        for edge in self.enabled(state):
            after, broken = self.doers[edge.effect].done(data)
            yield edge, (edge.target << CONSTANTS) | after if edge.target >= 0 else -1, broken & ~LEFT

    def enabled(self, state: int) -> Iterator[Edge]:
        """The transitions that are possible in a packed state."""
        data = state & DATA_MASK
        for edge in self.edges_of(state >> CONSTANTS):
            if data & edge.leaf.mask == edge.leaf.bits:
                yield edge

    def edges_of(self, number: int) -> list[Edge]:
        """The transitions from a control state, given by its number, whatever the data."""
        return self.edges[self.first[number] : self.first[number + 1]]

    def at_rest(self, number: int) -> bool:
        """Whether nothing goes on by itself in a control state: an action may begin."""
        fields = self.states[number]
        return not fields[self._waiting] and fields[self._mode] != "kernel"

    def alone(self, state: int) -> tuple[Edge, int, int] | None:
        """The successor of a packed state to which the thread goes by itself, without a tick: its kernel
        code continues, or it gets a CPU. None if it is at rest."""
        if self.at_rest(state >> CONSTANTS):
            return None
        return next(t for t in self.successors(state) if t[0].leaf.choice in (STEP, IN))

    def _follow(self, source: int, state: State, choice: Choice) -> None:
        if not self._allows(state[self._mode], choice):
            return
        done, more = {choice}, self._follow_one(source, state, choice)
        while more:
            one = more.pop()
            if one in done or not self._allows(state[self._mode], one):
                continue
            done.add(one)
            more += self._follow_one(source, state, one)
            if len(done) > MOST_WAYS:
                raise CutShort(
                    f"there are over {MOST_WAYS:,} ways through the conditions that are not modeled between"
                    " two points at which the thread can be preempted"
                )

    def _follow_one(self, source: int, state: State, choice: Choice) -> list[Choice]:
        """Add the transitions that a choice leads to. Returns what else may happen on the way, the last
        first."""
        at_rest = choice.kind != "in" and state[self._mode] != "kernel"
        asks, may_signal, unknowns = 0, False, 0
        below, found = self._outcomes(state, choice)
        for leaf, fields in found:
            if len(leaf.asked) < choice.pending:
                continue  # with these values nothing checks for the tick
            if choice.signal and not leaf.may_signal:
                continue  # nor for the signal
            if choice.otherwise and len(leaf.unknowns) < choice.otherwise[-1]:
                continue  # nor tests so many conditions
            if leaf.unknowns:
                unknowns = max(unknowns, len(leaf.unknowns))
            may_signal = may_signal or leaf.may_signal
            if leaf.asked:
                asks = max(asks, len(leaf.asked) if leaf.error is None else 1)
            target = -1
            if leaf.error is None:
                target = self.states.number((self._stack(leaf, below), *fields))
            self.edges.append(Edge(source, target, self._leaf_effect(state, leaf), leaf, at_rest))
        more: list[Choice] = []
        if self._either_way and unknowns:
            last = choice.otherwise[-1] if choice.otherwise else 0
            more += [_with(choice, "otherwise", (*choice.otherwise, n)) for n in range(unknowns, last, -1)]
        if choice.kind == "step" and not choice.pending and not choice.signal:
            # a tick may arrive just before the kernel checks for one
            more += [_with(choice, "signal", True)] * may_signal
            more += [_with(choice, "pending", n) for n in range(asks, 0, -1)]
        return more

    def _leaf_effect(self, state: State, leaf: Leaf) -> int:
        """The number of a section's effect; its breaches are marked EARLY where none counts yet."""
        early = self._guest_wrote is not None and not state[self._guest_wrote]
        found = self._leaf_effects.get((leaf, early))
        if found is None:
            effect = leaf.effect
            if early:
                checks = tuple(
                    (kind if kind == LEFT_CHECK else f"{kind} {EARLY}", found, right)
                    for kind, found, right in effect.checks
                )
                effect = evolve(effect, checks=checks, broken=EARLY if effect.broken else 0)
            found = self._leaf_effects[leaf, early] = self.effects.number(effect)
        return found

    def _outcomes(self, state: State, choice: Choice) -> tuple[int, list[tuple[Leaf, State]]]:
        """The stack that ANY_STACK stands for (-1: none), and what the section does, each
        leaf with the fields afterward."""
        above: Any = None
        number, below = state[0], -1
        if choice.kind == "out" and state[self._mode] == "kernel":
            above, below = OUT, number
        elif choice.kind == "in" and number in self._split:
            above, below = self._split[number]
        if below >= 0:
            key = above, choice.otherwise, state[1:]
            found = self._scheduled.get(key)
            if found is None:
                stack = ANY_STACK if above is OUT else above.stack
                try:
                    found = self._after(state, self._footprints.leaves((above, choice), state, choice, stack))
                except ReachedDown:
                    found = []
                self._scheduled[key] = found
            if found:
                return below, found
        leaves = self._footprints.leaves((number, choice), state, choice, self.stacks[number])
        return -1, self._after(state, leaves)

    def _after(self, state: State, leaves: list[Leaf]) -> list[tuple[Leaf, State]]:
        """The fields after each of several sections."""
        found = []
        for leaf in leaves:
            fields = list(state)
            for position, value in leaf.writes:
                fields[position] = value
            found.append((leaf, tuple(fields[1:])))
        return found

    def _stack(self, leaf: Leaf, below: int) -> int:
        """The number of the stack after a section, with stack ``below`` in place of ANY_STACK."""
        found = self._made.get((leaf, below))
        if found is None:
            stack = leaf.stack if below < 0 else _join(leaf.stack, self.stacks[below])
            found = self._made[leaf, below] = self.stacks.number(stack)
            if below >= 0 and leaf.stack != ANY_STACK:
                self._split[found] = leaf, below
        return found

    def fail(self, edge: Edge, error: SimulationError) -> None:
        """Mark a transition as one that fails."""
        edge.leaf, edge.target = evolve(edge.leaf, error=error), -1
        edge.effect = self.effects.number(Effect(IDENTITY, (), BROKEN["contract"]))

    def function_of(self, number: int) -> str:
        """The kernel function in which a thread of this control state is."""
        stack = self.stacks[self.states[number][0]]
        return str(stack[0].name) if stack else ""


@contextmanager
def without_collection() -> Iterator[None]:
    """While this lasts, Python does not look for cycles of garbage: where there are none to be found, looking
    through millions of objects again and again takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def _with(choice: Choice, name: str, value: Any) -> Choice:
    """A choice with something that happens on the way, always the same object."""
    return evolve(choice, **{name: value})


#: What tells only whether two values are the same.
_EQUALITY = {"==", "!=", "not", "and", "or", "if"}


def _names_numbers(i: Instruction) -> bool:
    """Whether an instruction does more with values than compare them with each other, or with 0."""
    every = list(parts(i.expr)) if i.expr is not None else []
    operations = [e for e in every if isinstance(e, Operation)]
    return (
        i.kind == "switch"
        or any(e.op not in _EQUALITY for e in operations)
        or any(isinstance(arg, Const) and arg.value for e in operations for arg in e.args)
    )


def _equal(values: tuple[Value, ...]) -> set[tuple[int, int]]:
    """The pairs of values whose numbers are equal."""
    numbers = list(enumerate(v.number for v in values))
    return {(a, b) for a, first in numbers for b, second in numbers if a < b and first == second}


def _join(stack: Stack, below: Stack) -> Stack:
    if stack == ANY_STACK:
        return below
    function, index, frame, caller = stack
    return (function, index, frame, _join(caller, below))


_WORDS = "comes back to where it was: the design loops forever"


def refuse_loops(table: TransitionTable) -> None:
    """Fail the transitions that close an endless loop of kernel code, whatever the values."""
    steps = (e for e in table.edges if e.leaf.choice is STEP and not e.leaf.mask and e.target >= 0)
    after = {edge.source: edge for edge in steps}
    done: set[int] = set()
    for start in after:
        path: dict[int, Edge] = {}
        at = start
        while at in after and at not in done and at not in path:
            path[at] = after[at]
            at = after[at].target
        if at in path:
            last = path[list(path)[-1]]
            table.fail(last, SimulationError(_WORDS, table.function_of(last.source)))
        done.update(path)


def suspects(table: TransitionTable) -> frozenset[int]:
    """Control states from which kernel code may loop forever, depending on the values. Empty
    unless the design looks at a value."""
    steps = [e for e in table.edges if e.leaf.choice is STEP and e.target >= 0]
    if not any(edge.leaf.mask for edge in steps):
        return frozenset()
    into: dict[int, list[int]] = {}
    out: dict[int, int] = {}
    for edge in steps:
        into.setdefault(edge.target, []).append(edge.source)
        out[edge.source] = out.get(edge.source, 0) + 1
    ends = [number for number in into if number not in out]
    while ends:  # a state that only leads to an end cannot loop
        for source in into.get(ends.pop(), ()):
            out[source] -= 1
            if not out[source]:
                ends.append(source)
    return frozenset(number for number, left in out.items() if left)


def endless(table: TransitionTable, state: int) -> Edge | None:
    """The first transition of an endless loop of kernel code through a packed state, marked as
    failed; None if there is no such loop."""
    at, first, seen = state, None, set()
    while at >> CONSTANTS in table.suspects and at not in seen:
        seen.add(at)
        step = table.alone(at)
        if step is None or step[1] < 0:
            return None
        first, at = first or step[0], step[1]
    if at != state or first is None:
        return None
    error = SimulationError(_WORDS, table.function_of(state >> CONSTANTS))
    return evolve(first, target=-1, leaf=evolve(first.leaf, error=error))
