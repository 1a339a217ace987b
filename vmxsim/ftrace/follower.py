"""Follows every thread of a trace at once: events in, findings and roles out."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from vmxsim.ftrace.events import Event
from vmxsim.ftrace.findings import Evidence, Finding
from vmxsim.ftrace.thread import Thread
from vmxsim.ftrace.vcpu import Vcpu

#: Accesses kept for tables.
_KEPT = 100_000


@define
class Follower:
    """One pass over a trace."""

    evidence: Evidence = field(factory=Evidence)
    findings: list[Finding] = field(factory=list)
    #: Line of each access: what it was for (a key of ``vmxsim.ftrace.residence.ROLES``).
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
