"""The levels of the game: six designs to break, and the stars that were won on each.

Stars are kept with the answers (``vmxsim.answers``): in this kernel, and on disk for the next one.
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: check-untyped-defs=False
# ruff: noqa: F403, F405

from __future__ import annotations

from typing import Any

from attrs import frozen

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.lazy_long_mode import LazyLongMode
from vmxsim.designs.load_gs_index import LoadGsIndex
from vmxsim.designs.msr_array import MsrArray
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.language import *
from vmxsim.teaching.game.solution import Score
from vmxsim.teaching.questions.session import SESSION


class UnguardedRead(NeverTrap):
    """never-trap, its read accessor without preempt_disable()."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


class UnguardedWrite(NeverTrap):
    """never-trap, its write accessor without preempt_disable()."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


@frozen
class Level:
    """A design to break on a host; ``long_mode`` is how its guest starts (None: as suits it best)."""

    number: int
    design: type[Kvm]
    host: str = "64-bit"
    long_mode: bool | None = None

    def words(self, stars: int) -> str:
        """``Level 1 ★★☆ load-gs-index``, with so many stars won."""
        return f"Level {self.number} {'★' * stars + '☆' * (3 - stars)} {name_of(self.design)}"

    @property
    def next(self) -> Level | None:
        """The level after this one, None after the last."""
        return LEVELS.get(self.number + 1)

    def keep(self, score: Score) -> None:
        """Remember a win if it has the most stars so far."""
        if score.stars > stars_won()[self.number]:
            _won[self.number] = score.stars
            SESSION.store.keep(_SECTION, str(self.number), score.stars)


_SECTION = "levels"
#: The stars of this kernel, by level.
_won: dict[int, int] = {}

#: In order: each takes at least as many moves as the one before.
LEVELS: dict[int, Level] = {
    level.number: level
    for level in (
        Level(1, LoadGsIndex, "32-bit"),
        Level(2, DedicatedAccessors),
        Level(3, LazyLongMode, long_mode=True),
        Level(4, UnguardedRead),
        Level(5, UnguardedWrite),
        Level(6, MsrArray),
    )
}


def stars_won() -> dict[int, int]:
    """The most stars won on each level so far, 0 to 3, by its number."""
    kept = SESSION.store.section(_SECTION)
    on_disk = {number: kept.get(str(number)) for number in LEVELS}
    return {n: max(_won.get(n, 0), s if s in (1, 2, 3) else 0) for n, s in on_disk.items()}


def find_level(number: Any) -> Level:
    """The level with this number. Raises InputError for one that there is not."""
    if isinstance(number, bool) or not isinstance(number, int) or number not in LEVELS:
        raise InputError(
            f"expected a whole number from 1 to {len(LEVELS)}, not {printable(repr(number))}", "level"
        )
    return LEVELS[number]
