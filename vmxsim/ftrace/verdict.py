"""The verdict over a recording: is an invariant broken, by which event, and which designs fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from vmxsim.designs import find_design
from vmxsim.errors import InputError, counted, printable
from vmxsim.ftrace.evidence import DESIGNS, Evidence, Finding
from vmxsim.ftrace.reader import Event, Reader
from vmxsim.ftrace.vcpu import Vcpu
from vmxsim.ftrace.vcpu_thread import Thread

# -- Follows every thread of a trace at once: events in, findings and roles out.


#: Accesses kept for tables.
_KEPT = 100_000


@define
class Follower:
    """One pass over a trace."""

    evidence: Evidence = field(factory=Evidence)
    findings: list[Finding] = field(factory=list)
    #: Line of each access: what it was for (a key of ``vmxsim.ftrace.vcpu.ROLES``).
    roles: dict[int, str] = field(factory=dict)
    threads: dict[int, Thread] = field(factory=dict)
    accesses: int = 0
    #: The first accesses themselves.
    seen: list[Event] = field(factory=list)
    entries: int = 0
    last: Event | None = None

    def follow(self, events: Iterable[Event]) -> None:
        """Read all events."""
        feed = self.feed
        for event in events:
            feed(event)
        self.finish()

    def feed(self, event: Event) -> None:
        """Read one event. What accesses were for is told at a later one."""
        kind = event.kind
        self.last = event
        if kind == "marker":
            return
        if kind == "lost":
            for thread in self.threads.values():
                thread.lost()
            return
        thread = self.threads.get(event.pid) or self._thread(event.pid, event.comm, event.cpu)
        if kind == "rdmsr" or kind == "wrmsr":
            self.accesses += 1
            if self.accesses <= _KEPT:
                self.seen.append(event)
            thread.access(event)
            return
        if kind == "switch":
            self._switch(event, thread)
            return
        evidence = self.evidence
        if kind == "entry":
            self.entries += 1
        elif kind == "userspace":
            evidence.userspace = True
        elif kind == "probe":
            role, fields = event.data
            if role == "enter":
                evidence.enter_probe = True
            elif role == "set" and "index" in fields:
                evidence.set_probe = True
            if "cefer" in fields or "efer" in fields:
                evidence.mode_probe = True
        thread.feed(event)

    def finish(self) -> None:
        """The end of the trace."""
        if self.last is not None:
            for thread in self.threads.values():
                thread.finish(self.last)
        self.evidence.conclude()

    def _thread(self, pid: int, comm: str, cpu: int) -> Thread:
        vcpu = Vcpu(pid, comm, -1, self.evidence, self.findings, self.roles)
        thread = self.threads[pid] = Thread(vcpu, cpu)
        return thread

    def _switch(self, event: Event, thread: Thread) -> None:
        self.evidence.switches = True
        prev, _, following, name = event.data
        if prev == event.pid:
            thread.feed(event)
        incoming = self.threads.get(following) or self._thread(following, name, event.cpu)
        incoming.switched_in(event)

    def vcpu_threads(self) -> list[Thread]:
        """The threads that were seen in KVM, in the order in which they came."""
        return [thread for thread in self.threads.values() if thread.in_kvm]

    def believed(self) -> list[Finding]:
        """What is proved, in the trace's order."""
        for number, thread in enumerate(self.vcpu_threads()):
            thread.vcpu.index = number
        for finding in self.findings:
            finding.vcpu = self.threads[finding.event.pid].vcpu.index
        proved = [finding for finding in self.findings if finding.believed(self.evidence)]
        return sorted(proved, key=lambda finding: finding.event.line)


def judge(reader: Reader, follower: Follower, design: object = None) -> dict[str, Any]:
    """The object that ``replay --json`` prints.

    ``verdict`` is about the invariants: ``violated`` only where the events prove it, ``ok`` where
    they were followed and nothing is wrong, else ``inconclusive``. ``design`` (an id, a prefix, a
    commit or a class) restricts ``fits`` and ``ruled_out`` to that one and says so in ``words``.
    Raises InputError for an unknown design.
    """
    asked = _asked(design)
    broken = follower.believed()
    fits = follower.evidence.fits
    if broken:
        verdict, words = "violated", broken[0].words()
    else:
        verdict, words = _unbroken(reader, follower)
    first = broken[0] if broken else None
    remaining = list(fits.remaining)
    ruled_out = {name: fits.ruled_out[name] for name in DESIGNS if name in fits.ruled_out}
    if asked:
        words += _about(asked, follower)
        remaining = [name for name in remaining if name == asked]
        ruled_out = {name: line for name, line in ruled_out.items() if name == asked}
    return {
        "verdict": verdict,
        "invariant": first.invariant if first else None,
        "event": _event(first) if first else None,
        "words": words,
        "fits": remaining,
        "ruled_out": ruled_out,
        "notes": notes(reader, follower),
    }


def _asked(design: object) -> str:
    if design is None:
        return ""
    found = find_design(design)  # type: ignore[arg-type]
    if found.id not in DESIGNS:
        raise InputError(
            f"'{printable(found.__name__)}' is not one of the designs that a recording is compared with"
        )
    return found.id


def _about(design: str, follower: Follower) -> str:
    fits = follower.evidence.fits
    if design in fits.ruled_out:
        return f" It can't be {design}: line {fits.ruled_out[design]}: {fits.reasons[design]}."
    return f" Nothing in it speaks against {design}." if follower.accesses else ""


def _event(finding: Finding) -> dict[str, Any]:
    event = finding.event
    return {"line": event.line, "time": event.time, "cpu": event.cpu, "pid": event.pid, "name": event.name}


def _unbroken(reader: Reader, follower: Follower) -> tuple[str, str]:
    if not reader.matched and (reader.broken or reader.cut_line):
        raise InputError(
            "no line of it is ftrace text; expected lines like 'TASK-PID [CPU] FLAGS TIME: EVENT: ...'",
            printable(reader.path),
        )
    if not follower.accesses:
        return "inconclusive", (
            "There is no access of MSR c0000102 in the trace: record msr:read_msr and msr:write_msr "
            "(vmxsim replay --how-to-record)."
        )
    if not follower.entries:
        return (
            "inconclusive",
            "There is no kvm_entry in the trace: record the kvm events (vmxsim replay --how-to-record).",
        )
    evidence = follower.evidence
    if evidence.equal:
        return "inconclusive", (
            f"At line {evidence.equal} the guest may have run with what the host left in the register. The "
            "two numbers are equal or not both known: a guest's value that equals a host's is no proof."
        )
    open_ = [f for f in follower.findings if f.kind == "host value" and not f.refuted and f.value is not None]
    if open_:
        return "inconclusive", (
            f"At line {open_[0].event.line} the guest may have run with what the host left in the "
            "register. Nothing later confirms it, and a missing event would explain it as well."
        )
    known = sum(role not in ("unknown", "host", "switch") for role in follower.roles.values())
    if not known:
        return (
            "inconclusive",
            "What the accesses of the register were for can't be told from the events around them.",
        )
    return "ok", (
        f"No invariant is broken in {follower.accesses} accesses of KERNEL_GS_BASE and {follower.entries} VM "
        f"entries by {counted(len(follower.vcpu_threads()), 'vCPU thread')}."
    )


def notes(reader: Reader, follower: Follower) -> list[str]:
    """What to know about the trace: lines not read, events missing, what could not be concluded."""
    said = reader.notes()
    for thread in follower.vcpu_threads():
        vcpu = thread.vcpu
        if vcpu.anomalies:
            said.append(
                f"vCPU thread {vcpu.index} (pid {vcpu.pid}): {vcpu.anomalies} place(s), the first at line "
                f"{vcpu.first_anomaly}, can't be if no event is missing; the values were forgotten there"
            )
    unknown = sum(role == "unknown" for role in follower.roles.values())
    if unknown:
        said.append(f"{unknown} access(es) whose purpose can't be told from the events around them")
    if follower.accesses and not follower.evidence.switches:
        said.append("there is no sched_switch: who has the register between two KVM_RUNs is not known")
    if follower.accesses and not follower.evidence.fits.remaining:
        said.append("no design fits the whole trace: events are missing, or this kernel follows another one")
    if len(follower.evidence.fits.remaining) > 1 and set(follower.evidence.fits.remaining) <= set(
        DESIGNS[8:]
    ):
        said.append(
            "never-trap and the two designs after it access the register alike and can't be told apart"
        )
    return said
