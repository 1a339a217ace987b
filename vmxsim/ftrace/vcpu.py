"""What a recording shows of one vCPU thread: whether state is loaded, modes, values, and what is wrong.

Anything may be unknown (None). The register belongs to the thread while its state is loaded, so this
follows it from *enter* to *leave* (a residence) without looking at other tasks.
"""

from __future__ import annotations

from attrs import define, field

from vmxsim.ftrace.evidence import Evidence, Finding
from vmxsim.ftrace.reader import Event

#: What an access of the register was for; the views and the table use these words.
ROLES = {
    "enter-save": "enter saves the host's value (h = register)",
    "enter-load": "enter loads the guest's value (register = g)",
    "leave-save": "leave saves the guest's value (g = register)",
    "leave-restore": "leave restores the host's value (register = h)",
    "read": "accessor reads the guest's value from the register",
    "write": "accessor writes the guest's value to the register",
    "switch": "the context switch loads the next task's user GS base",
    "host": "the task accesses its own user GS base (arch_prctl)",
    "unknown": "purpose unknown: events are missing around it",
}


@define
class Residence:
    """The time from one *enter* to the *leave* after it."""

    #: enter wrote nothing, so the register holds what the host left in it. None: not known.
    silent: bool | None = None
    #: The thread's user GS base, as enter saved it or leave restored it.
    host: int | None = None
    #: The same, if it was read from the register.
    read_host: int | None = None
    findings: list[Finding] = field(factory=list)
    #: Reads while the register should still hold what was there at enter, to compare with ``host``.
    reads: list[tuple[Event, int]] = field(factory=list)
    #: The guest ran, perhaps with its accesses passed through.
    unsure: bool = False
    #: The guest's true value before it last ran with access passed through.
    before: int | None = None


def words(accesses: list[Event]) -> str:
    """``rw`` for a read followed by a write."""
    return "".join("r" if event.kind == "rdmsr" else "w" for event in accesses)


@define
class Vcpu:
    """One vCPU thread (identity: pid)."""

    pid: int
    comm: str
    index: int
    evidence: Evidence
    findings: list[Finding]
    roles: dict[int, str]

    loaded: bool | None = None
    long_mode: bool | None = None
    #: The mode that the running function is about to set; ``changing`` while there is one.
    next_mode: bool | None = None
    changing: bool = False
    intercepted: bool | None = None
    lme: bool | None = None
    saved: int | None = None
    saved_next: int | None = None
    host_saved: int | None = None
    true: int | None = None
    #: What the register holds while this thread has its state loaded, and whose it is.
    register: int | None = None
    owner: str = ""
    residence: Residence = field(factory=Residence)
    #: The guest may have left long mode (CR0.PG), so an array may still list the register. At the start
    #: of a trace it is assumed not to have.
    was_long_mode: bool = False
    #: The host's value that KVM has read back as the guest's.
    taken: int | None = None
    #: The true value before a WRMSR exit, until kvm_msr shows which register is written.
    held: int | None = None
    anomalies: int = 0
    first_anomaly: int = 0
    enter_reads: set[bool] = field(factory=set)
    #: A wrong host value that a later event may confirm or refute.
    open_host: Finding | None = None
    #: What the last leave left in the register instead of the host's value: (value, right value).
    left_behind: tuple[int | None, int | None] | None = None
    #: The thread's user GS base, as last seen.
    base: int | None = None
    #: Lines at which state was loaded (True) or unloaded (False), for the views.
    transitions: dict[int, bool] = field(factory=dict)

    def anomaly(self, line: int) -> None:
        """This cannot happen unless events are missing: forget the values."""
        self.anomalies += 1
        self.first_anomaly = self.first_anomaly or line
        self.true = self.held = self.taken = None
        self.register, self.owner = None, ""
        self.residence.silent = None
        self.residence.reads.clear()

    def forget(self) -> None:
        """Events were lost here: nothing is known anymore."""
        self.loaded = self.long_mode = self.intercepted = self.lme = None
        self.changing = False
        self.saved = self.saved_next = self.true = self.held = self.taken = None
        self.register = self.host_saved = None
        self.owner = ""
        self.close_residence()
        self.residence = Residence()
        self.open_host = self.left_behind = self.base = None
        self.was_long_mode = True

    def settle_mode(self) -> None:
        """A mode change that was under way is complete."""
        if self.changing:
            self.long_mode, self.changing = self.next_mode, False

    def change_mode(self, mode: bool | None) -> None:
        """A function is about to set the guest's mode (None: it is not known which)."""
        self.next_mode, self.changing = mode, True

    @property
    def passed_through(self) -> bool | None:
        """Whether the guest, if it ran now, would access the register directly."""
        if self.intercepted is not None:
            return not self.intercepted
        if self.long_mode is not False:
            return self.long_mode
        if self.residence.silent:
            return False  # only designs that trap outside long mode load nothing there
        traps = self.evidence.fits.traps_outside_long_mode
        return None if traps is None else not traps

    def enter(self, accesses: list[Event], at: Event, certain: bool = False) -> None:
        """State is loaded; ``at`` is enter itself, or the event that shows that it happened.
        ``certain``: all accesses are enter's, none is an earlier system call's."""
        self.settle_mode()
        ops = words(accesses)
        line = accesses[0].line if accesses else at.line
        self.loaded = True
        left, self.left_behind = self.left_behind, None
        self.transitions[accesses[-1].line if accesses else at.line] = True
        self.residence = Residence()
        self.register, self.owner = None, "host"
        if not self.evidence.fits.enter(ops, self.long_mode, self.was_long_mode, line):
            self.unknown(accesses)
            self.anomaly(line)
            self.register = accesses[-1].data if accesses else None
            return
        if certain or "r" not in ops or all(event.preemptible is False for event in accesses):
            self.enter_reads.add("r" in ops)
        if len(self.enter_reads) == 2:
            self.evidence.fits.enters_differ(line)
        self.residence.silent = "w" not in ops
        if left is not None and self.residence.silent:
            self.register, self.owner = left[0], "guest"  # still what the last leave left there
            self.residence.silent = None
        if self.residence.silent and self.long_mode is False:
            self.evidence.silent_enters += 1
        for event in accesses:
            if event.kind == "rdmsr":
                self.roles[event.line] = "enter-save"
                self.learn_host(event.data)
                self.residence.read_host = self.register = event.data
            else:
                self.roles[event.line] = "enter-load"
                self.register, self.owner = event.data, "guest"
                if self.saved is None:
                    self.saved = event.data

    def leave(self, accesses: list[Event], at: Event, inside: bool = False) -> None:
        """The host is restored. ``inside``: by a full host reload in the middle of KVM's work, where a
        mode change may or may not be complete."""
        # the mode may have changed since the guest last ran
        changed = self.changing and self.next_mode is not False
        if not inside:
            self.settle_mode()
        mode = None if self.changing else self.long_mode
        ops = words(accesses)
        line = accesses[0].line if accesses else at.line
        self.transitions[accesses[-1].line if accesses else at.line] = False
        if not self.evidence.fits.leave(ops, mode, self.was_long_mode, line):
            self.unknown(accesses)
            self.anomaly(line)
            self._left(None, inside)
            return
        if ops == "w":
            self.evidence.short_leaves += 1
        for event in accesses:
            if event.kind == "rdmsr":
                self.roles[event.line] = "leave-save"
                self._read_back(event)
            else:
                self.roles[event.line] = "leave-restore"
                self._restore(event)
        if self.residence.silent and ops == "rw" and accesses[0].data == accesses[1].data:
            self.taken = accesses[0].data
            if changed:
                self.residence.reads.clear()  # the guest has not run with it yet
        if not accesses and self.owner == "guest":
            self.left_behind = (self.register, self.base)
        self._left(accesses[-1].data if accesses else None, inside)

    def _left(self, restored: int | None, inside: bool) -> None:
        self.close_residence()
        self.loaded = False
        if restored is not None:
            self.base = restored
        if not self.evidence.set_probe:
            self.true = None  # KVM_SET_MSRS would not be seen
        self.register, self.owner = None, ""
        if not inside and not self.evidence.userspace:
            self.maybe_set_sregs()

    def maybe_set_sregs(self) -> None:
        """User space may set the guest's mode now (KVM_SET_SREGS); only a probe would show it."""
        if not self.evidence.mode_probe:
            self.long_mode, self.changing = None, False

    def _restore(self, event: Event) -> None:
        """The host's value is written back. It is wrong if it differs from what was read from the register
        for the host; what a probe shows as saved may be an older value that is not used."""
        residence = self.residence
        host = residence.read_host
        if host is not None and host != event.data:
            self.left_behind = (event.data, host)
        elif host is None:
            residence.host = event.data
        self.host_saved = event.data

    def read(self, event: Event, in_efer: bool) -> None:
        """An accessor reads the guest's value from the register."""
        self.roles[event.line] = "read"
        self.evidence.fits.accessor(self.long_mode, in_efer, event.line)
        self._read_back(event)

    def write(self, event: Event) -> None:
        """An accessor writes the guest's value to the register."""
        self.roles[event.line] = "write"
        self.evidence.fits.accessor(self.long_mode, False, event.line)
        self.register, self.owner, self.true = event.data, "guest", event.data
        self.saved_next = event.data

    def untouched(self, event: Event, writes: bool) -> bool:
        """KVM read or wrote the guest's MSR while state was loaded, without an event of the register. False
        if no design does this."""
        possible = self.evidence.fits.no_access(self.long_mode, writes, event.line)
        if writes and self.owner == "guest" and self.evidence.writes_unseen:
            self.register = None
        return possible

    def unknown(self, accesses: list[Event]) -> None:
        """Accesses of unknown purpose; they still show the number in the register."""
        for event in accesses:
            self.roles.setdefault(event.line, "unknown")
            self.register, self.owner = event.data, ""

    def _read_back(self, event: Event) -> None:
        """The kernel takes what the register holds for the guest's value."""
        value: int = event.data
        residence = self.residence
        if self.register is not None and self.register != value:
            self.anomaly(event.line)
        if self.owner == "host" and residence.silent and not residence.unsure and not residence.findings:
            residence.read_host = self.register = value  # the guest could not touch the host's value
            self.saved, self.saved_next = value, None
            return
        if self.owner == "guest" and self.register == value == self.taken:
            self.saved_next = None
            return  # the guest has not run with it
        confirmed = False
        for finding in residence.findings:
            if finding.value == value:
                finding.confirmed = confirmed = True
        if self.owner != "guest":
            residence.reads.append((event, value))
            confirmed = confirmed or (self.owner == "host" and value == residence.host)
        if confirmed:
            self.true = residence.before
        elif self.true is None or self.owner != "guest" or self.register is None:
            self.true = value  # the guest may have written it
        self.register = value
        self.saved = value
        self.saved_next = self.taken = None

    def run(self, event: Event) -> None:
        """VM entry."""
        self.settle_mode()
        passed = self.passed_through
        residence = self.residence
        if passed is False:
            return
        if passed is None or not self.owner or (self.owner == "host" and residence.host is None):
            residence.unsure = True  # a later event decides
        elif self.owner == "host" and residence.silent:
            if not residence.findings:
                self._found("host value", "guest-value", event, residence.host, self.true)
        elif self.owner == "guest" and self.register == self.taken is not None:
            self._found("taken value", "guest-value", event, self.register, self.true)
        elif self.owner == "guest" and None not in (self.register, self.true) and self.register != self.true:
            self._found("old value", "guest-value", event, self.register, self.true)
        if self.true is not None:
            residence.before = self.true

    def ran(self) -> None:
        """VM exit: what the guest did to the register is not recorded."""
        if self.passed_through is not False:
            self.register = None
            self.true = None

    def given(self, event: Event, value: int) -> None:
        """KVM returns ``value`` as the guest's."""
        if value == self.taken:
            self._found("taken value", "guest-value", event, value, self.true)
        elif self.true is not None and value != self.true:
            self._found("wrong read", "guest-value", event, value, self.true)

    def set(self, value: int) -> None:
        """KVM stores a new value of the guest's register."""
        self.true = value
        self.saved_next, self.taken = value, None

    def learn_host(self, value: int) -> None:
        """The thread's user GS base, as this residence's enter saved it."""
        self.host_saved = value
        if self.residence.host is None:
            self.residence.host = value
            self._name_host(value)
        if self.open_host is not None:
            finding, self.open_host = self.open_host, None
            if value == finding.value != finding.expected:
                finding.confirmed = True
            elif value == finding.expected:
                finding.refuted = True
        self.base = value

    def _name_host(self, value: int | None) -> None:
        """Give the host's value to the findings that lack it."""
        for finding in self.residence.findings:
            if finding.kind == "host value" and finding.value is None:
                finding.value = value

    def returns_to_user(self, event: Event) -> None:
        """The thread continues in user space."""
        self.maybe_set_sregs()
        if self.left_behind is not None:
            self._found("not restored", "host-value", event, *self.left_behind)
            self.left_behind = None

    def close_residence(self) -> None:
        """The residence ends: compare what was read with the host's value, which is known by now."""
        residence = self.residence
        self._name_host(residence.host)
        if residence.silent and residence.host is not None:
            for event, value in residence.reads:
                if value == residence.host:
                    if not residence.findings and residence.unsure:
                        self._found("host value", "guest-value", event, value, residence.before)
                    for finding in residence.findings:
                        finding.confirmed = True
        for finding in residence.findings:
            if finding.kind == "host value" and finding.value is not None and not finding.differs():
                self._equal(finding.event.line)
        if residence.silent is None:
            for event, value in residence.reads:
                if value == residence.host:
                    self._equal(event.line)

    def _equal(self, line: int) -> None:
        self.evidence.equal = self.evidence.equal or line

    def _found(
        self, kind: str, invariant: str, event: Event, value: int | None, expected: int | None
    ) -> None:
        finding = Finding(kind, invariant, event, self.index, value, expected, self.anomalies)
        self.findings.append(finding)
        if invariant == "host-value":
            self.open_host = finding
        else:
            self.residence.findings.append(finding)
