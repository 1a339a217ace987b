"""What there is to see of a state at rest, judged by the same rules as a run's pictures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.control import Control
from vmxsim.checker.state import CONSTANTS, DATA_MASK, unpack
from vmxsim.checker.tracing import SLOT_FIELDS
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.system import make_machine
from vmxsim.model.machine import Machine
from vmxsim.model.registers import EFER_LME
from vmxsim.model.value import Value
from vmxsim.scenes import Stage
from vmxsim.trace import Cell


@frozen
class StateLook:
    """``mode`` is ``user`` or ``guest``; ``cells`` are the register and the guest's saved copy;
    ``true`` is the guest's true value and ``read`` what the guest would read now; ``more``
    are facts, as (name, words), that two states may differ in, ``told`` those of them to show."""

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
        """What a picture shows of it; two states of which this is equal look alike."""
        return (self.mode, self.long_mode, self.smm, self.loaded, self.cells, self.true, self.read)

    def telling(self, others: Sequence[StateLook]) -> StateLook:
        """With those facts told in which it differs from one of ``others``."""
        told = tuple(fact for n, fact in enumerate(self.more) if any(o.more[n] != fact for o in others))
        return evolve(self, told=told)


class Looker:
    """Puts the checker's states on a machine and looks at it."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._machine: Machine = make_machine(control.design, control.bits, False, 1, 1)
        self._environment = Environment(control.design, self._machine, control.sections.interception)
        self._stage = Stage(control.design, self._machine, (), self._environment)
        self._objects: dict[str, Any] = {one.id: one for one in self._machine.objects}

    def look(self, state: int) -> StateLook:
        """What there is to see of a packed state."""
        fields = self._control.states[state >> CONSTANTS]
        for (holder, name), value in zip(self._control.fields, fields[1:], strict=True):
            if hasattr(self._objects[holder], name):
                setattr(self._objects[holder], name, value)
        for (holder, name), number in zip(SLOT_FIELDS, unpack(state & DATA_MASK), strict=False):
            setattr(self._objects[holder], name, self._control.values[number])
        m, vcpu, thread = self._machine, self._machine.vcpus[0], self._machine.threads[0]
        cells = self._stage.scene(0).cells()
        read, _ = self._environment.guest_would_read(m, thread, vcpu)
        h = cells["vcpu0.h"]
        more = (
            ("h", "never stored" if h.value is None else str(h.value)),
            ("EFER.LME", "set" if vcpu.efer & EFER_LME else "clear"),
            ("list holds the register", "yes" if vcpu.lists_kernel_gs_base else "no"),
            ("MSRs ready", "yes" if vcpu.msrs_ready else "no"),
            ("bitmap", "passes the register" if vcpu.bitmap_passes else "intercepts the register"),
            ("guest GS base", str(vcpu.gs_base)),
            ("LMA before SMM", str(vcpu.smram_efer)),
            ("guest wrote", "yes" if self._control.get(fields, "vcpu0", "guest_wrote") else "no"),
        )
        shown = (cells["cpu0.kernel_gs_base"], cells["vcpu0.g"])
        return StateLook(
            thread.mode, vcpu.long_mode, vcpu.smm, vcpu.loaded, shown, vcpu.true_guest_value, read, more
        )
