"""Follows every thread of a trace, and gives the verdict: what is broken, where, and which designs fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from vmxsim.designs import find_design
from vmxsim.errors import InputError, counted, printable
from vmxsim.ftrace.events import Event, Fields
from vmxsim.ftrace.evidence import ACCESSES, DESIGNS, NEVER_TRAP, Evidence, Finding
from vmxsim.ftrace.reader import Reader
from vmxsim.ftrace.vcpu import Vcpu
from vmxsim.ftrace.vcpu_thread import Thread

#: Tracepoints without which an invariant may be broken unseen.
NEEDED = ("read_msr", "write_msr", "kvm_exit", "kvm_userspace_exit")
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
    #: By kind, the names of the probes seen.
    _probes: dict[str, set[str]] = field(factory=lambda: {"probe": set(), "return": set(), "leaf": set()})

    def follow(self, events: Iterable[Event], tell: Callable[[str], None] = lambda _: None) -> None:
        """Read all events; ``tell`` is called now and then with a word on how far that is."""
        for number, event in enumerate(events):
            if not number & 1023:
                tell(f"line {event.line:,} of the trace")
            self.feed(event)
        if self.last is not None:
            for thread in self.threads.values():
                thread.finish(self.last)

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
        if event.time < thread.time:
            self._disorder(event)
        thread.time = event.time
        if kind == "rdmsr" or kind == "wrmsr":
            self.accesses += 1
            if self.accesses <= _KEPT:
                self.seen.append(event)
            thread.access(event)
            return
        if kind == "switch":
            self._switch(event, thread)
            return
        if kind == "entry":
            self.entries += 1
        elif (names := self._probes.get(kind)) is not None and event.name not in names:
            names.add(event.name)
            self._probe(event.data[0], event.data[1], kind)
        thread.feed(event)

    def _disorder(self, event: Event) -> None:
        """A thread's lines are not in the order of their times: where one stands proves nothing."""
        self.evidence.disorder = self.evidence.disorder or event.line
        self.evidence.fits.broken.add(event.pid)

    def _probe(self, role: str, fields: Fields, kind: str) -> None:
        evidence = self.evidence
        recorded = evidence.fits.recorded
        if kind != "return":
            recorded.add(f"probe:{role}")
        if kind != "probe":
            recorded.add(f"return:{role}")
        if role == "set" and "index" in fields:
            evidence.set_probe = True
        if (role in ("enter", "run") and "cefer" in fields) or (role == "efer" and "efer" in fields):
            evidence.mode_probe = True

    def _thread(self, pid: int, comm: str, cpu: int) -> Thread:
        vcpu = Vcpu(pid, comm, -1, self.evidence, self.findings, self.roles)
        thread = self.threads[pid] = Thread(vcpu, cpu)
        return thread

    def _switch(self, event: Event, thread: Thread) -> None:
        prev, _, following, name = event.data
        if prev == event.pid:
            thread.feed(event)
        incoming = self.threads.get(following) or self._thread(following, name, event.cpu)
        incoming.switched_in(event)

    def vcpu_threads(self) -> list[Thread]:
        """The threads seen in KVM, in order of appearance."""
        return [thread for thread in self.threads.values() if thread.in_kvm]

    def vcpus(self) -> list[Vcpu]:
        """What is known of each of them."""
        return [thread.vcpu for thread in self.vcpu_threads()]

    @property
    def fits(self) -> tuple[str, ...]:
        """The designs that the trace fits; none where nothing shows that accesses were recorded."""
        return self.evidence.fits.remaining if self.shows_accesses else ()

    @property
    def shows_accesses(self) -> bool:
        """Whether the register was accessed, or both tracepoints of accesses were seen."""
        return bool(self.accesses) or self.evidence.records(*ACCESSES)

    def believed(self) -> list[Finding]:
        """The findings that are proved, in the trace's order."""
        for number, thread in enumerate(self.vcpu_threads()):
            thread.vcpu.index = number
        for finding in self.findings:
            finding.vcpu = self.threads[finding.event.pid].vcpu.index
        if self.evidence.disorder:
            return []
        proved = [finding for finding in self.findings if finding.believed(self.evidence)]
        return sorted(proved, key=lambda finding: finding.event.line)


def judge(reader: Reader, follower: Follower, design: object = None) -> dict[str, Any]:
    """The object that ``replay --json`` prints.

    ``verdict`` is about the invariants: ``violated`` only where the events prove it, ``ok`` where
    they were followed and nothing is wrong, else ``inconclusive``. ``design`` (an id, a prefix, a
    commit or a class) restricts ``fits`` and ``ruled_out`` to that design; ``words`` then mention it.
    Where nothing shows that accesses were recorded, both are empty: there is nothing that a design could fit.
    Raises InputError for an unknown design.
    """
    asked = _asked(design)
    first = None if reader.vendor else next(iter(follower.believed()), None)
    fits = follower.evidence.fits
    verdict, words = ("violated", first.words()) if first else _unbroken(reader, follower)
    judged = follower.shows_accesses and not reader.vendor
    remaining = list(follower.fits) if judged else []
    found = fits.ruled_out if judged else {}
    ruled_out = {name: found[name] for name in DESIGNS if name in found}
    if asked:
        words += _about(asked, follower) if judged else ""
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
    return f" Nothing in it rules out {design}."


def _event(finding: Finding) -> dict[str, Any]:
    event = finding.event
    return {"line": event.line, "time": event.time, "cpu": event.cpu, "pid": event.pid, "name": event.name}


def _unbroken(reader: Reader, follower: Follower) -> tuple[str, str]:
    if not reader.matched and (reader.broken or reader.cut_line):
        raise InputError(
            "no line of it is ftrace text; expected lines like 'TASK-PID [CPU] FLAGS TIME: EVENT: ...'",
            printable(reader.path),
        )
    if words := _not_recorded(reader, follower) or _not_followed(follower):
        return "inconclusive", words
    unfollowed = sum(vcpu.unfollowed for vcpu in follower.vcpus())
    if {*follower.roles.values()} <= {"unknown", "host", "switch"} or unfollowed == follower.entries:
        return (
            "inconclusive",
            "The events around them do not show what the accesses to the register were for.",
        )
    left_out = f" ({unfollowed} of them not judged: their enter is not in the trace)" if unfollowed else ""
    return "ok", (
        f"No invariant is broken in {follower.accesses} accesses to KERNEL_GS_BASE and {follower.entries} VM "
        f"entries{left_out} by {counted(len(follower.vcpus()), 'vCPU thread')}."
    )


def _not_recorded(reader: Reader, follower: Follower) -> str:
    """Why an invariant may be broken without an event that shows it; '' if it would be recorded."""
    if reader.vendor:
        return "This is a trace of KVM on AMD; vmxsim follows Intel VMX only."
    if not follower.accesses:
        return (
            "The trace has no access to MSR c0000102: record msr:read_msr and msr:write_msr "
            "(vmxsim replay --how-to-record)."
        )
    if not follower.entries:
        return "The trace has no kvm_entry: record the kvm events (vmxsim replay --how-to-record)."
    if missing := [name for name in NEEDED if name not in reader.recorded]:
        return (
            f"The trace has no {' and no '.join(missing)}: what breaks an invariant may not be recorded "
            "(vmxsim replay --how-to-record)."
        )
    if line := follower.evidence.disorder:
        return (
            f"The lines are not in the order of their times: line {line} is older than the one before it of "
            "the same thread. Sort them, or trace with one clock for all CPUs."
        )
    if reader.lost:
        return "Nothing recorded breaks an invariant, but events were lost: one that does may be among them."
    if unread := reader.unread_register:
        return (
            f"Nothing that was read breaks an invariant, but {counted(unread, 'line')} that "
            f"{'names' if unread == 1 else 'name'} the register can't be read, the first is line "
            f"{reader.first_unread}."
        )
    return ""


def _not_followed(follower: Follower) -> str:
    """What the events leave open; '' if nothing."""
    evidence = follower.evidence
    if evidence.equal:
        return (
            f"At line {evidence.equal} the guest may have run with what the host left in the register. The "
            "two numbers are equal, or not both known, and equal numbers prove nothing."
        )
    fine = "Nothing recorded breaks an invariant, but"
    if odd := [vcpu.first_anomaly for vcpu in follower.vcpus() if vcpu.anomalies]:
        return f"{fine} what line {min(odd)} shows needs an event that is missing: others may be missing too."
    for finding in follower.findings:
        if not finding.refuted:
            return (
                f"At line {finding.event.line} an invariant may be broken ({finding.words()}) Nothing later "
                "confirms it, and a missing event would explain it too."
            )
    if evidence.strange:
        return (
            f"{fine} what the access at line {evidence.strange} was for is not known: no design accesses the "
            "register so, or an event is missing."
        )
    if evidence.unrestored:
        return (
            f"{fine} the trace ends before it shows what leave does after the return to user space at line "
            f"{evidence.unrestored}."
        )
    if evidence.doubt:
        return (
            f"{fine} at line {evidence.doubt} the guest may have run in long mode with what the host left in "
            "the register, and nothing later shows whether it did."
        )
    return ""


def notes(reader: Reader, follower: Follower) -> list[str]:
    """What to know about the trace: lines not read, events missing, what could not be concluded."""
    found = reader.notes()
    for vcpu in follower.vcpus():
        if vcpu.anomalies:
            found.append(
                f"vCPU thread {vcpu.index} (pid {vcpu.pid}): {vcpu.anomalies} place(s), the first at line "
                f"{vcpu.first_anomaly}, need a missing event; the values were forgotten there"
            )
    unknown = sum(role == "unknown" for role in follower.roles.values())
    if unknown:
        found.append(f"{unknown} access(es) whose purpose the events around them do not show")
    if follower.accesses and not follower.evidence.set_probe and "kvm_userspace_exit" in reader.recorded:
        found.append(
            "no probe of vmx_set_msr shows what KVM_SET_MSRS stores: after a return to user space, any value "
            "that enter loads is taken for the guest's"
        )
    if any(event.data == 0 and follower.roles.get(event.line) == "leave-restore" for event in follower.seen):
        found.append(
            "leave restores a user GS base of 0: what a task loads through a selector leaves no event, so "
            "for such a task a wrong 0 is not seen"
        )
    remaining = follower.evidence.fits.remaining
    if follower.accesses and not follower.evidence.records("sched_switch"):
        found.append("there is no sched_switch: who has the register between two KVM_RUNs is not known")
    if follower.accesses and not remaining:
        found.append("no design fits the whole trace: events are missing, or this kernel has another design")
    if len(remaining) > 1 and set(remaining) <= set(NEVER_TRAP):
        found.append(
            "never-trap and the designs after it access the register alike:"
            " this trace does not tell them apart"
        )
    return found
