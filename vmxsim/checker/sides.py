"""The side whose value is wrong, guest or host: what is right, and where it is during a run."""

from __future__ import annotations

from vmxsim.checker.rerun import Remedy, host_value
from vmxsim.kernel.invariants import describe, is_host
from vmxsim.kernel.machine import Machine, Value
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Step, Violation

#: What a missing step leaves undone: (mechanism, clause, what a function does not do, what nothing does).
MISSING = {
    "not loaded": (
        "the guest's value is not loaded",
        "nothing puts the guest's value there",
        "does not load the guest's value",
        "loads the guest's value",
    ),
    "not saved": (
        "the guest's value is not saved",
        "nothing saves the guest's value there",
        "does not save the guest's value",
        "saves the guest's value",
    ),
    "host not saved": (
        "the host's value is not saved",
        "nothing saves the host's value there",
        "does not save the host's value",
        "saves the host's value",
    ),
    "not restored": (
        "the host's value is not restored",
        "nothing restores the host's value",
        "does not restore the host's value",
        "restores the host's value",
    ),
}

#: What a test leaves undone: (kind, mechanism, consequence, when).
SKIPS = {
    "not loaded": (
        "missing step",
        "the guest's value is not loaded",
        "the guest's value is not loaded, and the register holds {held}",
        "because {} skips loading the guest's value",
    ),
    "not saved": (
        "missing step",
        "the guest's value is not saved",
        "the guest's value is not saved, and {g} holds {held}",
        "because {} skips saving the guest's value",
    ),
    "host not saved": (
        "wrong restore",
        "a stale host value is restored",
        "{h} keeps {held}, and that is restored later",
        "because {} skips saving the host's value",
    ),
    "not restored": (
        "missing step",
        "the host's value is not restored",
        "the host's value is not restored, and the register holds {held}",
        "because {} skips restoring the host's value",
    ),
    "not unloaded": (
        "missing step",
        "guest state is not unloaded when the thread is scheduled out",
        "guest state stays loaded while another task runs",
        "because {} skips unloading guest state",
    ),
    "not written": (
        "lost write",
        "a write is skipped",
        "the value written does not get to the place that is used, which holds {held}",
        "because {} skips the write",
    ),
    "not read": (
        "stale read",
        "a read of the register is skipped",
        "{held} is returned",
        "because {} skips the RDMSR",
    ),
}


class Side:
    """A side of vCPU ``n``. Places are named ``register``, ``g`` and ``h``; an index is a number of steps."""

    #: Where leave saves its value (the guest) or enter does (the host).
    saved = ""

    def __init__(self, trace: RunTrace, violation: Violation) -> None:
        self.trace, self.violation = trace, violation
        step = trace.steps[violation.step]
        #: SWAPGS moves the true value itself: what is found is judged by the machine before it.
        swaps = any(access.kind == "guest_swapgs" for access in step.accesses)
        self.end = violation.step + (not swaps)
        self.n = self._whose(step)
        self.true = self.right(trace.machine(self.end))
        #: After how many steps the value is true that is right at the end.
        self.born = self.end
        while self.born and self.is_right(self.right(trace.machine(self.born - 1))):
            self.born -= 1

    def _whose(self, step: Step) -> int:
        """The vCPU of the side: the one that ran, unless only another one finds a wrong value."""
        m = self.trace.machine(self.end)
        acting = self.trace.scenario.actions[self.violation.action].vcpu
        first = int(step.thread[6:]) if step.thread.startswith("thread") else acting
        for self.n in sorted(range(len(m.threads)), key=lambda n: n != first):
            if self.found(self.end).number != self.right(m).number:
                return self.n
        return first

    # -- to be answered by the guest and the host

    def right(self, m: Machine) -> Value:
        """The value that it should find."""
        raise NotImplementedError

    def looks_in(self, m: Machine) -> str:
        """The place where it would look."""
        raise NotImplementedError

    def symptom(self) -> str:
        """What it notices, in a few words."""
        raise NotImplementedError

    def whose(self, value: Value) -> str:
        """Whose value this is, or what is wrong with it, as a kernel engineer would say."""
        raise NotImplementedError

    def missing(self, counts: str) -> str:
        """What was not done if the value is not in the place that is used: a key of :data:`MISSING`."""
        raise NotImplementedError

    def mode_left(self, held: Value) -> tuple[str, str]:
        """The mechanism, and why, where EFER.LMA is cleared while the register holds ``held``."""
        raise NotImplementedError

    # -- places

    def is_right(self, value: Value) -> bool:
        """Whether it is the true value, and not another's with the same number."""
        return value == self.true

    def counts(self, index: int) -> str:
        """The place that is used after so many steps."""
        return self.looks_in(self.trace.machine(index))

    def held(self, index: int, name: str) -> Value:
        """What a place holds after so many steps."""
        m = self.trace.machine(index)
        if name == "register":
            return m.cpus[m.threads[self.n].cpu].kernel_gs_base
        value: Value = getattr(m.vcpus[self.n], name)
        return value

    def found(self, index: int) -> Value:
        """What it would find after so many steps."""
        return self.held(index, self.counts(index))

    def loaded(self, index: int) -> bool:
        """Whether guest state is loaded after so many steps."""
        return self.trace.machine(index).vcpus[self.n].loaded

    def mode(self, index: int) -> str:
        """Where the thread is after so many steps: ``user``, ``kernel`` or ``guest``."""
        return self.trace.machine(index).threads[self.n].mode

    def turned_wrong(self) -> int:
        """The step since which it would find a wrong value; ``end`` if it never would, one less than
        ``born`` if it would have all along."""
        index = self.end
        while index >= self.born and not self.is_right(self.found(index)):
            index -= 1
        return index

    def place(self, index: int, name: str) -> str:
        """The id of a place after so many steps: ``cpu0.kernel_gs_base``, ``vcpu0.g``."""
        cpu = self.trace.machine(index).threads[self.n].cpu
        return f"cpu{cpu}.kernel_gs_base" if name == "register" else f"vcpu{self.n}.{name}"

    def named(self, name: str) -> str:
        """``the register``, or the design's own name for another place."""
        return str(self.trace.design.labels.get(name, "the register"))

    # -- trying

    def put(self, step: int, name: str) -> Remedy:
        """The right value put in a place after a step."""
        return Remedy("put", step, self.place(step + 1, name), self.true)

    def outcome(self, m: Machine) -> tuple[str, int, bool]:
        """Where the thread is, what is right, and whether a value was returned."""
        returned = m.vcpus[self.n].returned
        return m.threads[self.n].mode, self.right(m).number, isinstance(returned, Value)


class Guest(Side):
    """The guest: its KERNEL_GS_BASE, read by itself, by KVM's emulator or by KVM_GET_MSRS."""

    saved = "g"

    def missing(self, counts: str) -> str:
        return "not loaded" if counts == "register" else "not saved"

    def right(self, m: Machine) -> Value:
        return m.vcpus[self.n].true_guest_value

    def looks_in(self, m: Machine) -> str:
        vcpu, thread = m.vcpus[self.n], m.threads[self.n]
        if thread.mode == "guest" and self.trace.passes_through(vcpu):
            return "register"
        return "register" if self.trace.design._in_register(vcpu) else "g"

    def mode_left(self, held: Value) -> tuple[str, str]:
        return (
            "LMA is cleared before the guest's value is saved",
            "EFER.LMA is cleared while guest state is loaded: from here on the saved copy is used, and the"
            f" register, which holds {describe(held)}, was not saved into it.",
        )

    def symptom(self) -> str:
        m = self.trace.machine(self.end)
        got = m.vcpus[self.n].returned
        verb = self.trace.scenario.actions[self.violation.action].verb
        who = {"get-msr": "KVM_GET_MSRS returns", "emulate rdmsr": "emulated RDMSR returns"}.get(
            verb, "guest sees"
        )
        found = got if isinstance(got, Value) else self.held(self.end, "register")
        return f"{who} {self.whose(found)}"

    def whose(self, value: Value) -> str:
        if is_host(value):
            return "the host's GS base"
        if value.owner == f"vcpu{self.n}":
            return "a stale KERNEL_GS_BASE"
        if value.owner == "descriptor":
            return "a GS base of 0"
        return "another guest's KERNEL_GS_BASE" if value.owner.startswith("vcpu") else "a value never set"


class Host(Side):
    """User space of the vCPU thread, or of the plain task that has its CPU now: its GS base."""

    saved = "h"

    def __init__(self, trace: RunTrace, violation: Violation) -> None:
        step = trace.steps[violation.step]
        #: The plain task finds a wrong value as soon as it runs.
        self.plain = trace.machine(violation.step + 1).cpus[step.cpu].current == "plain"
        super().__init__(trace, violation)

    def missing(self, counts: str) -> str:
        return "not restored" if counts == "register" else "host not saved"

    def mode_left(self, held: Value) -> tuple[str, str]:
        return (
            "LMA is changed before state is left",
            "EFER.LMA is cleared while guest state is loaded: from here on the host's value is looked for in"
            f" the register, which holds {describe(held)}.",
        )

    def right(self, m: Machine) -> Value:
        return host_value(m.plain if self.plain else m.threads[self.n])

    def is_right(self, value: Value) -> bool:
        """Several host tasks may have the same number, 0 for example; a guest's is never right."""
        theirs = value.owner.startswith("vcpu") or value.owner == "unknown"
        return value.number == self.true.number and not theirs

    def looks_in(self, m: Machine) -> str:
        """In the kernel it is h if that is still to be restored, else the register."""
        thread = m.threads[self.n]
        waits = self.plain and not m.is_current(thread)
        restored = thread.mode == "user" or waits or not self.trace.design._in_register(m.vcpus[self.n])
        return "register" if restored else "h"

    def symptom(self) -> str:
        found = self.held(self.end, "register")
        return f"host user space runs with {self.whose(found)}"

    def whose(self, value: Value) -> str:
        if value.owner.startswith("vcpu"):
            return "the guest's KERNEL_GS_BASE"
        if value.owner == "descriptor":
            return "a GS base of 0"
        return "a stale GS base" if value.owner == f"thread{self.n}" else "another task's GS base"
