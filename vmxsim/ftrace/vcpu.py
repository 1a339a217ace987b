"""What a recording shows of one vCPU thread: whether state is loaded, modes, values, and what is wrong.

Anything may be unknown (None). The register belongs to the thread while its state is loaded, so this
follows it from *enter* to *leave* (a residence) without looking at other tasks.
"""

from __future__ import annotations

from attrs import Factory, define, field

from vmxsim.ftrace.events import Event
from vmxsim.ftrace.evidence import ARRAYS, EXITS, FOLLOWED, LAZY, PROBED, Evidence, Finding, Shown, is_user

#: Exit reasons after which KVM writes no MSR of the guest's.
PLAIN = ("EXTERNAL_INTERRUPT", "PREEMPTION_TIMER", "HLT", "IO_INSTRUCTION", "CPUID", "PAUSE_INSTRUCTION")
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

    #: Its enter was seen.
    entered: bool = False
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
    #: The line of the first VM entry at which the guest may have found what is not its own, and whether it
    #: may have changed its mode before.
    doubt: int = 0
    turned: bool = False
    #: The guest's value in memory, as a probe of enter shows it.
    stored: int | None = None
    #: Which of the accesses before are enter's is told only by what the designs do.
    guessed: bool = False
    #: The write by which enter loaded the guest's value, as far as is known.
    load: Event | None = None
    #: The accesses of the leave that ended it; None: not seen.
    left: str | None = None
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
    shown: Shown = Factory(lambda self: Shown(self.evidence.fits, self.pid), takes_self=True)

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
    #: Of the last VM exit.
    exit_reason: str = ""
    #: The guest may have changed its mode since the last enter.
    turned: bool = False
    #: The guest may have left long mode (CR0.PG), so an array may still list the register. At the start
    #: of a trace it is assumed not to have.
    was_long_mode: bool = False
    #: The host's value that KVM has read back as the guest's.
    taken: int | None = None
    #: The true value before a WRMSR exit, until kvm_msr shows which register is written.
    held: int | None = None
    #: VM entries for which no enter was seen: what the register holds is not known.
    unfollowed: int = 0
    #: The line of the last access of unknown purpose.
    unexplained: int = 0
    anomalies: int = 0
    first_anomaly: int = 0
    enter_reads: set[bool] = field(factory=set)
    #: A wrong host value that a later event may confirm or refute.
    open_host: Finding | None = None
    #: What the last leave left in the register instead of the host's value, the right value, and the write
    #: that did it; None: it wrote nothing.
    left_behind: tuple[int | None, int | None, Event | None] | None = None
    #: The thread's user GS base, as the first leave of this KVM_RUN restored it or its first enter read it.
    run_host: int | None = None
    #: The thread's user GS base, as last seen.
    base: int | None = None
    #: Lines at which state was loaded (True) or unloaded (False), for the views.
    transitions: dict[int, bool] = field(factory=dict)

    def anomaly(self, line: int) -> None:
        """This cannot happen unless events are missing: forget the values."""
        self.anomalies += 1
        self.evidence.fits.broken.add(self.pid)
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
            seen = self.evidence.mode_probe or self.loaded is True  # else user space may set it unseen
            self.long_mode, self.changing = self.next_mode if seen else None, False

    def change_mode(self, mode: bool | None) -> None:
        """A function is about to set the guest's mode (None: it is not known which)."""
        self.next_mode, self.changing = mode, True
        self.turned = True

    @property
    def passed_through(self) -> bool | None:
        """Whether the guest, if it ran now, would access the register directly."""
        both = self.evidence.records("probe:intercept_on", "probe:intercept_off")
        if self.intercepted is not None and both:
            return not self.intercepted
        if self.long_mode is not False:
            return self.long_mode
        if self.residence.silent:
            return False  # only designs that trap outside long mode load nothing there
        traps = self.evidence.fits.traps_outside_long_mode
        return None if traps is None else not traps

    def enter(
        self, accesses: list[Event], at: Event, certain: bool = False, needs: frozenset[str] = FOLLOWED
    ) -> None:
        """State is loaded; ``at`` is enter itself, or the event that shows that it happened.
        ``certain``: all accesses are enter's, none is an earlier system call's. ``needs``: the kinds of
        events without which that is not sure."""
        self.settle_mode()
        ops = words(accesses)
        line = accesses[0].line if accesses else at.line
        self.loaded = True
        left, self.left_behind = self.left_behind, None
        if left is not None and left[2] is not None:  # no user space has seen it
            self._found("restored", "host-value", left[2], *left[:2])
        self.transitions[accesses[-1].line if accesses else at.line] = True
        self.residence = Residence(entered=True, stored=self.in_memory(at))
        self.turned = False
        self.register, self.owner = None, "host"
        if not self.shown.enter(ops, self.long_mode, self.was_long_mode, line, needs):
            self.unknown(accesses)
            self.anomaly(line)
            self.register = accesses[-1].data if accesses else None
            return
        if certain or "r" not in ops or all(event.preemptible is False for event in accesses):
            self.enter_reads.add("r" in ops)
        if len(self.enter_reads) == 2:
            self.shown.enters_differ(line, FOLLOWED)
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
                if self.run_host is None and is_user(event.data):
                    self.run_host = event.data
                elif self.run_host not in (None, event.data):
                    self.residence.read_host = self.run_host  # what leave left there is taken for the host's
            else:
                self.roles[event.line] = "enter-load"
                self.residence.load = event
                self.register, self.owner = event.data, "guest"
                if self.saved is None:
                    self.saved = event.data

    @staticmethod
    def in_memory(enter: Event) -> int | None:
        """The guest's value that a probe of enter shows, before enter loads it."""
        probed = enter.kind in ("probe", "leaf") and enter.data[0] == "enter"
        return enter.data[1].get("ggs") if probed else None

    def leave(
        self, accesses: list[Event], at: Event, inside: bool = False, needs: frozenset[str] = FOLLOWED
    ) -> None:
        """The host is restored. ``inside``: by a full host reload in the middle of KVM's work, where a
        mode change may or may not be complete."""
        # the mode may have changed since the guest last ran
        changed = self.changing and self.next_mode is not False
        mode = None if self.changing else self.long_mode
        if not inside:
            self.settle_mode()
        ops = words(accesses)
        line = accesses[0].line if accesses else at.line
        self.transitions[accesses[-1].line if accesses else at.line] = False
        if not self.shown.leave(ops, mode, self.was_long_mode, line, needs):
            self.unknown(accesses)
            self.anomaly(line)
            self._left(None, inside)
            return
        self.residence.left = ops
        if ops == "w":
            self.evidence.short_leaves += 1
        for event in accesses:
            if event.kind == "rdmsr":
                self.roles[event.line] = "leave-save"
                self._read_back(event)
            else:
                self.roles[event.line] = "leave-restore"
        if ops.endswith("w"):
            self._restore(accesses[-1], sure=not inside or needs is PROBED)
        if self.residence.silent and ops == "rw" and accesses[0].data == accesses[1].data:
            self.taken = accesses[0].data
            if changed:
                self.residence.reads.clear()  # the guest has not run with it yet
        if not accesses and self.owner == "guest":
            self.left_behind = (self.register, self.base, None)
        self._left(accesses[-1].data if accesses else None, inside)

    def _doubts(self) -> None:
        """Where a leave that reads nothing ends a residence whose enter loaded nothing, the guest was outside
        long mode, with its accesses intercepted, unless it changed its mode meanwhile."""
        residence = self.residence
        outside = residence.silent and residence.left in ("", "w") and not residence.turned
        if residence.doubt and not outside and not residence.findings:
            self.evidence.doubt = self.evidence.doubt or residence.doubt

    def _left(self, restored: int | None, inside: bool) -> None:
        self.close_residence()
        self.loaded = False
        if restored is not None:
            self.base = restored
        if not self.evidence.set_probe and self.writes_unseen():
            self.true = None
        self.register, self.owner = None, ""
        if not inside and not self.evidence.records("kvm_userspace_exit"):
            self.maybe_set_sregs()

    def writes_unseen(self) -> bool:
        """Whether, while state is not loaded, a write of the guest's value may leave no event: KVM_SET_MSRS,
        or an access that KVM emulates."""
        if not self.evidence.records("kvm_userspace_exit"):
            return True
        return self.exit_reason not in PLAIN and not self.evidence.records("kvm_msr")

    def maybe_set_sregs(self) -> None:
        """User space may set the guest's mode now (KVM_SET_SREGS); only a probe would show it."""
        if not self.evidence.mode_probe:
            self.long_mode, self.changing = None, False

    def _restore(self, event: Event, sure: bool) -> None:
        """The host's value is written back, the last of leave's accesses. It is wrong if it differs from what
        was read from the register for the host, or from another value of this KVM_RUN: only user space
        changes it. Where enter loads nothing, what a probe shows as saved may be an older value that is not
        used. ``sure``: the accesses are a leave's."""
        residence = self.residence
        host = residence.read_host if residence.read_host is not None else self.run_host
        saves = residence.silent is False or not {*ARRAYS, *LAZY} & {*self.evidence.fits.likely}
        if host is None and saves:
            host = residence.host  # as enter saved it, and probes show it
        if host is not None and host != event.data:
            self.left_behind = (event.data, host, event if sure else None)
        elif sure and is_user(event.data):
            self.run_host = event.data
        if residence.read_host is None:
            residence.host = event.data
        self.host_saved = event.data

    def switched_out(self) -> None:
        """The thread was taken off its CPU, after leave. With FSGSBASE the context switch saves what is in
        the register as the thread's own; without, it depends on both tasks what becomes of it."""
        left, self.left_behind = self.left_behind, None
        if left is not None and left[2] is not None and not self.evidence.switch_writes:
            self._found("saved", "host-value", left[2], *left[:2], shown=True)

    def read(self, event: Event, in_efer: bool, needs: frozenset[str] = EXITS) -> None:
        """An accessor reads the guest's value from the register."""
        self.roles[event.line] = "read"
        self.shown.accessor(self.long_mode, in_efer, event.line, needs)
        self._read_back(event)

    def write(self, event: Event, needs: frozenset[str] = EXITS) -> None:
        """An accessor writes the guest's value to the register."""
        self.roles[event.line] = "write"
        if not self.may_be_hosts(event.data):
            self.shown.accessor(self.long_mode, False, event.line, needs)
        self.register, self.owner, self.true = event.data, "guest", event.data
        self.saved_next = event.data

    def may_be_hosts(self, value: int) -> bool:
        """Whether a single write of this number, the guest's, may restore the host's value as well: equal
        numbers prove nothing. In long mode leave reads first."""
        return self.long_mode is not True and is_user(value) and self.residence.host in (None, value)

    def untouched(self, event: Event, writes: bool) -> bool:
        """KVM read or wrote the guest's MSR while state was loaded, without an event of the register. False
        if no design does this."""
        possible = self.shown.no_access(self.long_mode, writes, event.line)
        if writes and self.owner == "guest" and self.evidence.writes_unseen:
            self.register = None
        return possible

    def unknown(self, accesses: list[Event], at_end: bool = False) -> None:
        """Accesses of unknown purpose; they still show the number in the register. ``at_end``: the trace ends
        before the event that would show it."""
        for event in accesses:
            self.roles.setdefault(event.line, "unknown")
            self.unexplained = event.line
            if self.residence.entered and not at_end:
                self.evidence.strange = self.evidence.strange or event.line
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
            self.taken = value
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
        self.unfollowed += not residence.entered
        if passed is False:
            return
        if self.owner != "guest" and residence.entered:
            residence.doubt = residence.doubt or event.line
            residence.turned |= self.turned
        if passed is None or not self.owner or (self.owner == "host" and residence.host is None):
            residence.unsure = True  # a later event decides
        elif self.owner == "host" and residence.silent and not residence.findings:
            self._found("host value", "guest-value", event, residence.host, self.true)
        if self.owner == "guest":
            self._check_loaded(event)
        if self.true is not None:
            residence.before = self.true

    def _check_loaded(self, event: Event) -> None:
        """The register holds what enter or an accessor has written for the guest: is it the guest's value?"""
        if self.register == self.taken is not None:
            self._found("taken value", "guest-value", event, self.register, self.true)
        elif self.true is None and self.register and self.register == self.base:
            self._equal(event.line)  # its own, or the host's? 0 is what a guest starts with
        elif None not in (self.register, self.true) and self.register != self.true:
            shown = self.residence.stored == self.true  # enter loads another value than the one in memory
            self._found("old value", "guest-value", event, self.register, self.true, shown)

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
        if not self.evidence.set_probe:
            self.true = None  # KVM_SET_MSRS would not be seen
        if self.left_behind is not None:
            value, right, write = self.left_behind
            self._found("not restored", "host-value", event, value, right, shown=write is not None)
            self.left_behind = None
        self.run_host = None

    def close_residence(self) -> None:
        """The residence ends: compare what was read with the host's value, which is known by now."""
        self._doubts()
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
        if residence.load is not None and residence.load.data and residence.load.data == residence.host:
            if self.true is None or self.true == residence.host:
                self._equal(residence.load.line)  # the guest's value, or a system call's write of the host's?
        if residence.silent is None:
            for event, value in residence.reads:
                if value == residence.host:
                    self._equal(event.line)

    def _equal(self, line: int) -> None:
        self.evidence.equal = self.evidence.equal or line

    def _found(
        self,
        kind: str,
        invariant: str,
        event: Event,
        value: int | None,
        expected: int | None,
        shown: bool = False,
    ) -> None:
        finding = Finding(kind, invariant, event, self.index, value, expected, self.anomalies, shown)
        finding.guessed = self.residence.guessed
        self.findings.append(finding)
        if invariant == "host-value":
            self.open_host = finding if kind == "not restored" and not shown else None
        else:
            self.residence.findings.append(finding)
