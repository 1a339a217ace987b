"""What a trace shows: which designs it fits, which events it holds, and where an invariant may be broken.

A design is ruled out only by an event that it cannot cause, whatever the guest does and whatever the
recording does not show. Accesses are written as letters: ``r`` for RDMSR, ``w`` for WRMSR, so ``rw`` is
a read followed by a write and ``''`` is no access at all. The rules follow from what the designs do
(L: guest state is loaded, LM: the guest is in long mode):

=====================  ============================  =========================  ====================
design                 enter, LM / not LM            leave, LM / not LM         accessor while L
=====================  ============================  =========================  ====================
arrays                 rw / '' [#array]_             rw / '' [#array]_          full host reload
lazy ... load-gs-index rw / ''                       rw / '' [#tls]_            full host reload
host-always            rw / r                        rw / w                     full host reload
host-from-thread       w / '' [#host32]_             rw / w                     full host reload
dedicated-accessors    w / '' [#host32]_             rw / w                     r or w in LM only
never-trap to vcpu-vt  w / w [#host32]_              rw / rw                    r or w
shared-accessors       w / w [#host32]_              rw / rw                    r, w or '' [#wrmsrns]_
=====================  ============================  =========================  ====================

.. [#array] After CR0.PG is cleared, the array still lists the register until it is rebuilt, so these
   designs may still read it and write it back.
.. [#tls] ``load-gs-index`` writes it in every leave of a 32-bit host task with a TLS selector.
.. [#host32] With one ``r`` more if the vCPU thread is a 32-bit host task. FSGSBASE saves and loads bases by
   RDGSBASE and WRGSBASE, which leave no event, also when enter saves those of a 64-bit task.
.. [#wrmsrns] It writes with WRMSRNS, which has no tracepoint in the sources looked up (not those of 7.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from vmxsim import designs as _designs
from vmxsim.ftrace.reader import Event

#: All designs, oldest first.
DESIGNS = tuple(_designs.DESIGNS)
ARRAYS = DESIGNS[:2]
LAZY = DESIGNS[2:5]
HOST_ALWAYS = ("host-always",)
FROM_THREAD = ("host-from-thread",)
DEDICATED = ("dedicated-accessors",)
NEVER_TRAP = DESIGNS[8:]
#: Whose accessor writes with WRMSRNS: there may be no event.
SHARED = ("shared-accessors",)
#: Designs whose accessors and vmx_set_efer do a full host reload.
RELOADING = DESIGNS[:7]


@define
class Fits:
    """The designs ruled out so far: by which line, and why."""

    ruled_out: dict[str, int] = field(factory=dict)
    reasons: dict[str, str] = field(factory=dict)

    def rule_out(self, designs: Iterable[str], line: int, why: str) -> None:
        """Rule out designs; the first reason stays."""
        for design in designs:
            if design not in self.ruled_out:
                self.ruled_out[design] = line
                self.reasons[design] = why

    @property
    def remaining(self) -> tuple[str, ...]:
        """The designs not ruled out, oldest first."""
        return tuple(design for design in DESIGNS if design not in self.ruled_out)

    @property
    def traps_outside_long_mode(self) -> bool | None:
        """Whether the guest's accesses exit outside long mode; None unless all remaining designs agree."""
        trapping = {design not in NEVER_TRAP for design in self.remaining}
        return trapping.pop() if len(trapping) == 1 else None

    def enter(self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int) -> bool:
        """An *enter* that loaded state. ``was_long_mode``: the guest may have been in long mode before,
        so an array may still list the register. False if no design does this: events are missing."""
        if ops == "":
            if long_mode is True:
                return False  # every design loads the guest's value in long mode
            self.rule_out(HOST_ALWAYS, line, "enter does not read the host's value")
            self.rule_out(NEVER_TRAP, line, "enter does not write the guest's value")
        elif ops == "w":
            arrays = ARRAYS if long_mode is True or not was_long_mode else ()
            why = "enter writes the register without reading it first"
            self.rule_out(arrays + LAZY + HOST_ALWAYS, line, why)
            if long_mode is False:
                self.rule_out(FROM_THREAD + DEDICATED, line, "enter writes the register outside long mode")
        elif ops == "rw":
            self._switches(long_mode, was_long_mode, line, "enter writes the register outside long mode")
        elif ops == "r":
            if long_mode is True:
                return False
            self.rule_out(ARRAYS + LAZY, line, "enter reads the register without writing it")
            self.rule_out(NEVER_TRAP, line, "enter does not write the guest's value")
        else:
            return False
        return True

    def _switches(self, long_mode: bool | None, was_long_mode: bool, line: int, why: str) -> None:
        """The register is switched in full: outside long mode only never-trap and later designs do that,
        and the arrays as long as they list it."""
        if long_mode is False:
            arrays = () if was_long_mode else ARRAYS
            self.rule_out(arrays + LAZY + HOST_ALWAYS + FROM_THREAD + DEDICATED, line, why)

    def enters_differ(self, line: int) -> None:
        """One thread's *enter* sometimes reads the register and sometimes does not: where that depends
        on the width of the host task, it can't do both."""
        why = "one thread's enter sometimes reads the register and sometimes does not"
        self.rule_out(FROM_THREAD + DEDICATED + NEVER_TRAP, line, why)

    def leave(self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int) -> bool:
        """A *leave* that restored the host. False if no design does this: events are missing."""
        if ops == "rw":
            why = "leave reads the register back outside long mode"
            self._switches(long_mode, was_long_mode, line, why)
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
        """``vmx_set_efer`` did its work while state was loaded, and state is still loaded."""
        self.rule_out(RELOADING, line, "vmx_set_efer leaves guest state loaded, without a full host reload")

    def efer_without_access(self, line: int) -> None:
        """The guest wrote EFER while state was loaded and the register was not touched."""
        self.rule_out(HOST_ALWAYS + FROM_THREAD, line, "a write to EFER does no full host reload")

    def accessor(self, long_mode: bool | None, in_efer: bool, line: int) -> None:
        """An accessor read or wrote the guest's value in the register while state stayed loaded."""
        why = "the guest's value is accessed in the register, without a full host reload"
        self.rule_out(RELOADING, line, why)
        if in_efer:
            self.rule_out(NEVER_TRAP, line, "leaving long mode reads the guest's value")
        elif long_mode is False:
            self.rule_out(DEDICATED, line, "the guest's value is accessed in the register outside long mode")

    def no_access(self, long_mode: bool | None, writes: bool, line: int) -> bool:
        """KVM read or wrote the guest's MSR while state was loaded, and no event shows that it touched the
        register. False if no design does this: events are missing."""
        if long_mode is True:
            return writes and SHARED[0] in self.remaining
        why = "KVM's access of the guest's MSR does not touch the register though state is loaded"
        spared = SHARED if writes else ()
        touching = {*HOST_ALWAYS, *FROM_THREAD, *NEVER_TRAP}.difference(spared)
        self.rule_out(touching, line, why)
        return True


@define
class Evidence:
    """What the whole trace shows about the module, beyond one thread."""

    fits: Fits = field(factory=Fits)
    #: KVM turned interception of the register on when the guest's EFER changed.
    intercepts: bool = False
    #: Enters outside long mode that wrote nothing; leaves that only restored.
    silent_enters: int = 0
    short_leaves: int = 0
    #: Whether the trace has any events of these kinds.
    switches: bool = False
    userspace: bool = False
    set_probe: bool = False
    enter_probe: bool = False
    mode_probe: bool = False
    #: The file says how many events it should hold, and it holds them all.
    complete: bool = False
    #: A leave and an enter between a VM exit and the next entry: line of the first.
    between_exits: int = 0
    #: Two owners' numbers were equal where it mattered: line of the first such event.
    equal: int = 0

    @property
    def writes_unseen(self) -> bool:
        """Whether an accessor may have written the register without an event."""
        return SHARED[0] in self.fits.remaining

    def conclude(self) -> None:
        """At the end: a leave and an enter between a VM exit and the next entry were a full host reload
        if the trace would show a preemption or a return to user space."""
        if self.between_exits and self.switches and self.userspace:
            self.fits.reload(self.between_exits)

    def traps_outside_long_mode(self) -> bool:
        """Whether more than one event shows that this module switches the register only in long mode."""
        shown = self.intercepts or self.silent_enters > 1 or self.short_leaves > 0
        return shown and self.fits.traps_outside_long_mode is True


@define
class Finding:
    """A place where an invariant is broken, if the conclusions so far are right.

    ``kind``: ``host value`` (the guest runs with what the host left in the register), ``taken value``
    (it gets a host value that leave saved as its own), ``old value`` (it runs with an older value
    of its own), ``wrong read`` (KVM returns a wrong value), ``not restored`` (the thread returns to user
    space with a value other than its own). ``value`` was found where ``expected`` should be; None: not
    known. ``anomalies``: how many the thread had had by then.
    """

    kind: str
    invariant: str
    event: Event
    vcpu: int
    value: int | None
    expected: int | None
    anomalies: int
    confirmed: bool = False
    refuted: bool = False

    def believed(self, evidence: Evidence) -> bool:
        """Whether this is proved: either a later event confirms it, or nothing suggests that events are
        missing and the module's design is known well enough. A missing line can look like an access that
        was never made, so a finding that rests on a missing access must agree with some design."""
        remaining = set(evidence.fits.remaining)
        if self.refuted:
            return False
        if self.kind == "host value":
            if self.value is None or not is_user(self.value) or not self.differs():
                return False
            at_entry = self.event.kind == "entry"
            if self.confirmed:
                return "dedicated-accessors" in remaining or (at_entry and not remaining)
            if self.anomalies:
                return False
            if evidence.complete:
                return "dedicated-accessors" in remaining
            return remaining == {"dedicated-accessors"} and evidence.traps_outside_long_mode()
        if self.kind == "taken value":
            known = self.value is not None and is_user(self.value) and self.differs()
            return known and not self.anomalies and "dedicated-accessors" in remaining
        if self.kind == "not restored":
            wanted = bool(remaining & set(LAZY)) and remaining <= {*ARRAYS, *LAZY}
            user = self.expected is None or is_user(self.expected)
            return wanted and user and (self.confirmed or not self.anomalies)
        if self.kind == "old value" and not remaining & {*LAZY, "dedicated-accessors"}:
            return not remaining and not self.anomalies and self.confirmed
        if self.confirmed:
            return bool(remaining) or not self.anomalies
        return bool(remaining) and not self.anomalies

    def differs(self) -> bool:
        """Whether the numbers tell the two owners apart. A guest's value that was never seen may be 0, as
        a host's often is: then 0 proves nothing."""
        return self.value != (self.expected or 0)

    def words(self) -> str:
        """What is wrong, in a sentence or two."""
        guest = f"guest {self.vcpu}"
        thread = f"vCPU thread {self.vcpu} (pid {self.event.pid})"
        value = "an unknown value" if self.value is None else hex(self.value)
        right = "" if self.expected is None else f"; it should be {hex(self.expected)}"
        if self.kind == "host value" and self.event.kind == "entry":
            return (
                f"Here {guest} runs in long mode with its accesses passed through, but the register holds "
                f"{value}, the user GS base of {thread}: nothing was loaded since the host had it{right}. "
                "The guest can read a host value (no-leak too)."
            )
        if self.kind == "host value":
            return (
                f"KVM reads {value} back as the value of {guest}, but that is the user GS base of {thread}: "
                f"enter had loaded nothing, so the guest last ran in long mode with the host's value{right}. "
                "The guest could read it (no-leak too)."
            )
        if self.kind == "taken value":
            runs = f"Here {guest} runs with its accesses passed through, but the register holds {value}"
            read = f"KVM returns {value} as the value of {guest}"
            return (
                f"{runs if self.event.kind == 'entry' else read}, the user GS base of {thread}: leave had "
                f"read it back as the guest's value{right}. The guest can read a host value (no-leak too)."
            )
        if self.kind == "old value":
            return (
                f"Here {guest} runs with its accesses passed through, but the register holds {value}, "
                f"not the guest's value{right}."
            )
        if self.kind == "wrong read":
            return f"KVM returns {value} as the value of {guest}{right}."
        return (
            f"{thread} returns to user space while the register holds {value}, "
            f"which is not its user GS base{right}: leave did not restore it."
        )


def is_user(number: int) -> bool:
    """Whether this can be a task's user GS base: an address in the lower half."""
    return number < 1 << 63
