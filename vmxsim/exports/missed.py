"""The function that fails to load: between the loss and the breach it passes over a write of the register."""

from __future__ import annotations

from attrs import frozen

from vmxsim.errors import printable
from vmxsim.exports.subject import Subject
from vmxsim.runtrace import RunTrace
from vmxsim.views.passed import passed_over

#: Lines around one that matters.
_AROUND = 2


@frozen
class Missed:
    """At step ``number`` ``function`` runs its line ``ran`` and so passes over the lines ``passed``."""

    number: int
    function: str
    listing: tuple[str, ...]
    ran: int
    passed: tuple[int, ...]


def missed(about: Subject) -> Missed | None:
    """The last step between the loss and the breach that passes over a WRMSR of KERNEL_GS_BASE, if any."""
    if not isinstance(about.trace, RunTrace) or not about.lost or not about.broken:
        return None
    if about.invariant == "host-value" or not _saved(about, about.trace):
        return None
    for step in reversed(about.trace.steps[about.lost : about.broken]):
        passed = [line for line, source in passed_over(about.trace, step) if "wrmsr(" in source]
        if passed:
            lines = tuple(printable(line, 200) for line in about.trace.listing(step.function))
            return Missed(step.index + 1, printable(step.function), lines, step.line, tuple(passed))
    return None


def _saved(about: Subject, trace: RunTrace) -> bool:
    """Whether the guest's value is still in its field when the invariant breaks: it only was not loaded."""
    violation = about.violation
    assert violation is not None
    vcpu = trace.machine(about.broken).vcpus[trace.scenario.actions[violation.action].vcpu]
    return bool(vcpu.g == vcpu.true_guest_value)


def excerpt(listing: tuple[str, ...], marked: tuple[int, ...], around: int = _AROUND) -> list[int]:
    """Numbers (from 1) of the lines to show: the first one and those around the marked ones; 0 stands
    where some are left out."""
    wanted = {1} | {n for mark in marked for n in range(mark - around, mark + around + 1)}
    shown: list[int] = []
    last = 0
    for number in sorted(n for n in wanted if 1 <= n <= len(listing)):
        if number == last + 2:
            shown.append(number - 1)
        elif number > last + 2:
            shown.append(0)
        shown.append(number)
        last = number
    return [*shown, 0] if last < len(listing) else shown
