"""Why a run breaks an invariant: the step without which, or with one more after which, it would not.

A candidate comes from the places that can hold the value. It is named only if the run, changed there, comes
out right (:mod:`vmxsim.checker.rerun`).
"""

from __future__ import annotations

from attrs import evolve, frozen

from vmxsim.checker.rerun import Remedy
from vmxsim.checker.sides import Guest, Host
from vmxsim.checker.suspects import Blame, suspects
from vmxsim.kernel.instructions import is_canonical
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Violation, action_name


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
        return f"{self.found.rstrip('.')}. {self.blamed.label} {self.where}: {self.why}"

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
    if invariant == "no-host-fault":
        return _of_fault(trace, violation)
    side = (Guest if _is_guests(trace, violation) else Host)(trace, violation)
    tries = [(blame, remedy) for blame in suspects(side) for remedy in blame.remedies]
    tries += [(b, evolve(r, every=True)) for b, r in tries if r.kind in ("undo", "turn")]
    for blame, remedy in tries:
        if side.mends(remedy):
            return _named(trace, violation, blame, remedy, side.symptom())
    found = (
        f"{violation.words.rstrip('.')}. No single line is to blame: without any one of them the run is still"
        " wrong."
    )
    return Explanation("several steps together", found, -1, symptom=side.symptom())


def _named(trace: RunTrace, violation: Violation, blame: Blame, remedy: Remedy, symptom: str) -> Explanation:
    """The explanation that names a step."""
    step = trace.steps[blame.step]
    where = f"{step.function}, line {step.line}" if step.line else step.function
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


def _of_fault(trace: RunTrace, violation: Violation) -> Explanation:
    """Why the host's WRMSR raises #GP: a line of KVM stored an address that it did not check."""
    stores = (
        step.index
        for step in trace.steps
        for change in step.changes
        if change.place.endswith(".g") and not is_canonical(change.after.number)
    )
    number = next(stores, violation.step)
    blame = Blame(
        number,
        "missing step",
        "the host writes a non-canonical address",
        "the guest's address is not canonical, and KVM does not check it: when the host writes it to the"
        f" register, at step {violation.step + 1}, the processor raises #GP.",
        f"after {trace.steps[number].function}() took a non-canonical address unchecked",
        (),
    )
    symptom = "#GP on the host's WRMSR of MSR_KERNEL_GS_BASE"
    return _named(trace, violation, blame, Remedy("undo", number), symptom)


def _is_guests(trace: RunTrace, violation: Violation) -> bool:
    """Whether the guest, not a host task, finds a wrong value."""
    others = {v.invariant for v in trace.steps[violation.step].violations}
    return violation.invariant == "guest-value" or "host-value" not in others
