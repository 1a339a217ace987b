"""Which designs a trace fits, judged by what *enter*, *leave* and the accessors do to the register.

A design is ruled out only by an event that it can't cause, whatever the guest does and whatever
the recording does not show. Accesses are written as words: ``r`` for RDMSR, ``w`` for WRMSR, so
``rw`` is a read followed by a write and ``''`` is no access at all.

What the designs do (L: guest state is loaded, LM: the guest is in long mode):

=====================  ============================  =========================  ====================
design                 enter, LM / not LM            leave, LM / not LM         accessor while L
=====================  ============================  =========================  ====================
arrays                 rw / '' [#array]_             rw / '' [#array]_          full host reload
lazy ... load-gs-index rw / ''                       rw / '' [#tls]_            full host reload
host-always            rw / r                        rw / w                     full host reload
host-from-thread       w / '' [#host32]_             rw / w                     full host reload
dedicated-accessors    w / '' [#host32]_             rw / w                     r or w in LM only
never-trap and later   w / w [#host32]_              rw / rw                    r or w
=====================  ============================  =========================  ====================

.. [#array] The list keeps the register after CR0.PG is cleared until it is built anew, so an array
   design may still read and write it back then.
.. [#tls] ``load-gs-index`` writes it in every leave of a 32-bit host task with a TLS selector.
.. [#host32] With one ``r`` more where the vCPU thread is a 32-bit host task.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from vmxsim import designs as _designs

#: All designs in true order.
DESIGNS = tuple(_designs.DESIGNS)
ARRAYS = DESIGNS[:2]
LAZY = DESIGNS[2:5]
HOST_ALWAYS = ("host-always",)
FROM_THREAD = ("host-from-thread",)
DEDICATED = ("dedicated-accessors",)
NEVER_TRAP = DESIGNS[8:]
#: Designs whose accessors do a full host reload, and whose vmx_set_efer does.
RELOADING = DESIGNS[:7]


@define
class Fits:
    """What is ruled out so far, by which line and why."""

    ruled_out: dict[str, int] = field(factory=dict)
    reasons: dict[str, str] = field(factory=dict)
    #: Whether the guest's accesses exit when it is not in long mode, if all remaining designs agree.
    traps_outside_long_mode: bool | None = None

    def rule_out(self, designs: Iterable[str], line: int, why: str) -> None:
        """Rule out designs; the first reason stays."""
        for design in designs:
            if design not in self.ruled_out:
                self.ruled_out[design] = line
                self.reasons[design] = why
                remaining = set(self.remaining)
                trapping = bool(remaining - set(NEVER_TRAP))
                agreed = remaining and not (trapping and remaining & set(NEVER_TRAP))
                self.traps_outside_long_mode = trapping if agreed else None

    @property
    def remaining(self) -> tuple[str, ...]:
        """The designs not ruled out, in true order."""
        return tuple(design for design in DESIGNS if design not in self.ruled_out)

    def enter(self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int) -> bool:
        """An *enter* that loaded state. ``was_long_mode``: it may have left long mode before, so an
        array may still list the register. False if no design does this: events are missing."""
        if ops == "":
            if long_mode is True:
                return False  # every design loads the guest's value in long mode
            self.rule_out(HOST_ALWAYS, line, "enter does not read the host's value")
            self.rule_out(NEVER_TRAP, line, "enter does not write the guest's value")
        elif ops == "w":
            self.rule_out(LAZY + HOST_ALWAYS, line, "enter writes the register without reading it first")
            if long_mode is True or not was_long_mode:
                self.rule_out(ARRAYS, line, "enter writes the register without reading it first")
            if long_mode is False:
                self.rule_out(FROM_THREAD + DEDICATED, line, "enter writes the register outside long mode")
        elif ops == "rw":
            if long_mode is False:
                why = "enter writes the register outside long mode"
                self.rule_out(LAZY + HOST_ALWAYS + FROM_THREAD + DEDICATED, line, why)
                if not was_long_mode:
                    self.rule_out(ARRAYS, line, why)
        elif ops == "r":
            if long_mode is True:
                return False
            self.rule_out(ARRAYS + LAZY, line, "enter reads the register without writing it")
            self.rule_out(NEVER_TRAP, line, "enter does not write the guest's value")
        else:
            return False
        return True

    def enters_differ(self, line: int) -> None:
        """One thread's *enter* read the register at one time and not at another: a design that reads
        it or not by the width of the host task can't do both."""
        why = "one thread's enter reads the register at one time and not at another"
        self.rule_out(FROM_THREAD + DEDICATED + NEVER_TRAP, line, why)

    def leave(self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int) -> bool:
        """A *leave* that restored the host. False if no design does this: events are missing."""
        if ops == "rw":
            if long_mode is False:
                why = "leave reads the register back outside long mode"
                self.rule_out(LAZY + HOST_ALWAYS + FROM_THREAD + DEDICATED, line, why)
                if not was_long_mode:
                    self.rule_out(ARRAYS, line, why)
        elif ops == "w":
            if long_mode is True:
                return False  # every design saves the guest's value in long mode
            self.rule_out(ARRAYS + LAZY[:2], line, "leave restores the register without reading it")
            self.rule_out(NEVER_TRAP, line, "leave does not read the register back")
        elif ops == "":
            if long_mode is True:
                return False
            restoring = HOST_ALWAYS + FROM_THREAD + DEDICATED + NEVER_TRAP
            self.rule_out(restoring, line, "leave does not restore the register")
        elif ops != "wrw":  # load-gs-index in long mode, with a 32-bit host task
            return False
        return True

    def reload(self, line: int) -> None:
        """A full host reload outside ``vcpu_put`` and preemption."""
        why = "a full host reload outside vcpu_put; the accessors need none"
        self.rule_out(DEDICATED + NEVER_TRAP, line, why)

    def efer_without_reload(self, line: int) -> None:
        """``vmx_set_efer`` did its work while state was loaded, and it is still loaded."""
        self.rule_out(RELOADING, line, "vmx_set_efer leaves guest state loaded, without a full host reload")

    def efer_without_access(self, line: int) -> None:
        """The guest wrote EFER while state was loaded and the register was not touched."""
        self.rule_out(HOST_ALWAYS + FROM_THREAD, line, "a write of EFER does no full host reload")

    def accessor(self, long_mode: bool | None, in_efer: bool, line: int) -> None:
        """A read or write of the guest's value in the register while state stays loaded."""
        self.rule_out(
            RELOADING, line, "the guest's value is accessed in the register, without a full host reload"
        )
        if in_efer:
            self.rule_out(NEVER_TRAP, line, "leaving long mode reads the guest's value")
        elif long_mode is False:
            self.rule_out(DEDICATED, line, "the guest's value is accessed in the register outside long mode")

    def no_access(self, long_mode: bool | None, line: int) -> None:
        """The guest's MSR was read or written by KVM while state was loaded, the register was not
        touched. (In long mode no design does this.)"""
        if long_mode is not True:
            why = "KVM's access of the guest's MSR does not touch the register though state is loaded"
            self.rule_out(HOST_ALWAYS + FROM_THREAD + NEVER_TRAP, line, why)
