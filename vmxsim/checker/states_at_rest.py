"""The states at rest of a small design, and where each action leads from them.

A thread is *at rest* in user space and in the guest. All kernel code that an action runs is
one edge here, a chain of the checker's transitions without preemption. States that look
alike, and from which the same actions lead to states that look alike, are one node.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import kept_table, refuse_cpu_fields
from vmxsim.checker.counterexample import action_text
from vmxsim.checker.footprints import BROKEN, EARLY
from vmxsim.checker.states import CONSTANTS, DATA_MASK, unpack
from vmxsim.checker.symbolic import OUT, Choice
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs import find_design
from vmxsim.errors import InputError, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import EFER_LME, Machine, Value
from vmxsim.kernel.simulator import Simulator, make_machine
from vmxsim.simulation.scenario import HOSTS, Scenario
from vmxsim.simulation.trace import Cell
from vmxsim.simulation.worth import CellJudge


@frozen
class StateLook:
    """What a picture of a state at rest shows.

    ``mode`` is ``user`` or ``guest``; ``cells`` are the register and the guest's saved copy;
    ``true`` is the guest's true value and ``read`` what the guest would read now; ``more`` are
    further facts as (name, words), ``told`` those of them to show.
    """

    mode: str
    long_mode: bool
    smm: bool
    loaded: bool
    cells: tuple[Cell, ...]
    true: Value
    read: Value
    more: tuple[tuple[str, str], ...] = ()
    told: tuple[tuple[str, str], ...] = ()

    @property
    def right(self) -> bool:
        """Whether the guest would read its true value."""
        return self.read.number == self.true.number

    @property
    def shown(self) -> Hashable:
        """The key by which two states look alike."""
        return (self.mode, self.long_mode, self.smm, self.loaded, self.cells, self.true, self.read)

    def telling(self, others: Sequence[StateLook]) -> StateLook:
        """A copy that shows the facts in which it differs from any of ``others``."""
        told = tuple(fact for n, fact in enumerate(self.more) if any(o.more[n] != fact for o in others))
        return evolve(self, told=told)


class Looker:
    """Turns the checker's packed states into a machine's, judged like those of a run."""

    def __init__(self, table: TransitionTable) -> None:
        self._table = table
        self._machine: Machine = make_machine(table.design, table.host, False, 1, 1)
        self._simulator = Simulator(table.design, self._machine, table.sections.interception)
        self._judge = CellJudge(table.design, self._machine, (), self._simulator)
        self._objects: dict[str, Any] = {one.id: one for one in self._machine.objects}

    def look(self, state: int) -> StateLook:
        """What a packed state looks like."""
        fields = self._table.states[state >> CONSTANTS]
        for (holder, name), value in zip(self._table.fields, fields[1:], strict=True):
            if hasattr(self._objects[holder], name):
                setattr(self._objects[holder], name, value)
        for (holder, name), number in zip(
            self._table.sections.m.slot_fields, unpack(state & DATA_MASK), strict=False
        ):
            setattr(self._objects[holder], name, self._table.values[number])
        m, vcpu, thread = self._machine, self._machine.vcpus[0], self._machine.threads[0]
        cells = self._judge.scene(0).cells()
        read, _ = self._simulator.guest_would_read(m, thread, vcpu)
        h = cells["vcpu0.h"]
        more = (
            ("h", "never stored" if h.value is None else str(h.value)),
            ("EFER.LME", "set" if vcpu.efer & EFER_LME else "clear"),
            ("list holds the register", "yes" if vcpu.lists_kernel_gs_base else "no"),
            ("MSRs ready", "yes" if vcpu.msrs_ready else "no"),
            ("bitmap", "passes the register" if vcpu.bitmap_passes else "intercepts the register"),
            ("guest GS base", str(vcpu.gs_base)),
            ("LMA before SMM", str(vcpu.smram_efer)),
            ("guest wrote", "yes" if self._table.get(fields, "vcpu0", "guest_wrote") else "no"),
        )
        shown = (cells["cpu0.kernel_gs_base"], cells["vcpu0.g"])
        return StateLook(
            thread.mode, vcpu.long_mode, vcpu.smm, vcpu.loaded, shown, vcpu.true_guest_value, read, more
        )


#: The most nodes that a readable picture can have.
MOST = 24
#: With more states than this, no attempt is made to merge them.
_WORTH_MERGING = 600
#: Assumptions that shrink a state space, the least restrictive first.
SMALLER = ("one-value", "no-smm", "no-swapgs", "no-emulation", "no-set-efer", "no-set-msr")


@frozen
class StateNode:
    """A state at rest. ``number`` counts from 1; ``start``: a guest may start here; ``stays``
    are the actions that lead back to it; ``states`` is the number of merged states."""

    number: int
    look: StateLook
    start: bool
    stays: tuple[str, ...]
    states: int


@frozen
class StateEdge:
    """``actions`` lead from node ``source`` to ``target``, or break the invariants in
    ``broken``; ``target`` is then 0."""

    source: int
    target: int
    actions: tuple[str, ...]
    broken: tuple[str, ...] = ()


@frozen
class StateSpace:
    """The states at rest of a design, as plain data for pictures and words.

    ``states`` counts them before merging; ``where`` is the host in words.
    """

    design: str
    host: str
    assumptions: tuple[str, ...]
    nodes: tuple[StateNode, ...]
    edges: tuple[StateEdge, ...]
    states: int
    where: str


class TooManyStates(InputError):
    """More states than a picture can show: ``nodes``. With the assumptions in ``suggestion``
    (which include those given) there would be ``fewer``; () if none help."""

    def __init__(self, nodes: int, most: int, suggestion: tuple[str, ...], fewer: int) -> None:
        self.nodes, self.suggestion, self.fewer = nodes, suggestion, fewer
        message = f"{nodes:,} states at rest, and a picture can show {most}"
        if suggestion:
            message += f"; assuming {', '.join(suggestion)} there are {fewer}"
        super().__init__(message)


def states_at_rest(
    design: str | type[Kvm],
    host: str = "64-bit",
    assume: str | Iterable[str] = (),
    most: int = MOST,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> StateSpace:
    """The states at rest of one vCPU of a design, under assumptions, and where actions lead.

    Ticks arrive only at rest (the action ``preempt``), so violations that need preemption
    inside the kernel do not show. Raises TooManyStates for more than ``most`` nodes,
    InputError for a bad argument.
    """
    chosen = find_design(design)
    if host not in HOSTS:
        raise unknown("host", host, HOSTS)
    granted = restriction(assume).names
    where = Scenario(host=host, gs_base_from=gs_base_from, fsgsbase=fsgsbase)
    found = _explored(chosen, where, granted)
    if isinstance(found, int) or len(found.nodes) > most:
        count = found if isinstance(found, int) else len(found.nodes)
        raise TooManyStates(count, most, *_smaller(chosen, where, granted, most))
    return found


def _smaller(
    design: type[Kvm], where: Scenario, given: tuple[str, ...], most: int
) -> tuple[tuple[str, ...], int]:
    """Assumptions, those given first, that make the picture small enough, and its nodes then."""
    names = list(given)
    for name in SMALLER:
        if name in names:
            continue
        names.append(name)
        found = _explored(design, where, restriction(names).names)
        if isinstance(found, StateSpace) and len(found.nodes) <= most:
            return tuple(names), len(found.nodes)
    return (), 0


def _explored(design: Any, where: Scenario, names: tuple[str, ...]) -> StateSpace | int:
    """The state space, or just the number of states if they are far too many."""
    refuse_cpu_fields(design, restriction(names))
    resting = _Resting(kept_table(design, where.host_of(design), restriction(names)))
    states = len(resting.arrows)
    if states > _WORTH_MERGING:
        return states
    return StateSpace(name_of(design), where.host, names, *_nodes(resting), states, where.host_words)


@frozen
class _Arrow:
    """A whole action from a state at rest. ``target`` is a packed state, -1 if an invariant breaks."""

    action: str
    target: int
    broken: int


class _Resting:
    """The reachable states at rest, packed, and the actions possible in each."""

    def __init__(self, table: TransitionTable) -> None:
        self.table = table
        self.start = [(number << CONSTANTS) | data for number, data in table.initial]
        self.arrows: dict[int, list[_Arrow]] = {}
        to_do = list(self.start)
        while to_do:
            state = to_do.pop(0)
            if state not in self.arrows:
                self.arrows[state] = list(self._actions(state))
                to_do += [a.target for a in self.arrows[state] if a.target >= 0]

    def _actions(self, state: int) -> Iterator[_Arrow]:
        for edge, target, broken in self.table.successors(state):
            while not broken and (following := self.table.alone(target)):
                _, target, broken = following
            if broken != EARLY:  # a violation before one counts is assumed not to happen
                yield _Arrow(self._name(edge.leaf.choice), -1 if broken else target, broken)

    def _name(self, choice: Choice) -> str:
        return "preempt" if choice is OUT else action_text(choice, self.table)


def _nodes(resting: _Resting) -> tuple[tuple[StateNode, ...], tuple[StateEdge, ...]]:
    looker = Looker(resting.table)
    looks = {state: looker.look(state) for state in resting.arrows}
    kind = _alike(resting.arrows, {state: look.shown for state, look in looks.items()})
    members: dict[int, list[int]] = {}
    for state in resting.arrows:
        members.setdefault(kind[state], []).append(state)
    number = {block: n for n, block in enumerate(members, 1)}
    same: dict[Hashable, list[StateLook]] = {}
    for states in members.values():
        same.setdefault(looks[states[0]].shown, []).append(looks[states[0]])
    nodes, edges = [], []
    for block, states in members.items():
        look = looks[states[0]]
        stays: list[str] = []
        going: dict[tuple[int, int], list[str]] = {}
        for arrow in resting.arrows[states[0]]:
            target = number[kind[arrow.target]] if arrow.target >= 0 else 0
            names = stays if target == number[block] else going.setdefault((target, arrow.broken), [])
            names.append(arrow.action)
        start = any(state in resting.start for state in states)
        look = look.telling(same[look.shown])
        nodes.append(StateNode(number[block], look, start, tuple(stays), len(states)))
        for (target, broken), names in going.items():
            invariants = tuple(name for name, bit in BROKEN.items() if broken & bit)
            edges.append(StateEdge(number[block], target, tuple(names), invariants))
    return tuple(nodes), tuple(edges)


def _alike(arrows: dict[int, list[_Arrow]], shown: dict[int, Hashable]) -> dict[int, int]:
    """A number for each state: equal numbers look alike and have the same actions to states
    with equal numbers (the coarsest bisimulation, by refinement)."""
    kinds = _numbered(shown)
    while True:
        finer = _numbered(
            {
                state: (kinds[state], frozenset((a.action, a.broken, kinds.get(a.target, -1)) for a in going))
                for state, going in arrows.items()
            }
        )
        if len(set(finer.values())) == len(set(kinds.values())):
            return kinds
        kinds = finer


def _numbered(keys: dict[int, Any]) -> dict[int, int]:
    numbers: dict[Any, int] = {}
    return {state: numbers.setdefault(key, len(numbers)) for state, key in keys.items()}
