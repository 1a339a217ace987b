"""What is exported: a trace and all that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.explanation import Explanation, explain
from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.checker.verdict import check
from vmxsim.designs import DESIGNS, find_design
from vmxsim.designs.own import design_in
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import Kvm
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario
from vmxsim.trace import Trace, Violation


@frozen
class Subject:
    """A run, a recording or a counterexample.

    ``trace`` is None where the design fails on the schedule before there is one; ``failure``
    says how. ``invariant`` is the broken one that is told, '' where nothing is broken.
    ``explanation`` says why, where that is known (of runs). ``design`` and ``scenario`` are
    None for a recording. ``example`` is the checker's counterexample and ``result`` the whole
    check, where it is one.
    """

    trace: Trace | None
    invariant: str
    explanation: Explanation | None = None
    design: type[Kvm] | None = None
    scenario: Scenario | None = None
    example: Counterexample | None = None
    result: CheckResult | None = None
    failure: str = ""

    @property
    def shown(self) -> Trace:
        """The trace. Raises InputError where there is none."""
        if self.trace is None:
            raise InputError(
                f"the design fails on this schedule, so there are no steps to show: {self.failure}."
                " Markdown and mail tell the schedule"
            )
        return self.trace

    @property
    def violation(self) -> Violation | None:
        """The violation that is told."""
        found = self.trace.violations if self.trace is not None else ()
        return next((v for v in found if v.invariant == self.invariant), None)

    @property
    def broken(self) -> int:
        """Number (from 1) of the step that breaks the invariant; 0 where none does."""
        return self.violation.step + 1 if self.violation else 0

    @property
    def lost(self) -> int:
        """Number (from 1) of the step that loses the value; 0 where that is not known."""
        return self.explanation.step + 1 if self.explanation else 0

    @property
    def title(self) -> str:
        """What this is, in a line."""
        if self.trace is not None:
            return self.trace.title
        return self.scenario.title if self.scenario else ""

    @property
    def recorded(self) -> str:
        """What ``vmxsim replay`` calls the recording: an example's name, or the file's without its
        folder, which is nobody else's; '' for a run."""
        path = getattr(self.trace, "path", None)
        if path is None:
            return ""
        examples = Path(str(files("vmxsim") / "data" / "traces"))
        found = Path(path)
        return printable(found.stem if found.parent == examples else found.name, 200)


def subject(what: Any) -> Subject:
    """What can be exported: a Trace, a Counterexample, or the counterexample of a CheckResult. A design (its
    class, its id or ``FILE.py:NAME``) is checked.

    Raises InputError for anything else, and for a check that found none.
    """
    if isinstance(what, str) or (isinstance(what, type) and issubclass(what, Kvm)):
        what = check(_design(what))
    if isinstance(what, CheckResult):
        if what.counterexample is None:
            raise InputError(nothing_found(what))
        return _of_example(what.counterexample, what)
    if isinstance(what, Counterexample):
        return _of_example(what, None)
    if hasattr(what, "steps") and not what.steps:
        raise InputError("it has no steps: nothing in it tells of the register", printable(_named(what), 200))
    if isinstance(what, RunTrace):
        invariant = first_broken(what.violations)
        why = explain(what, invariant) if invariant and invariant != "expectation" else None
        return Subject(what, invariant, why, what.design, _as_run(what.scenario, what.design))
    if all(hasattr(what, name) for name in ("steps", "scene", "actions", "violations", "listing")):
        return Subject(what, first_broken(what.violations))
    raise InputError(
        "what vmxsim.run, vmxsim.check or a recording gives was expected (a Trace, a Counterexample or a"
        f" CheckResult), not {type(what).__name__}",
        "trace",
    )


def _design(what: str | type[Kvm]) -> type[Kvm]:
    if isinstance(what, str) and ".py" in what:
        file, colon, name = what.rpartition(":")
        return design_in(Path(file), name) if colon and file.endswith(".py") else design_in(Path(what), "")
    return find_design(what)


def _named(trace: Any) -> str:
    return str(getattr(trace, "path", getattr(trace, "title", "trace")))


def _of_example(example: Counterexample, result: CheckResult | None) -> Subject:
    fails = bool(example.failure)
    return Subject(
        trace=None if fails else example.trace,
        invariant=example.invariant,
        explanation=None if fails else example.explanation,
        design=example.design,
        scenario=_as_run(example.scenario, example.design),
        example=example,
        result=result,
        failure=example.failure.rstrip("."),
    )


def _as_run(scenario: Scenario, design: type[Kvm]) -> Scenario:
    """The scenario with the design that ran, whatever it said; a reader's own cannot be named in it."""
    known = DESIGNS.get(design.id) is design
    return evolve(scenario, design=design.id if known else None)


def first_broken(violations: Sequence[Violation]) -> str:
    """The invariant that breaks first; an unmet expectation only where there is nothing else."""
    real = [v for v in violations if v.invariant != "expectation"] or list(violations)
    return min(real, key=lambda v: v.step).invariant if real else ""


def nothing_found(result: CheckResult) -> str:
    """Why a check without a counterexample gives nothing to export, and what to do instead."""
    name = result.name
    if result.verdict == "incomplete":
        return (
            f"there is nothing to export: the search of {name} found no counterexample before it was cut"
            f" short ({result.telling.cut})"
        )
    granted = f" assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    widths = " and ".join(host.host for host in result.hosts)
    return (
        f"there is nothing to export: {name} is safe on a {widths} host{granted}, so it has no"
        f" counterexample. Export one of its runs: write a scenario file and name it with --design {name},"
        " or in Python vmxsim.export(vmxsim.run([...], ...))"
    )
