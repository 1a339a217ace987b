"""What is exported: a trace and everything known about it, from the design's name to its diff."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import unified_diff
from importlib.resources import files
from pathlib import Path
from pprint import pformat
from shlex import quote
from textwrap import dedent
from types import FunctionType
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.check import check
from vmxsim.checker.explanation import Explanation, explain
from vmxsim.checker.result import CheckResult, Counterexample, otherwise_line
from vmxsim.csource.in_short import files_read, tree_of
from vmxsim.designs import DESIGNS, find_design
from vmxsim.designs.own import design_of_file
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import Kvm, name_of, release_of
from vmxsim.kernel.machine import Task
from vmxsim.kernel.points import uses
from vmxsim.kernel.program import Function, SourceLine
from vmxsim.kernel.simulator import Simulator
from vmxsim.simulation.run import RunTrace, machine_of
from vmxsim.simulation.scenario import Scenario
from vmxsim.simulation.trace import Trace, Violation, function_of
from vmxsim.views.telling import passed_over
from vmxsim.views.words import several


class _Watched(Simulator):
    """Remembers where the current step began, because a step that fails leaves no record."""

    began: Any = None

    def step(self, thread: Task) -> None:
        self.began = thread.stack
        super().step(thread)


@frozen
class Code:
    """The line that matters and all lines of its function, fit to print. ``left_out`` are those that a design
    made from C does without."""

    at: SourceLine
    lines: tuple[str, ...]
    left_out: frozenset[int] = frozenset()

    @property
    def kept(self) -> list[int]:
        """Numbers (from 1) of the lines to show of the whole function; 0 is a gap. Of C that is what was
        followed."""
        return excerpt(
            self.lines, tuple(n for n in range(1, len(self.lines) + 1) if n not in self.left_out), 0
        )


def code_of(function: Function, line: int) -> Code:
    """Line ``line`` (from 1) of a function."""
    lines = tuple(printable(text.expandtabs(8), 200) for text in function.source)
    return Code(function.at(line), lines, frozenset(function.dropped))


def failing_line(scenario: Scenario, design: type[Kvm]) -> Code | None:
    """The line that fails; None if the run does not fail in kernel code."""
    machine = machine_of(scenario, design)
    simulator = _Watched(design, machine, scenario.interception)
    try:
        for action in scenario.actions:
            simulator.perform(action)
    except InputError:
        if simulator.began is not None:
            function, index = simulator.began[:2]
            return code_of(function, function.instructions[index].line)
    return None


@frozen
class Subject:
    """A run, a recording or a counterexample.

    ``trace`` is None if the design fails on the schedule; ``failure`` says how. ``invariant`` is the
    broken one to report, '' if none is. ``explanation`` says why a run broke it. A recording has neither
    ``design`` nor ``scenario``. ``example`` is the checker's counterexample, ``result`` the whole check.
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
        """The trace. Raises InputError if there is none."""
        if self.trace is None:
            raise InputError(
                f"the design fails on this schedule, so there are no steps to show: {self.failure}."
                " Markdown and mail show the schedule"
            )
        return self.trace

    @property
    def violation(self) -> Violation | None:
        """The violation to report."""
        found = self.trace.violations if self.trace is not None else ()
        return next((v for v in found if v.invariant == self.invariant), None)

    @property
    def broken(self) -> int:
        """Number (from 1) of the step that breaks the invariant, or 0."""
        return self.violation.step + 1 if self.violation else 0

    @property
    def lost(self) -> int:
        """Number (from 1) of the step to blame; 0 if unknown."""
        return self.explanation.step + 1 if self.explanation else 0

    @property
    def title(self) -> str:
        """A one-line description."""
        if self.trace is not None:
            return self.trace.title
        return self.scenario.title if self.scenario else ""

    @property
    def rests_on(self) -> list[str]:
        """What is to be said of the C that the design was made from, if it was."""
        told = list(self.design._rests_on) if self.design else []
        if told and self.result:
            told.append(otherwise_line(self.result))
        return [printable(text, 800) for text in told if text]

    @property
    def files(self) -> list[str]:
        """The files that it was read from: a recording's, a design's, a scenario's."""
        found = [getattr(self.trace, "path", None), self.scenario.file if self.scenario else None]
        if self.design is not None and files_of(self.design):
            found += files_read(self.design)
        elif self.design is not None and not shipped(self.design):
            found.append(getattr(sys.modules.get(self.design.__module__), "__file__", None))
        return [str(file) for file in found if file]

    @property
    def recorded(self) -> str:
        """The recording as an argument of ``vmxsim replay``: an example's name, or the file's without its
        private folder; '' for a run."""
        path = getattr(self.trace, "path", None)
        if path is None:
            return ""
        examples = Path(str(files("vmxsim") / "data" / "traces"))
        found = Path(path)
        return printable(found.stem if found.parent == examples else found.name, 200)


def subject(what: Any) -> Subject:
    """The subject of a Trace, a Counterexample, a CheckResult or a design (its class, its id or
    ``FILE.py:NAME``), which is checked.

    Raises InputError for anything else, and for a check without a counterexample.
    """
    if isinstance(what, str) or (isinstance(what, type) and issubclass(what, Kvm)):
        what = check(design_of_file(what) if isinstance(what, str) and ".py" in what else find_design(what))
    if isinstance(what, CheckResult):
        if what.counterexample is None:
            raise InputError(nothing_found(what))
        return _of_example(what.counterexample, what)
    if isinstance(what, Counterexample):
        return _of_example(what, None)
    if hasattr(what, "steps") and not what.steps:
        raise InputError("it has no steps, so it does not show the register", printable(_named(what), 200))
    if isinstance(what, RunTrace):
        invariant = first_broken(what.violations)
        why = explain(what, invariant) if invariant and invariant != "expectation" else None
        return Subject(what, invariant, why, what.design, _as_run(what.scenario, what.design))
    if all(hasattr(what, name) for name in ("steps", "scene", "actions", "violations", "listing")):
        return Subject(what, first_broken(what.violations))
    raise InputError(
        "expected what vmxsim.run, vmxsim.check or a recording gives (a Trace, a Counterexample or a"
        f" CheckResult), not {type(what).__name__}",
        "trace",
    )


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
    """The scenario with the design that ran; it cannot name a user's own."""
    return evolve(scenario, design=design.id if shipped(design) else None)


def first_broken(violations: Sequence[Violation]) -> str:
    """The invariant that breaks first; an unmet expectation only if nothing else breaks."""
    real = [v for v in violations if v.invariant != "expectation"] or list(violations)
    return min(real, key=lambda v: v.step).invariant if real else ""


def nothing_found(result: CheckResult) -> str:
    """Why there is nothing to export without a counterexample, and what to do instead."""
    name = result.name
    if result.verdict == "incomplete":
        return (
            f"there is nothing to export: the search of {name} found no counterexample before it was cut"
            f" short ({result.telling.cut})"
        )
    granted = f" assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    widths = " and ".join(host.host for host in result.hosts)
    named = "--tree" if files_of(result.design) else f"--design {name}"
    return (
        f"there is nothing to export: {name} is safe on a {widths} host{granted}, so it has no"
        f" counterexample. Export one of its runs: write a scenario file and name it with {named},"
        " or in Python vmxsim.export(vmxsim.run([...], ...))"
    )


#: Lines of context in an excerpt.
_AROUND = 2


@frozen
class Missed:
    """At step ``number`` a line runs and thereby skips the lines ``passed`` of its function."""

    number: int
    code: Code
    passed: tuple[int, ...]


def missed(about: Subject) -> Missed | None:
    """The last step between the loss and the breach that skips a WRMSR of KERNEL_GS_BASE, if any."""
    if not isinstance(about.trace, RunTrace) or not about.lost or not about.broken:
        return None
    if about.invariant == "host-value" or not _saved(about, about.trace):
        return None
    for step in reversed(about.trace.steps[about.lost : about.broken]):
        function = function_of(about.trace.listing(step.function))
        passed = {line.line for line, _ in passed_over(about.trace, step)}
        if function is None or not passed:
            continue
        writes = {i.line for i in function.instructions if i.line in passed and uses(i.expr, "wrmsr")}
        if writes:
            return Missed(step.index + 1, code_of(function, step.line), tuple(sorted(writes)))
    return None


def _saved(about: Subject, trace: RunTrace) -> bool:
    """Whether the guest's value is still saved when the invariant breaks, just not loaded."""
    violation = about.violation
    assert violation is not None
    vcpu = trace.machine(about.broken).vcpus[trace.scenario.actions[violation.action].vcpu]
    return bool(vcpu.g == vcpu.true_guest_value)


def excerpt(listing: tuple[str, ...], marked: tuple[int, ...], around: int = _AROUND) -> list[int]:
    """Numbers (from 1) of the lines to show: the first and those around the marked ones; 0 is a gap."""
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


#: What a mail says about the model.
MODEL = "vmxsim is a model checker."


def files_of(design: type[Kvm] | None) -> list[str]:
    """The files of C that a design's functions were read from; empty for one written in Python."""
    functions = design.functions().values() if design else ()
    return list(dict.fromkeys(function.file for function in functions if function.file))


def lines_words(design: type[Kvm] | None) -> str:
    """What the lines of a text about a design count from."""
    if files := files_of(design):
        return f"Lines are those of {several(files)} as they were read."
    return "Lines count from the 'def' in its model, not in the kernel."


def shipped(design: type[Kvm]) -> bool:
    """Whether the design ships with vmxsim."""
    return DESIGNS.get(design.id) is design


def base_of(design: type[Kvm]) -> type[Kvm]:
    """The shipped design that a user's own builds on, or Kvm."""
    return next((base for base in design.__mro__[1:] if base in DESIGNS.values()), Kvm)


def base_words(design: type[Kvm]) -> str:
    """``on top of 678e315e78a7`` for a user's own design, else ''."""
    if shipped(design):
        return ""
    base = base_of(design)
    return f"on top of {base.commit or name_of(base)}" if base is not Kvm else ""


def design_words(design: type[Kvm]) -> str:
    """``dedicated-accessors (commit 678e315e78a7, Linux 4.19-rc1)``; ``PatchV2 (on top of ...)``."""
    base = design if shipped(design) or base_of(design) is Kvm else base_of(design)
    known = [f"on top of {base.id}"] if base is not design else []
    if base.commit:
        known.append(f"commit {base.commit}")
    if base.release:
        known.append(f"Linux {release_of(base)}")
    return name_of(design) + (f" ({', '.join(known)})" if known else "")


def design_or_title(about: Subject) -> str:
    """The design's name, or the title of a recording."""
    return name_of(about.design) if about.design else printable(about.title, 60)


def subject_name(about: Subject) -> str:
    """The same for the subject of a mail, with the design's commit or base."""
    if about.design is None:
        return design_or_title(about)
    name, base = name_of(about.design), base_words(about.design)
    if base:
        return f"{name} {base}"
    return f"{name} ({about.design.commit})" if about.design.commit else name


def introduction(about: Subject) -> str:
    """Which code this is about, with the commit and its title; '' for a recording."""
    design = about.design
    if design is None:
        return ""
    if shipped(design):
        return f"This is about {_origin(design)}."
    if files := files_of(design):
        return f"This is about the C of {several(files)} in {tree_of(design)}, as it was read."
    base = base_of(design)
    if base is Kvm:
        return f"This is about {name_of(design)}, a new design, shown below."
    return (
        f"This is about {name_of(design)}, a change on top of {_origin(base)}. The change is shown below;"
        f" its base is called {base.id}."
    )


def _origin(design: type[Kvm]) -> str:
    if design.commit_title:
        title = f'"{design.commit_title}"'
        said = f"commit {design.commit}, {title}" if design.commit else title
    else:  # the title is vmxsim's, not the commit's
        said = f"commit {design.commit} (in short: {design.title})" if design.commit else design.title
    return f"{said}, Linux {release_of(design)}" if design.release else said


#: The file in which the reader saves the schedule.
FILE = "schedule.yaml"


def commands(about: Subject) -> list[tuple[str, str]]:
    """(command, what it does) pairs to reproduce the result."""
    if about.recorded:
        return [(f"vmxsim replay {about.recorded}", "the verdict, and which designs the recording fits")]
    if about.scenario is None or about.design is None:
        return []
    own = not shipped(about.design)
    name = _own(about.design) if own else about.design.id
    tree = f"--tree {quote(tree_of(about.design))}" if files_of(about.design) else ""
    found = [(f"vmxsim run {FILE} {tree or f'--design {name}'} --words", "in words")]
    if about.example:
        asked = f"check --file {name.partition(':')[0]}" if own else f"check {name}"
        asked = f"check {tree}" if tree else asked
        found.append((f"vmxsim {asked}{_options(about)}", "finds it again"))
    return found


def _options(about: Subject) -> str:
    """The check's options that differ from the defaults."""
    scenario = about.scenario
    assert scenario is not None
    granted = about.result.assumptions if about.result else ()
    assume = f" --assume {','.join(granted)}" if granted else ""
    sizes = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("cpus", scenario.cpus, 2),
            ("vcpus", scenario.vcpus, 1),
            ("interception", scenario.interception, "rule"),
        )
        if value != usual
    )
    if scenario.gs_base_from:
        sizes += f" --gs-base-from {scenario.gs_base_from}"
    if scenario.fsgsbase is not None:
        sizes += " --fsgsbase" if scenario.fsgsbase else " --no-fsgsbase"
    extra = " --non-canonical" if about.invariant == "no-host-fault" else ""
    return f" --host {scenario.host}{assume}{sizes}{extra}"


def _own(design: type[Kvm]) -> str:
    """How the command line names a user's own design, without its folder."""
    file = getattr(sys.modules.get(design.__module__), "__file__", None)
    return f"{os.path.basename(file) if file else 'FILE.py'}:{design.__name__}"


#: What a design may change besides functions.
_FIELDS = ("interception", "bitmap_passes_at_creation", "shared_msrs", "kvm_x86_ops")


def change(design: type[Kvm]) -> tuple[str, ...]:
    """A unified diff against the shipped design that this one builds on; empty for a shipped design, and
    for C."""
    if shipped(design) or files_of(design):
        return ()
    base = base_of(design)
    here, there = _sources(design), _sources(base)
    lines: list[str] = []
    for name, source in _overridden(design, base):
        lines += _diff(there.get(name, []), here.get(name, source), base, design, name)
    for name in _FIELDS:
        old, new = getattr(base, name), getattr(design, name)
        if old != new:
            lines += _diff(_field(name, old), _field(name, new), base, design, name)
    return tuple(lines)


def _overridden(design: type[Kvm], base: type[Kvm]) -> Iterator[tuple[str, list[str]]]:
    """The functions defined between the design and its base, each once."""
    between = design.__mro__[: design.__mro__.index(base)]
    names = dict.fromkeys(name for cls in reversed(between) for name in _sources_of(cls, design))
    found = _sources(design)
    for name in names:
        yield name, found[name]


def _sources(design: type[Kvm]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for cls in reversed(design.__mro__):
        found |= _sources_of(cls, design)
    return found


def _sources_of(cls: type, design: type[Kvm]) -> dict[str, list[str]]:
    """The kernel functions of one of a design's classes, and the helper of the model that it overrides."""
    functions = design.functions_of(cls).values()
    found = {f.name: list(f.source) for f in functions}
    marked = {f.name: f.requires for f in functions if f.requires}
    for name, conditions in marked.items():
        quoted = ", ".join(f'"{condition}"' for condition in conditions)
        found[name] = [f"@requires({quoted})", *found[name]]
    helper = vars(cls).get("_in_register")
    if isinstance(helper, staticmethod) and isinstance(helper.__func__, FunctionType):
        with suppress(OSError, TypeError):  # a class without a file
            found["_in_register"] = dedent(inspect.getsource(helper.__func__)).splitlines()
    return found


def _diff(old: list[str], new: list[str], base: type[Kvm], design: type[Kvm], name: str) -> list[str]:
    was = f"{name_of(base)}: {name}" if old else "(new)"
    made = unified_diff(old, new, was, f"{name_of(design)}: {name}", lineterm="")
    return [line.rstrip() for line in made]


def _field(name: str, value: object) -> list[str]:
    return f"{name} = {pformat(value, width=60)}".splitlines()
