"""What a trace shows: which designs it fits, which events it holds, and where an invariant may be broken.

A design is ruled out only by an event that it cannot cause, whatever the guest does and whatever the
recording does not show. That an access is missing says something only where the trace is known to record
accesses and what stands around them, and, unless the file counts its events, only if it is missing twice:
a single event may be lost. Accesses are written as letters: ``r`` for RDMSR, ``w`` for WRMSR, so ``rw`` is
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
from vmxsim.ftrace.events import Event

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


#: The tracepoints of accesses to MSRs.
READS = frozenset({"read_msr"})
WRITES = frozenset({"write_msr"})
ACCESSES = READS | WRITES
#: Between these events state stays loaded, unless accesses show a leave: a VM exit and what follows it.
EXITS = frozenset({"kvm_entry", "kvm_exit"})
#: The events between which a thread's accesses stand. Where one of these kinds is not recorded, what the
#: next event shows of the accesses before it may be about others.
FOLLOWED = EXITS | {"kvm_userspace_exit", "sched_switch"}
#: Without these, a guest's mode may have changed unseen.
MODE = frozenset({"kvm_exit"})
#: What a probe's own fields show needs no other event.
PROBED: frozenset[str] = frozenset()


@define
class Fits:
    """The designs ruled out so far: by which line, and why.

    ``recorded`` is what the trace holds: tracepoints by name, functions as ``probe:ROLE`` and
    ``return:ROLE``. Each conclusion names what it rests on; it counts only once an event of each of these
    kinds was seen.
    """

    recorded: set[str] = field(factory=set)
    #: An access of the register was recorded that can't be read: a missing access proves nothing.
    unread: bool = False
    #: The file says how many events it should hold, and it holds them all.
    complete: bool = False
    #: The threads whose events do not fit together: some are missing, so what they show is not conclusive.
    broken: set[int] = field(factory=set)
    _claims: dict[tuple[int, frozenset[str]], dict[str, tuple[int, str]]] = field(factory=dict)
    #: Those that rest on what is not there, made at one line only: a single missing event explains them.
    _once: dict[tuple[int, frozenset[str]], set[str]] = field(factory=dict)
    _count: int = 0
    _found: dict[str, tuple[int, str]] = field(factory=dict)
    _remaining: tuple[str, ...] = DESIGNS
    _likely: tuple[str, ...] = DESIGNS
    _at: tuple[int, ...] = ()

    def rule_out(self, pid: int, designs: Iterable[str], line: int, why: str, needs: frozenset[str]) -> None:
        """A thread's events rule out designs if ``needs`` are recorded; the first reason stays."""
        claims = self._claims.setdefault((pid, needs), {})
        once = self._once.setdefault((pid, needs), set())
        for design in designs:
            if design not in claims:
                claims[design] = (line, why)
                if needs & ACCESSES or "sched_switch" in needs:
                    once.add(design)
                self._count += 1
            elif design in once and claims[design][0] != line:
                once.remove(design)
                self._count += 1

    @property
    def ruled_out(self) -> dict[str, int]:
        """The designs ruled out, each with the line that does it."""
        self._look()
        return {design: line for design, (line, _) in self._found.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """The designs ruled out, each with the reason."""
        self._look()
        return {design: why for design, (_, why) in self._found.items()}

    @property
    def remaining(self) -> tuple[str, ...]:
        """The designs not ruled out, oldest first."""
        self._look()
        return self._remaining

    @property
    def likely(self) -> tuple[str, ...]:
        """The designs left if what a single missing event would explain is believed too: good enough to
        follow the trace, not to conclude."""
        self._look()
        return self._likely

    def _look(self) -> None:
        """Which conclusions count by now."""
        at = (self._count, len(self.recorded), len(self.broken), self.unread, self.complete)
        if at == self._at:
            return
        self._at = at
        self._weigh(absences=True, twice=False)
        self._likely = tuple(design for design in DESIGNS if design not in self._found)
        self._weigh(absences=not self.unread, twice=not self.complete)
        if len(self._found) == len(DESIGNS) and not self.complete:
            self._weigh(absences=False, twice=True)  # they contradict each other: an event may be missing
        self._remaining = tuple(design for design in DESIGNS if design not in self._found)

    def _weigh(self, absences: bool, twice: bool) -> None:
        """Which designs are ruled out: by missing accesses too, or only by what is there; by what a single
        missing event would explain too, or only by what was seen twice."""
        self._found = {}
        alone: dict[str, set[tuple[int, str]]] = {}
        for (pid, needs), claims in self._claims.items():
            if needs <= self.recorded and pid not in self.broken and (absences or not needs & ACCESSES):
                once = self._once[pid, needs] if twice else ()
                for design, claim in claims.items():
                    if design not in once:
                        self._found[design] = min(claim, self._found.get(design, claim))
                    else:
                        alone.setdefault(design, set()).add(claim)
        for design, single in alone.items():
            if len({line for line, _ in single}) > 1 and design not in self._found:
                self._found[design] = min(single)

    @property
    def traps_outside_long_mode(self) -> bool | None:
        """Whether the guest's accesses exit outside long mode; None unless all remaining designs agree."""
        trapping = {design not in NEVER_TRAP for design in self.likely}
        return trapping.pop() if len(trapping) == 1 else None


@define
class Shown:
    """What one thread's events show about the design."""

    fits: Fits
    pid: int

    def _rule_out(self, designs: Iterable[str], line: int, why: str, needs: frozenset[str]) -> None:
        self.fits.rule_out(self.pid, designs, line, why, needs)

    def enter(
        self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int, needs: frozenset[str]
    ) -> bool:
        """An *enter* that loaded state. ``was_long_mode``: the guest may have been in long mode before,
        so an array may still list the register. False if no design does this: events are missing.
        ``needs``: the kinds of events without which these accesses may not be all of one *enter*."""
        if ops == "":
            if long_mode is True:
                return False  # every design loads the guest's value in long mode
            needs = (needs & EXITS) | ACCESSES  # an unseen switch or system call adds accesses, it hides none
            self._rule_out(HOST_ALWAYS, line, "enter does not read the host's value", needs)
            self._rule_out(NEVER_TRAP, line, "enter does not write the guest's value", needs)
        elif ops == "w":
            why = "enter writes the register without reading it first"
            self._rule_out(LAZY + HOST_ALWAYS, line, why, needs | READS)
            if long_mode is True or not was_long_mode:
                self._rule_out(ARRAYS, line, why, needs | READS | MODE)
            if long_mode is False:
                why = "enter writes the register outside long mode"
                self._rule_out(FROM_THREAD + DEDICATED, line, why, needs | MODE)
        elif ops == "rw":
            why = "enter writes the register outside long mode"
            self._switches(long_mode, was_long_mode, line, why, needs)
        elif ops == "r":
            if long_mode is True:
                return False
            why = "enter reads the register without writing it"
            self._rule_out(ARRAYS + LAZY, line, why, needs | WRITES)
            self._rule_out(NEVER_TRAP, line, "enter does not write the guest's value", needs | WRITES)
        else:
            return False
        return True

    def _switches(
        self, long_mode: bool | None, was_long_mode: bool, line: int, why: str, needs: frozenset[str]
    ) -> None:
        """The register is switched in full: outside long mode only never-trap and later designs do that,
        and the arrays as long as they list it."""
        if long_mode is False:
            arrays = () if was_long_mode else ARRAYS
            trapping = arrays + LAZY + HOST_ALWAYS + FROM_THREAD + DEDICATED
            self._rule_out(trapping, line, why, needs | MODE)

    def enters_differ(self, line: int, needs: frozenset[str]) -> None:
        """One thread's *enter* sometimes reads the register and sometimes does not: where that depends
        on the width of the host task, it can't do both."""
        why = "one thread's enter sometimes reads the register and sometimes does not"
        self._rule_out(FROM_THREAD + DEDICATED + NEVER_TRAP, line, why, needs | READS)

    def leave(
        self, ops: str, long_mode: bool | None, was_long_mode: bool, line: int, needs: frozenset[str]
    ) -> bool:
        """A *leave* that restored the host. False if no design does this: events are missing."""
        if ops == "rw":
            why = "leave reads the register back outside long mode"
            self._switches(long_mode, was_long_mode, line, why, needs)
        elif ops == "w":
            if long_mode is True:
                return False  # every design saves the guest's value in long mode
            why = "leave restores the register without reading it"
            self._rule_out(ARRAYS + LAZY[:2], line, why, needs | READS)
            self._rule_out(NEVER_TRAP, line, "leave does not read the register back", needs | READS)
        elif ops == "":
            if long_mode is True:
                return False
            restoring = HOST_ALWAYS + FROM_THREAD + DEDICATED + NEVER_TRAP
            self._rule_out(restoring, line, "leave does not restore the register", needs | WRITES)
        elif ops != "wrw":  # load-gs-index in long mode, with a 32-bit host task
            return False
        return True

    def reload(self, line: int, needs: frozenset[str]) -> None:
        """A full host reload outside ``vcpu_put`` and preemption."""
        why = "a full host reload outside vcpu_put; the accessors need none"
        self._rule_out(DEDICATED + NEVER_TRAP, line, why, needs)

    def efer_without_reload(self, line: int, needs: frozenset[str]) -> None:
        """``vmx_set_efer`` did its work while state was loaded, and state is still loaded."""
        why = "vmx_set_efer leaves guest state loaded, without a full host reload"
        self._rule_out(RELOADING, line, why, needs)

    def intercepted(self, line: int) -> None:
        """KVM changed the interception of the register while it changed the guest's EFER."""
        why = "a change of EFER changes whether the guest's accesses are intercepted"
        self._rule_out(NEVER_TRAP, line, why, EXITS)

    def efer_without_access(self, line: int) -> None:
        """The guest wrote EFER while state was loaded and the register was not touched."""
        why = "a write to EFER does no full host reload"
        self._rule_out(HOST_ALWAYS + FROM_THREAD, line, why, EXITS | WRITES)

    def accessor(self, long_mode: bool | None, in_efer: bool, line: int, needs: frozenset[str]) -> None:
        """An accessor read or wrote the guest's value in the register while state stayed loaded."""
        why = "the guest's value is accessed in the register, without a full host reload"
        needs |= ACCESSES
        self._rule_out(RELOADING, line, why, needs)
        if in_efer:
            self._rule_out(NEVER_TRAP, line, "leaving long mode reads the guest's value", needs)
        elif long_mode is False:
            why = "the guest's value is accessed in the register outside long mode"
            self._rule_out(DEDICATED, line, why, needs)

    def no_access(self, long_mode: bool | None, writes: bool, line: int) -> bool:
        """KVM read or wrote the guest's MSR while state was loaded, and no event shows that it touched the
        register. False if no design does this: events are missing."""
        if long_mode is True:
            return writes and SHARED[0] in self.fits.likely
        why = "KVM's access of the guest's MSR does not touch the register though state is loaded"
        spared = SHARED if writes else ()
        touching = {*HOST_ALWAYS, *FROM_THREAD, *NEVER_TRAP}.difference(spared)
        self._rule_out(touching, line, why, EXITS | ACCESSES)
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
    #: Probes of vmx_set_msr show which register is set, others the guest's EFER.
    set_probe: bool = False
    mode_probe: bool = False
    #: A context switch wrote the register itself: a host without FSGSBASE.
    switch_writes: bool = False
    #: The line of the first access of unknown purpose in a residence whose enter was seen.
    strange: int = 0
    #: The line of the first event that is older than the one before it of the same thread.
    disorder: int = 0
    #: The line of the first return to user space after which no leave is seen.
    unrestored: int = 0
    #: The line of the first VM entry where the register may have held what is not the guest's.
    doubt: int = 0
    #: The file says how many events it should hold, and it holds them all.
    complete: bool = False
    #: Two owners' numbers were equal where it mattered: line of the first such event.
    equal: int = 0

    def records(self, *kinds: str) -> bool:
        """Whether events of these kinds were seen."""
        return self.fits.recorded.issuperset(kinds)

    @property
    def writes_unseen(self) -> bool:
        """Whether an accessor may have written the register without an event."""
        return SHARED[0] in self.fits.likely

    def traps_outside_long_mode(self) -> bool:
        """Whether more than one event shows that this module switches the register only in long mode."""
        shown = self.intercepts or self.silent_enters > 1 or self.short_leaves > 0
        return shown and not set(self.fits.remaining) & set(NEVER_TRAP)


@define
class Finding:
    """A place where an invariant is broken, if the conclusions so far are right.

    ``kind``: ``host value`` (the guest runs with what the host left in the register), ``taken value``
    (it gets a host value that leave saved as its own), ``old value`` (it runs with an older value
    of its own), ``wrong read`` (KVM returns a wrong value), ``not restored`` (the thread returns to user
    space with a value other than its own), ``saved`` (a context switch saves such a value as its own),
    ``restored`` (leave writes such a value, and enter follows before anybody finds it).
    ``value`` was found where ``expected`` should be; None: not known. ``anomalies``: how many the thread had
    had by then. ``shown``: both numbers were recorded, and no missing access can explain that they differ.
    ``guessed``: which of the accesses before are enter's is not sure.
    """

    kind: str
    invariant: str
    event: Event
    vcpu: int
    value: int | None
    expected: int | None
    anomalies: int
    shown: bool = False
    guessed: bool = False
    confirmed: bool = False
    refuted: bool = False

    def believed(self, evidence: Evidence) -> bool:
        """Whether this is proved: either a later event confirms it, or nothing suggests that events are
        missing and the module's design is known well enough. A missing line can look like an access that
        was never made, so a finding that rests on a missing access must agree with some design."""
        remaining = set(evidence.fits.remaining)
        if self.refuted or self.kind == "restored":
            return False
        if self.shown and self.kind != "host value":
            known = self.invariant != "host-value" or (self.expected is not None and is_user(self.expected))
            followed = evidence.records(*EXITS, "kvm_userspace_exit")
            return known and followed and bool(remaining) and not self.anomalies
        by_design = remaining == {"dedicated-accessors"} and evidence.traps_outside_long_mode()
        if self.kind in ("host value", "taken value") and not by_design and not evidence.records("write_msr"):
            return False  # enter may have loaded a value unseen
        if self.kind == "host value":
            if self.value is None or not is_user(self.value) or not self.differs():
                return False
            at_entry = self.event.kind == "entry"
            if self.confirmed:
                return "dedicated-accessors" in remaining or (at_entry and not remaining)
            if self.anomalies:
                return False
            if evidence.fits.complete:
                return "dedicated-accessors" in remaining
            return by_design
        if self.kind == "taken value":
            known = self.value is not None and is_user(self.value) and self.differs()
            return known and not self.anomalies and "dedicated-accessors" in remaining
        if self.kind == "not restored":
            wanted = bool(remaining & set(LAZY)) and remaining <= {*ARRAYS, *LAZY}
            user = self.expected is not None and is_user(self.expected)
            return wanted and user and not self.guessed and (self.confirmed or not self.anomalies)
        stores = evidence.set_probe or evidence.records("kvm_userspace_exit")  # KVM_SET_MSRS would be seen
        if self.guessed or not stores or not evidence.records(*EXITS, *ACCESSES):
            return False
        if self.kind == "old value" and not remaining & {*LAZY, "dedicated-accessors"}:
            return not remaining and not self.anomalies and self.confirmed
        if self.kind == "old value" and not evidence.fits.complete and remaining & set(NEVER_TRAP):
            return False  # a missing write would explain it
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
        if self.kind == "restored":
            return f"leave writes {value} to the register for {thread}, which is not its user GS base{right}."
        if self.kind == "saved":
            return (
                f"leave writes {value} to the register when {thread} is preempted, which is not its user GS "
                f"base{right}: the context switch saves that as its own."
            )
        return (
            f"{thread} returns to user space while the register holds {value}, "
            f"which is not its user GS base{right}: leave did not restore it."
        )


def is_user(number: int) -> bool:
    """Whether this can be a task's user GS base: an address in the lower half."""
    return number < 1 << 63
