"""Why a run breaks an invariant: the step without which, or with one more after which, it would not.

A candidate comes from the places that can hold the value. It is named only if the run, changed there, comes
out right (:mod:`vmxsim.checker.rerun`).
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from vmxsim.checker.rerun import Remedy, mends
from vmxsim.checker.sides import Guest, Host
from vmxsim.checker.suspects import Blame, suspects
from vmxsim.errors import counted
from vmxsim.kernel.instructions import is_canonical
from vmxsim.kernel.machine import Machine, Value
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Violation, action_name

#: The most changed runs tried for one explanation.
MOST_TRIED = 150


@frozen
class Kind:
    """What can be wrong with a step: what it ``does``, to follow its name, what is ``done`` there, and the
    ``label`` that introduces it."""

    does: str
    done: str
    label: str = "Lost at"


_LOST = Kind("loses the value", "the right value is lost")
KINDS = {
    "stale read": Kind("reads the wrong place", "the wrong place is read", "Read at"),
    "lost write": Kind("loses the write", "the write is lost"),
    "wrong restore": Kind("makes a restore wrong", "a restore goes wrong", "Wrong at"),
    "taken for another's": _LOST,
    "missing step": evolve(_LOST, label="Missing at"),
    "lost value": _LOST,
}


@frozen
class Explanation:
    """Why a run breaks an invariant.

    ``kind`` is a key of :data:`KINDS`, '' if no step is to blame. ``remedy`` is the change that mends the
    run: the step undone, its condition turned, or what is missing there added.
    """

    #: A short name for what goes wrong.
    mechanism: str
    #: What was expected and what was found.
    found: str
    #: Index of the step to blame (from 0), -1 if there is none.
    step: int
    #: That step in words, and why it is wrong; '' if there is no such step.
    where: str = ""
    why: str = ""
    kind: str = ""
    remedy: Remedy | None = None
    #: What the guest or the host notices, and under which circumstances: the subject of a mail.
    symptom: str = ""
    when: str = ""

    @property
    def words(self) -> str:
        """The whole explanation as sentences."""
        if not self.where:
            return self.found
        return f"{self.found.rstrip('.')}. {self.blamed.label} {self.where}{self.again}: {self.why}"

    @property
    def again(self) -> str:
        """To follow ``where``, if undoing or turning that step alone does not mend the run."""
        return " and each time that this line runs again" if self.remedy and self.remedy.every else ""

    @property
    def blamed(self) -> Kind:
        """What is wrong with the step."""
        return KINDS.get(self.kind, _LOST)

    @property
    def effect(self) -> str:
        """``guest sees the host's GS base after EFER.LMA 0->1 while state is loaded``."""
        return f"{self.symptom} {self.when}".strip()


def explain(trace: RunTrace, invariant: str) -> Explanation | None:
    """Why a run first breaks ``invariant``; None if it does not."""
    violation = next((v for v in trace.violations if v.invariant == invariant), None)
    if violation is None:
        return None
    outcome: Callable[[Machine], object]
    if invariant == "no-host-fault":
        blames, symptom, outcome = _unchecked(trace, violation), _FAULT, _modes
    else:
        side = (Guest if _is_guests(trace, violation) else Host)(trace, violation)
        blames, symptom, outcome = suspects(side), side.symptom(), side.outcome
    tries = [(blame, remedy) for blame in blames for remedy in blame.remedies]
    tries += [(b, evolve(r, every=True)) for b, r in tries if r.kind in ("undo", "turn")]
    for blame, remedy in tries[:MOST_TRIED]:
        if mends(trace, violation, remedy, outcome):
            return _named(trace, violation, blame, remedy, symptom)
    found = f"{violation.words.rstrip('.')}. {_none_mends(len(tries))}"
    return Explanation("no single line to blame was found", found, -1, symptom=symptom)


def _none_mends(tries: int) -> str:
    """What is known if no step can be named: how many changes of the run were tried, and how many not."""
    if not tries:
        return "No line is suspect, so that no change of one was tried."
    tried = f"{counted(min(tries, MOST_TRIED), 'change')} of one line tried, and none mends the run"
    rest = f"; {tries - MOST_TRIED} more not tried" if tries > MOST_TRIED else ""
    return f"No single line to blame was found: {tried}{rest}."


def _named(trace: RunTrace, violation: Violation, blame: Blame, remedy: Remedy, symptom: str) -> Explanation:
    """The explanation that names a step."""
    step = trace.steps[blame.step]
    where = f"{step.function}, {step.at.name}" if step.line else step.function
    place = f"step {step.index + 1} of the run ({where}: {step.source}), at {action_name(trace, step.action)}"
    return Explanation(
        blame.mechanism,
        violation.words,
        step.index,
        place,
        blame.why,
        blame.kind,
        remedy,
        symptom,
        blame.when,
    )


_FAULT = "#GP on the host's WRMSR of MSR_KERNEL_GS_BASE"


def _unchecked(trace: RunTrace, violation: Violation) -> list[Blame]:
    """Whom to suspect when the host's WRMSR raises #GP: lines of KVM that store a non-canonical address."""
    bits = trace.machine(0).host.address_bits
    return [
        Blame(
            step.index,
            "missing step",
            "the host writes a non-canonical address",
            "the guest's address is not canonical, and KVM does not check it: when the host writes it to the"
            f" register, at step {violation.step + 1}, the processor raises #GP.",
            f"after {step.function}() took a non-canonical address unchecked",
            [Remedy("undo", step.index)],
        )
        for step, record in zip(trace.steps[: violation.step], trace.simulator.records, strict=False)
        if step.line
        and record.stack[0].owner != "Kvm"
        and any(isinstance(c.after, Value) and not is_canonical(c.after.number, bits) for c in step.changes)
    ]


def _modes(m: Machine) -> list[str]:
    """Where the threads are."""
    return [thread.mode for thread in m.threads]


def _is_guests(trace: RunTrace, violation: Violation) -> bool:
    """Whether the guest, not a host task, finds a wrong value."""
    others = {v.invariant for v in trace.steps[violation.step].violations}
    return violation.invariant == "guest-value" or "host-value" not in others
