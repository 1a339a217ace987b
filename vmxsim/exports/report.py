"""What a mail and a review say, in sentences: the claim, what was found and why, how to see it again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from attrs import frozen

import vmxsim
from vmxsim.checker.explanation import Explanation
from vmxsim.checker.result import CheckResult
from vmxsim.designs import DESIGNS
from vmxsim.errors import printable
from vmxsim.exports.rows import Rows, rows_of
from vmxsim.exports.subject import Subject
from vmxsim.kernel.kvm import Kvm
from vmxsim.views.naming import sentence

#: What each invariant demands.
_DEMANDS = {
    "guest-value": (
        "what the guest, KVM_GET_MSRS or the emulator reads is the guest's own value,"
        " and the register holds it whenever the guest runs with access passed through"
    ),
    "host-value": "a host task in user space has its own user GS base in the register",
    "no-leak": "a guest can read no value of a host task, and a host task none of a guest",
    "no-host-fault": "the host executes no WRMSR that raises #GP",
    "contract": "the design does nothing that the kernel must not",
    "expectation": "an action returns what the schedule says behind its arrow",
}

#: The name under which the reader is asked to save the schedule.
FILE = "schedule.yaml"


@frozen
class Report:
    """The parts of a text about ``about``, each a paragraph or ''.

    ``code`` is (function, its lines, the line that loses the value) or None;
    ``commands`` are (command, what it does) pairs.
    """

    about: Subject
    headline: str
    claim: str
    expected: str
    found: str
    lost: str
    why: str
    mechanism: str
    rows: Rows
    code: tuple[str, tuple[str, ...], int] | None
    commands: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    footer: str


def report(about: Subject, steps: str | Sequence[int] | None = None) -> Report:
    """All that is to be said. Raises InputError for steps that the trace does not have."""
    demand = _DEMANDS.get(about.invariant, "")
    remarks = [printable(note, 400) for note in (about.trace.notes if about.trace is not None else ())]
    return Report(
        about=about,
        headline=_headline(about),
        claim=_claim(about),
        expected=sentence(demand) if demand else "",
        found=_found(about),
        lost=_lost(about),
        why=_reason(about),
        mechanism=_mechanism(about),
        rows=rows_of(about, steps),
        code=_code(about),
        commands=tuple(_commands(about)),
        remarks=tuple(dict.fromkeys(remarks)),
        footer=_footer(about),
    )


def design_words(design: type[Kvm]) -> str:
    """``dedicated-accessors (commit 678e315e78a7, Linux 4.19-rc1)``."""
    known = []
    if design.commit:
        known.append(f"commit {design.commit}")
    if design.release:
        known.append(f"Linux {design.release}")
    return design._name() + (f" ({', '.join(known)})" if known else "")


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
    broken = [name for name, how in host.invariants.items() if how == "violated"]
    holds = [name for name, how in host.invariants.items() if how == "holds"]
    verdict = f"{_all(broken)} can be broken"
    if holds:
        verdict += f", {_all(holds)} hold{'s' * (len(holds) == 1)}"
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    vcpus = f"{result.vcpus} vCPU{'s' * (result.vcpus > 1)}"
    return (
        f"The model checker of vmxsim explored the schedules of {design} with {vcpus} on {result.cpus}"
        f" CPU{'s' * (result.cpus > 1)} of a {host.host} host{granted}: {verdict}. The shortest schedule that"
        f" breaks {about.invariant} has {_count(about)}:"
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
    """The function that loses the value; else the one that breaks the invariant, if it has a source."""
    if about.trace is None or not about.lost:
        return None
    step = about.trace.steps[about.lost - 1]
    lines = tuple(printable(line, 200) for line in about.trace.listing(step.function))
    return (printable(step.function), lines, step.line) if lines and step.line else None


def _commands(about: Subject) -> list[tuple[str, str]]:
    if about.recorded:
        return [(f"vmxsim replay {about.recorded}", "the verdict, and which designs the recording fits")]
    if about.scenario is None or about.design is None:
        return []
    own = "" if about.design.id in DESIGNS else f" --design {_own(about.design)}"
    named = "" if about.scenario.design or own else f" --design {about.design.id}"
    commands = [(f"vmxsim run {FILE}{own or named} --words", "every step in a sentence")]
    if about.example:
        asked = f"check --file {_own(about.design).partition(':')[0]}" if own else f"check {about.design.id}"
        host = f" --host {about.scenario.host}"
        granted = about.result.assumptions if about.result else ()
        assume = f" --assume {','.join(granted)}" if granted else ""
        sizes = "".join(
            f" --{name} {value}"
            for name, value, usual in (
                ("cpus", about.scenario.cpus, 2),
                ("vcpus", about.scenario.vcpus, 1),
                ("interception", about.scenario.interception, "rule"),
            )
            if value != usual
        )
        extra = " --non-canonical" if about.invariant == "no-host-fault" else ""
        commands.append((f"vmxsim {asked}{host}{assume}{sizes}{extra}", "finds the schedule again"))
    return commands


def _own(design: type[Kvm]) -> str:
    """How the command line names a design of the reader's own; of its file only the name is told."""
    file = getattr(sys.modules.get(design.__module__), "__file__", None)
    return f"{os.path.basename(file) if file else 'FILE.py'}:{design.__name__}"


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
