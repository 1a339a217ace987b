"""What a thread that is switched out leaves on its CPU for the next one to find.

The table of transitions is one thread's. It keeps what belongs to the CPU in the thread's state and takes it
along to whichever CPU the thread is put on next. That is the truth as long as nobody can tell: what is left
behind is always the same, or overwritten before it is read when a thread is switched in.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmxsim.checker.reach import ReachableStates
from vmxsim.checker.states import BITS, CONSTANTS, USER
from vmxsim.checker.symbolic import HOST_CHECK
from vmxsim.checker.transition_table import Edge, TransitionTable


def left_behind(found: ReachableStates) -> tuple[str, ...]:
    """What of a CPU, by name, the thread may leave different from what another finds or would leave there:
    fields of the CPU, or ``kernel_gs_base`` for the register. Empty if threads meet only in who holds it."""
    table = found.table
    taken = [edge for edge, was in zip(table.edges, found.taken, strict=True) if was or found.decided]
    into = [edge for edge in taken if edge.leaf.choice.kind == "in"]
    waits = {edge.target for edge in taken if edge.target >= 0 and _waits(table, edge.target)}
    # a CPU that no thread has been on yet is as it is at the start
    waits |= {number for number, _ in (*table.initial, *table.initial_waiting)}
    names = [*_fields(table, into, waits), *_values(table, into)]
    if table.host.leaves_zero and "kernel_gs_base" not in names:
        out = [edge for edge in taken if edge.target >= 0 and _waits(table, edge.target)]
        names += ["kernel_gs_base"] * (not all(_leaves_zero(table, edge) for edge in out))
    return tuple(names)


def _waits(table: TransitionTable, number: int) -> bool:
    return bool(table.get(table.states[number], "thread0", "waiting"))


def _fields(table: TransitionTable, into: list[Edge], waits: set[int]) -> Iterator[str]:
    """The fields of the CPU that a thread may find as another one left them, other than values."""
    for at, (holder, name) in enumerate(table.fields, 1):
        if holder != "cpu0" or len({table.states[number][at] for number in waits}) == 1:
            continue
        if not all(_overwrites(edge, at) for edge in into):
            yield name


def _overwrites(edge: Edge, at: int) -> bool:
    writes = edge.target < 0 or any(position == at for position, _ in edge.leaf.writes)
    return writes and at not in edge.leaf.reads


def _values(table: TransitionTable, into: list[Edge]) -> Iterator[str]:
    """The places of the CPU for a value of the register whose value reaches a thread that is switched in."""
    for slot, (holder, name) in enumerate(table.sections.m.slot_fields):
        if holder == "cpu0" and any(_takes(table, edge, slot) for edge in into):
            yield name


def _takes(table: TransitionTable, edge: Edge, slot: int) -> bool:
    effect, bit = table.effects[edge.effect], BITS * slot
    compared = any(bit in (found, right) for _, found, right in effect.checks)
    return compared or bool(edge.leaf.mask >> bit & 7) or (edge.target >= 0 and bit in effect.moves)


def _leaves_zero(table: TransitionTable, edge: Edge) -> bool:
    """Whether a thread that is switched out leaves its own base, 0, or breaks an invariant if it does not; or
    whether the next base is written, because ``thread.gsbase`` is not 0."""
    leaf = edge.leaf
    if any(kind == HOST_CHECK for kind, _, _ in leaf.effect.checks):
        return True
    source = leaf.effect.moves[USER]
    known = leaf.bits >> source & 7 if source < CONSTANTS else (source - CONSTANTS) // BITS
    return bool((source >= CONSTANTS or leaf.mask >> source & 7) and table.values[known].number)
