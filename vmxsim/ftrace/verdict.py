"""Follows every thread of a trace, and gives the verdict: what is broken, where, and which designs fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from vmxsim.designs import find_design
from vmxsim.errors import InputError, counted, printable
from vmxsim.ftrace.evidence import DESIGNS, NEVER_TRAP, Evidence, Finding
from vmxsim.ftrace.reader import Event, Reader
from vmxsim.ftrace.vcpu import Vcpu
from vmxsim.ftrace.vcpu_thread import Thread

#: At most this many accesses are kept for tables.
_KEPT = 100_000


@define
class Follower:
    """One pass over a trace: events in, findings and roles out."""

    evidence: Evidence = field(factory=Evidence)
    findings: list[Finding] = field(factory=list)
    #: By line: what each access was for (a key of ``vmxsim.ftrace.vcpu.ROLES``).
    roles: dict[int, str] = field(factory=dict)
    threads: dict[int, Thread] = field(factory=dict)
    accesses: int = 0
    #: The first accesses themselves.
    seen: list[Event] = field(factory=list)
    entries: int = 0
    last: Event | None = None

    def follow(self, events: Iterable[Event]) -> None:
        """Read all events."""
        for event in events:
            self.feed(event)
        if self.last is not None:
            for thread in self.threads.values():
                thread.finish(self.last)
        self.evidence.conclude()

    def feed(self, event: Event) -> None:
        """Read one event. What an access was for becomes clear only later."""
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
        """The threads seen in KVM, in order of appearance."""
        return [thread for thread in self.threads.values() if thread.in_kvm]

    def believed(self) -> list[Finding]:
        """The findings that are proved, in the trace's order."""
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
    commit or a class) restricts ``fits`` and ``ruled_out`` to that design; ``words`` then mention it.
    Raises InputError for an unknown design.
    """
    asked = _asked(design)
    first = next(iter(follower.believed()), None)
    fits = follower.evidence.fits
    verdict, words = ("violated", first.words()) if first else _unbroken(reader, follower)
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
        return f" It cannot be {design}: line {fits.ruled_out[design]}: {fits.reasons[design]}."
    return f" Nothing in it rules out {design}." if follower.accesses else ""


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
            "The trace has no access to MSR c0000102: record msr:read_msr and msr:write_msr "
            "(vmxsim replay --how-to-record)."
        )
    if not follower.entries:
        words = "The trace has no kvm_entry: record the kvm events (vmxsim replay --how-to-record)."
        return "inconclusive", words
    evidence = follower.evidence
    if evidence.equal:
        return "inconclusive", (
            f"At line {evidence.equal} the guest may have run with what the host left in the register. The "
            "two numbers are equal, or not both known, and equal numbers prove nothing."
        )
    open_ = [f for f in follower.findings if f.kind == "host value" and not f.refuted and f.value is not None]
    if open_:
        return "inconclusive", (
            f"At line {open_[0].event.line} the guest may have run with what the host left in the "
            "register. Nothing later confirms it, and a missing event would explain it too."
        )
    if {*follower.roles.values()} <= {"unknown", "host", "switch"}:
        return (
            "inconclusive",
            "The events around them do not show what the accesses to the register were for.",
        )
    return "ok", (
        f"No invariant is broken in {follower.accesses} accesses to KERNEL_GS_BASE and {follower.entries} VM "
        f"entries by {counted(len(follower.vcpu_threads()), 'vCPU thread')}."
    )


def notes(reader: Reader, follower: Follower) -> list[str]:
    """What to know about the trace: lines not read, events missing, what could not be concluded."""
    found = reader.notes()
    for vcpu in (thread.vcpu for thread in follower.vcpu_threads()):
        if vcpu.anomalies:
            found.append(
                f"vCPU thread {vcpu.index} (pid {vcpu.pid}): {vcpu.anomalies} place(s), the first at line "
                f"{vcpu.first_anomaly}, need a missing event; the values were forgotten there"
            )
    unknown = sum(role == "unknown" for role in follower.roles.values())
    if unknown:
        found.append(f"{unknown} access(es) whose purpose the events around them do not show")
    remaining = follower.evidence.fits.remaining
    if follower.accesses and not follower.evidence.switches:
        found.append("there is no sched_switch: who has the register between two KVM_RUNs is not known")
    if follower.accesses and not remaining:
        found.append("no design fits the whole trace: events are missing, or this kernel has another design")
    if len(remaining) > 1 and set(remaining) <= set(NEVER_TRAP):
        found.append(
            "never-trap and the designs after it access the register alike:"
            " this trace does not tell them apart"
        )
    return found
