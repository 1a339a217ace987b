"""What may break an invariant: found where it stands, believed or not when the trace is read."""

from __future__ import annotations

from attrs import define, field

from vmxsim.ftrace.events import Event
from vmxsim.ftrace.fits import ARRAYS, LAZY, NEVER_TRAP, Fits


@define
class Evidence:
    """What the whole trace tells about the module, beyond one thread."""

    fits: Fits = field(factory=Fits)
    #: KVM turned the interception of the register on when the guest's EFER changed.
    intercepts: bool = False
    #: Enters outside long mode that wrote nothing; leaves that only restored.
    silent_enters: int = 0
    short_leaves: int = 0
    #: Events of these kinds are in the trace at all.
    switches: bool = False
    userspace: bool = False
    set_probe: bool = False
    enter_probe: bool = False
    mode_probe: bool = False
    #: The file says how many events it has, and it has them all.
    complete: bool = False
    #: A leave and an enter between a VM exit and the next entry: line of the first.
    between_exits: int = 0
    #: Two owners' numbers were equal where it mattered: line of the first such event.
    equal: int = 0

    def conclude(self) -> None:
        """At the end: a leave and an enter between a VM exit and the next entry are a full host reload
        if a preemption or a return to user space in between would be in the trace."""
        if self.between_exits and self.switches and self.userspace:
            self.fits.reload(self.between_exits)

    def traps_outside_long_mode(self) -> bool:
        """More than one event says that this module switches the register only in long mode."""
        if set(self.fits.remaining) & set(NEVER_TRAP) or not self.fits.remaining:
            return False
        return self.intercepts or self.silent_enters > 1 or self.short_leaves > 0


@define
class Finding:
    """A place where an invariant is broken, if what was concluded so far is right.

    ``kind``: ``host value`` (the guest runs with what the host left in the register), ``old value``
    (it runs with an older value of its own), ``wrong read`` (KVM gives out a wrong value), ``not
    restored`` (the thread returns to user space with another value than its own). ``value`` stands
    where ``expected`` should; None is not known.
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
        """Whether this is proved: confirmed by a later event, or without any sign that events are
        missing and with the module's design known well enough. A missing line can look like an access
        that was never made, so what only a missing access shows has to agree with some design."""
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
        """Whether the numbers tell the two owners apart. A guest's value that nobody saw may be 0, as
        a host's often is: 0 then tells nothing."""
        if self.expected is not None:
            return self.value != self.expected
        return self.value != 0

    def words(self) -> str:
        """The reason, in a sentence or two."""
        vcpu = f"guest {self.vcpu}"
        thread = f"vCPU thread {self.vcpu} (pid {self.event.pid})"
        value = "a value not known" if self.value is None else hex(self.value)
        right = "" if self.expected is None else f"; right would be {hex(self.expected)}"
        if self.kind == "host value" and self.event.kind == "entry":
            return (
                f"Here {vcpu} runs in long mode with its accesses passed through, but the register holds "
                f"{value}, the user GS base of {thread}: nothing was loaded since the host had it{right}. "
                "The guest can read a host value (no-leak too)."
            )
        if self.kind == "host value":
            return (
                f"KVM reads {value} back as the value of {vcpu}, but that is the user GS base of {thread}: "
                f"enter had loaded nothing, so the guest last ran in long mode with the host's value{right}. "
                "It could read it (no-leak too)."
            )
        if self.kind == "old value":
            return (
                f"Here {vcpu} runs with its accesses passed through while the register holds {value}, "
                f"not its value{right}."
            )
        if self.kind == "wrong read":
            return f"KVM gives out {value} as the value of {vcpu}{right}."
        return (
            f"{thread} returns to user space while the register holds {value}, "
            f"which is not its user GS base{right}: leave did not restore it."
        )


def is_user(number: int) -> bool:
    """Whether this can be a task's user GS base: an address in the lower half."""
    return not number >> 63
