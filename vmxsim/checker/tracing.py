"""A machine whose values are tokens and whose fields say when they are read.

Kernel code moves values of the register without looking at them. Run on tokens, one for
each slot, it says where every value goes, for all values at once; and the fields it read on
its way say for which other states it would have done the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vmxsim.checker.values import SLOTS, USER
from vmxsim.model.machine import Machine
from vmxsim.model.registers import EFER_LMA
from vmxsim.model.value import Value

#: Fields of the objects that are part of a thread's state beside the slots and the stack.
CPU_FIELDS = ("preempt_count", "irqs_disabled", "need_resched")
TASK_FIELDS = ("mode", "preempt_notifier", "signal_pending", "gs_sel", "bits")
VCPU_FIELDS = (
    "efer", "cr0", "loaded", "lists_kernel_gs_base", "save_nmsrs", "msrs_ready", "bitmap_passes",
    "ldt_sel", "gs_sel", "exit_reason", "smm", "smram_efer", "smram_cr0",
)  # fmt: skip


class Inspected(Exception):
    """A design looked at the value in a slot instead of moving it."""

    def __init__(self, slot: int) -> None:
        self.slot = slot


class Token(Value):
    """Whatever value a slot holds. To compare it, or to ask for its number, is to look at it."""

    __slots__ = ("slot",)
    slot: int

    def __init__(self, slot: int) -> None:
        super().__init__(1, "")
        object.__setattr__(self, "slot", slot)

    def look(self) -> int:
        raise Inspected(self.slot)

    def __eq__(self, other: object) -> bool:
        raise Inspected(self.slot)

    def __ne__(self, other: object) -> bool:
        raise Inspected(self.slot)

    __hash__ = object.__hash__


class SecretToken(Token):
    """A token of a model with non-canonical values: asking for its number is looking at it."""

    __slots__ = ()

    @property
    def number(self) -> int:
        raise Inspected(self.slot)

    def __init__(self, slot: int) -> None:
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "owner", "")


class Traced:
    """One of the machine's objects: its fields are in ``now``; reading one is noted."""

    def __init__(self, id: str, note: Callable[[tuple[str, str]], None], **constants: Any) -> None:
        self.id = id
        self.now: dict[str, Any] = {}
        self._note = note
        self.__dict__.update(constants)

    def __getattr__(self, name: str) -> Any:
        now = self.__dict__["now"]
        if name not in now:  # left out of the state: whatever it is, nothing depends on it
            return 0
        self._note((self.id, name))
        return now[name]

    @property
    def long_mode(self) -> bool:
        """EFER.LMA, of a vCPU."""
        return bool(self.efer & EFER_LMA)


class TracedMachine(Machine):
    """One vCPU, its thread and the CPU that it runs on.

    ``reads`` lists the fields read since :meth:`start` that were not written before.
    """

    def __init__(self) -> None:
        self.reads: list[tuple[str, str]] = []
        self.written: dict[tuple[str, str], None] = {}
        self._known: set[tuple[str, str]] = set()
        vcpu = Traced("vcpu0", self._note)
        cpu = Traced("cpu0", self._note, index=0)
        task = Traced("thread0", self._note, vcpu=0, cpu=0)
        plain: Any = Traced("plain", self._note)
        super().__init__([cpu], [task], plain, [vcpu])  # type: ignore[list-item]
        self.cpu, self.task = cpu, task  # type: ignore[assignment]
        self.vcpu: Any = vcpu

    def start(self, fields: dict[tuple[str, str], Any], slots: Sequence[Value]) -> None:
        """Take a state: its fields by (object, name), and a token or value for each slot."""
        self.forget()
        self.reads, self.written, self._known = [], {}, set()
        objects: dict[str, Any] = {"vcpu0": self.vcpu, "cpu0": self.cpu, "thread0": self.task}
        for traced in objects.values():
            traced.now = {}
        for (holder, name), value in fields.items():
            objects[holder].now[name] = value
        for (holder, name), value in zip(SLOT_FIELDS, slots, strict=False):
            objects[holder].now[name] = value

    def slots(self) -> list[Value]:
        """What is in the slots of :data:`~vmxsim.checker.values.SLOTS` now."""
        objects: dict[str, Any] = {"vcpu0": self.vcpu, "cpu0": self.cpu, "thread0": self.task}
        return [objects[holder].now[name] for holder, name in SLOT_FIELDS]

    def _note(self, field: tuple[str, str]) -> None:
        if field not in self._known and field not in _SLOT_FIELDS:
            self._known.add(field)
            self.reads.append(field)

    def set(self, obj: Any, name: str, value: Any) -> None:
        """Store a value. Nothing is compared, so that nothing is read."""
        self._known.add((obj.id, name))
        self.written[obj.id, name] = None
        obj.now[name] = value

    def field(self, field: tuple[str, str]) -> Any:
        """A field's value now, without reading it."""
        holder, name = field
        return {"vcpu0": self.vcpu, "cpu0": self.cpu, "thread0": self.task}[holder].now[name]


#: Where each slot is.
SLOT_FIELDS = tuple(
    ("cpu0", name) if name == "kernel_gs_base" else ("thread0", "gs_base") if n == USER else ("vcpu0", name)
    for n, name in enumerate(SLOTS)
)
_SLOT_FIELDS = frozenset(SLOT_FIELDS)
