"""Plays for tests: random legal ones, and all of so many moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *
from vmxsim.teaching.game.game import Game

#: Numbers that pick moves, see :func:`play_at_random`.
PICKS = st.lists(st.integers(0, 999), min_size=1, max_size=30)


class Careless(NeverTrap):
    """The accessor that reads without its preempt_disable(): it takes a tick to break it."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


class CarelessWrite(NeverTrap):
    """The accessor that writes without its preempt_disable(): a tick, and then somebody who looks."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class NeverEnables(NeverTrap):
    """Goes back to user space with preemption disabled."""

    def vmx_get_msr(self, vmx):
        preempt_disable()
        return vmx.msr_guest_kernel_gs_base


def possible(game: Game, counts: bool | None = None) -> list[str]:
    """The moves that are possible now; those that count, or the free ones, with ``counts``."""
    found = [o for o in game.options if not o.why_not and counts in (None, o.counts)]
    return [option.name for option in found]


def play_at_random(game: Game, picks: Sequence[int]) -> None:
    """Legal moves, picked by numbers. A number's tens say how far to let an action run first."""
    for pick in picks:
        if game.broken is not None:
            return
        for _ in range(pick // 10 % 40):
            if not game.at.at_rest and game.broken is None:
                game.do("next line")
        moves = possible(game, counts=True) or possible(game)
        ahead = [name for name in moves if name == "run"] * 4
        game.do((moves + ahead)[pick % len(moves + ahead)])


def all_plays(game: Game, moves: int) -> Iterator[None]:
    """Make every play of so many moves, one after the other, each run to its end."""
    if game.broken is not None or not moves:
        if game.broken is None and not game.at.at_rest:
            game.do("to the end")
        yield
        return
    while True:
        for name in possible(game, counts=True):
            game.do(name)
            yield from all_plays(game, moves - 1)
            game.undo()
        if game.at.at_rest or game.broken is not None:
            yield
            return
        game.do("next line")
