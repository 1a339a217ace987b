"""What a mail and a review say, in sentences: the claim, what was found and why, how to see it again."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

import vmxsim
from vmxsim.checker.explanation import Explanation
from vmxsim.checker.result import HOLDS, UNKNOWN, VIOLATED, CheckResult
from vmxsim.errors import printable
from vmxsim.exports.again import commands
from vmxsim.exports.change import change
from vmxsim.exports.failure import failing_line
from vmxsim.exports.legend import DEMANDS
from vmxsim.exports.missed import Missed, missed
from vmxsim.exports.naming import design_words, introduction, subject_name
from vmxsim.exports.rows import Rows, rows_of
from vmxsim.exports.subject import Subject
from vmxsim.views.naming import sentence


@frozen
class Report:
    """The parts of a text about ``about``, each a paragraph or ''.

    ``effect`` is a headline for those who do not know the design's name; ``about_code`` says which code it
    is about. ``code`` is (function, its lines, the line that matters) or None, ``code_does`` what that line
    does. ``change`` is a reader's own design as a diff; ``missed`` the function that fails to load.
    ``commands`` are (command, what it does) pairs.
    """

    about: Subject
    headline: str
    effect: str
    about_code: str
    claim: str
    expected: str
    found: str
    lost: str
    why: str
    mechanism: str
    rows: Rows
    code: tuple[str, tuple[str, ...], int] | None
    code_does: str
    change: tuple[str, ...]
    missed: Missed | None
    commands: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    footer: str


def report(about: Subject, steps: str | Sequence[int] | None = None) -> Report:
    """All that is to be said. Raises InputError for steps that the trace does not have."""
    demand = DEMANDS.get(about.invariant, "")
    remarks = [printable(note, 400) for note in (about.trace.notes if about.trace is not None else ())]
    return Report(
        about=about,
        headline=_headline(about),
        effect=_effect(about),
        about_code=introduction(about),
        claim=_claim(about),
        expected=sentence(demand) if demand else "",
        found=_found(about),
        lost=_lost(about),
        why=_reason(about),
        mechanism=_mechanism(about),
        rows=rows_of(about, steps),
        code=_code(about),
        code_does="breaks the contract" if about.failure else "loses the value",
        change=change(about.design) if about.design else (),
        missed=missed(about),
        commands=tuple(commands(about)),
        remarks=tuple(dict.fromkeys(remarks)),
        footer=_footer(about),
    )


def _mechanism(about: Subject) -> str:
    if about.example:
        return about.example.mechanism
    return about.explanation.mechanism if about.explanation else ""


def _headline(about: Subject) -> str:
    name = about.design._name() if about.design else printable(about.title, 60)
    if not about.invariant:
        return f"{name}: no invariant is broken"
    reason = _mechanism(about)
    return f"{name}: {reason}" if reason else f"{name}: {about.invariant} is broken"


def _effect(about: Subject) -> str:
    name = subject_name(about)
    if not about.invariant:
        return f"{name}: no invariant is broken"
    reason = _mechanism(about)
    return f"{name}: {about.invariant} is broken" + (f": {reason}" if reason else "")


def _claim(about: Subject) -> str:
    if about.scenario is None or about.design is None:
        told = getattr(about.trace, "subtitle", "")
        breaks = f"In it {about.invariant} is broken" if about.invariant else "No invariant is broken in it"
        return f"{printable(about.title, 60)} is a {printable(told, 300)}. {breaks}."
    design = design_words(about.design)
    actions = _count(about)
    if about.result:
        return _explored(about.result, about, design)
    if about.example:
        return (
            f"In {design} {about.invariant} can be broken. The shortest schedule that does it has {actions}:"
        )
    verdict = f"breaks {about.invariant}" if about.invariant else "breaks no invariant"
    return f"On {design} this schedule of {actions} {verdict}:"


def _explored(result: CheckResult, about: Subject, design: str) -> str:
    """What the check covered and how it ended, for the host width that is told."""
    host = result.telling
    broken = [name for name, how in host.invariants.items() if how == VIOLATED]
    holds = [name for name, how in host.invariants.items() if how == HOLDS]
    open_ones = [name for name, how in host.invariants.items() if how == UNKNOWN]
    verdict = f"{_all(broken)} can be broken"
    after = ""
    if "contract" in broken and (holds or open_ones):
        # where the design fails its run ends: what would come behind is never seen
        after = (
            f" Where it breaks the contract the run ends, so nothing can be concluded about"
            f" {_all([*holds, *open_ones])}."
        )
    else:
        verdict += f", {_all(holds)} hold{'s' * (len(holds) == 1)}" if holds else ""
        why = f" (the search was cut short: {host.cut})" if host.cut else ""
        after = f" Nothing can be concluded about {_all(open_ones)}{why}." if open_ones else ""
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    vcpus = f"{result.vcpus} vCPU{'s' * (result.vcpus > 1)}"
    explored = "explored schedules" if host.cut else "explored the schedules"
    return (
        f"The model checker of vmxsim {explored} of {design} with {vcpus} on {result.cpus}"
        f" CPU{'s' * (result.cpus > 1)} of a {host.host} host{granted}: {verdict}.{after} The shortest"
        f" schedule that breaks {about.invariant} has {_count(about)}:"
    )


def _count(about: Subject) -> str:
    count = len(about.scenario.steps) if about.scenario else 0
    return f"{count} action{'s' * (count > 1)}"


def _all(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _found(about: Subject) -> str:
    if about.failure:
        return sentence(about.failure)
    return sentence(printable(about.violation.words, 800)) if about.violation else ""


def _lost(about: Subject) -> str:
    """Where the right value was lost."""
    if about.trace is None or not about.lost:
        return ""
    step = about.trace.steps[about.lost - 1]
    where = f"{step.function}:{step.line}, {step.source}" if step.line else step.function
    return printable(f"step {about.lost}, {where}, in '{about.trace.actions[step.action]}'", 400)


def _reason(about: Subject) -> str:
    """Why, without what was found, which is told apart."""
    why: Explanation | None = about.explanation
    if why is None or not isinstance(why.step, int) or why.step < 0 or about.trace is None:
        return ""
    step = about.trace.steps[why.step]
    reason = why.words.partition(f"in '{about.trace.actions[step.action]}': ")[2]
    return sentence(printable(reason, 800)) if reason else ""


def _code(about: Subject) -> tuple[str, tuple[str, ...], int] | None:
    """The function that loses the value, or that does what the kernel must not."""
    if about.failure and about.scenario and about.design:
        return failing_line(about.scenario, about.design)
    if about.trace is None or not about.lost:
        return None
    step = about.trace.steps[about.lost - 1]
    lines = tuple(printable(line, 200) for line in about.trace.listing(step.function))
    return (printable(step.function), lines, step.line) if lines and step.line else None


def _footer(about: Subject) -> str:
    if about.scenario is None:
        return (
            f"Made with vmxsim {vmxsim.__version__}. What is said follows from the recorded events alone;"
            " times are the recording's, in seconds."
        )
    return (
        f"Made with vmxsim {vmxsim.__version__}, a model: kernel functions are retold in Python, one"
        " statement a step. A line number counts from the function's 'def' there, not in the kernel's source."
    )
