"""The parts that mail, Markdown, pages and storyboards share: claim, findings, steps, source, commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from attrs import frozen

import vmxsim
from vmxsim.checker.explanation import Explanation, Kind
from vmxsim.checker.result import (
    HOLDS,
    OMITTED,
    UNKNOWN,
    VIOLATED,
    CheckResult,
    explored_bases,
    explored_with,
)
from vmxsim.checker.states import GUEST_VALUES
from vmxsim.errors import InputError, counted, printable
from vmxsim.exports.subject import (
    Code,
    Missed,
    Subject,
    change,
    code_of,
    commands,
    design_or_title,
    design_words,
    failing_line,
    files_of,
    introduction,
    missed,
    shipped,
    subject_name,
)
from vmxsim.kernel.kvm import name_of
from vmxsim.simulation.trace import Box, Cell, Scene, Trace, function_of
from vmxsim.views.style import STATUS_MEANINGS, cell_state, holder_words
from vmxsim.views.telling import changed_facts, effects, telling_steps, told_cells
from vmxsim.views.words import WRONG, cells_in_use, place_words, sentence, several

#: What each invariant demands.
DEMANDS = {
    "guest-value": (
        "what the guest, KVM_GET_MSRS or the emulator reads is the guest's own value,"
        " and the register holds it whenever the guest runs with access passed through"
    ),
    "host-value": "a host task in user space has its own user GS base in the register",
    "no-leak": "a guest can read no value of a host task, and a host task none of a guest",
    "no-host-fault": "the host executes no WRMSR that raises #GP",
    "contract": "the design does nothing that the kernel must not",
    "expectation": "an action returns what the schedule says after its arrow",
}


def places(scene: Scene) -> list[tuple[str, str, str, str]]:
    """(place, value, whose, worth) of every register and every saved value that is in use."""
    several = sum(box.kind == "vcpu" for box in scene.boxes) > 1
    rows = []
    for box, cell in cells_in_use(scene):
        value, owner, status = cell_state(cell)
        short = box.kind == "vcpu" and not several
        name = printable(cell.label) if short else place_words(box, cell)
        rows.append((name, value, holder_words(owner), status))
    return rows


def fact_line(box: Box) -> str:
    """A box's facts in one line: ``EFER.LMA 1, host_state.loaded 1, guest access passed through``."""
    facts = ", ".join(f"{name} {value}" for name, value in box.facts)
    return printable(f"vCPU {box.id.removeprefix('vcpu')}: {facts}", 400)


#: The most rows in a text: those nearest to the loss and the breach.
MOST = 25


@frozen
class Row:
    """Step ``number`` (from 1). ``where`` is function and line, '' if ``source`` already says it;
    ``broken`` are the invariants that break here; ``lost`` is whether the value is lost here; ``skipped``
    counts the telling steps left out just before it; ``cells`` are those whose worth ``effects`` tell."""

    number: int
    action: int
    cpu: int
    where: str
    source: str
    effects: tuple[str, ...]
    broken: tuple[str, ...]
    lost: bool
    skipped: int = 0
    cells: tuple[Cell, ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()


@frozen
class Rows:
    """Rows of a trace of ``steps`` steps; ``skipped`` counts the telling steps left out, ``later`` those
    of them after the last row."""

    rows: tuple[Row, ...]
    steps: int
    skipped: int = 0
    later: int = 0

    def by_action(self, trace: Trace) -> Iterable[tuple[int, str, list[Row]]]:
        """(index of the action, the action, its rows), in order."""
        for number, rows in groupby(self.rows, key=lambda row: row.action):
            known = 0 <= number < len(trace.actions)
            yield number, printable(trace.actions[number] if known else "?", 200), list(rows)


def chosen_steps(about: Subject, steps: str | Sequence[int] | None, turns: bool = True) -> list[int]:
    """Numbers of the chosen steps: ``telling``, ``all``, or numbers (0 is the start, negative from the end).
    ``turns`` is that of :func:`~vmxsim.views.telling.telling_steps`.

    Raises InputError for a step that the trace does not have.
    """
    trace = about.shown
    last = len(trace.steps)
    if steps is None or steps == "telling":
        return telling_steps(trace, {about.lost} - {0}, turns)
    if steps == "all":
        return list(range(last + 1))
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise InputError("expected 'telling', 'all' or a list of step numbers", "steps")
    found = []
    for step in steps:
        if not isinstance(step, int) or isinstance(step, bool) or not -last - 1 <= step <= last:
            raise InputError(
                f"expected a step from 0 (the start) to {last} (the end), not {printable(repr(step))}",
                "steps",
            )
        found.append(step + last + 1 if step < 0 else step)
    if not found:
        raise InputError("expected at least one step", "steps")
    return sorted(set(found))


def rows_of(about: Subject, steps: str | Sequence[int] | None = None, turns: bool = True) -> Rows:
    """The rows of the telling steps (at most :data:`MOST`), or of the chosen ones."""
    if about.trace is None:
        return Rows((), 0)
    numbers = [number for number in chosen_steps(about, steps, turns) if number]
    kept = _nearest(numbers, {about.lost, about.broken} - {0}) if steps is None else range(len(numbers))
    shown, last = [], -1
    for at in kept:
        shown.append(_row(about, numbers[at], at - last - 1))
        last = at
    return Rows(tuple(shown), len(about.trace.steps), len(numbers) - len(shown), len(numbers) - 1 - last)


def _nearest(numbers: Sequence[int], centres: set[int]) -> Sequence[int]:
    """Indices of at most :data:`MOST` numbers: those nearest to a center, or the first ones."""
    at = [n for n, number in enumerate(numbers) if number in centres] or [0]
    ranked = sorted(range(len(numbers)), key=lambda n: (min(abs(n - centre) for centre in at), n))
    return sorted(ranked[:MOST])


def _row(about: Subject, number: int, skipped: int = 0) -> Row:
    step = about.shown.steps[number - 1]
    where = printable(step.at.place if step.line else step.function, 60)
    if not step.line and where and where in step.source:  # an event of a recording names itself
        where = ""
    return Row(
        number=number,
        action=step.action,
        cpu=step.cpu,
        where=where,
        source=printable(step.source, 400),
        effects=tuple(effects(about.shown, number)),
        broken=tuple(dict.fromkeys(v.invariant for v in step.violations)),
        lost=number == about.lost,
        skipped=skipped,
        cells=tuple(told_cells(about.shown, number)),
        facts=tuple(
            (name, was, now)
            for _, name, was, now in changed_facts(about.shown.scene(number - 1), about.shown.scene(number))
        ),
    )


@frozen
class State:
    """The values when the invariant breaks or at the end; ``facts`` has a line per vCPU."""

    when: str
    places: tuple[tuple[str, str, str, str], ...]
    facts: tuple[str, ...]


def state_of(about: Subject) -> State | None:
    """The state at which the run breaks or ends; None without a trace."""
    if about.trace is None:
        return None
    number = about.broken or len(about.trace.steps)
    scene = about.trace.scene(number)
    facts = tuple(fact_line(box) for box in scene.boxes if box.kind == "vcpu" and box.facts)
    when = "When it breaks" if about.broken else "At the end"
    return State(f"{when}, after step {number}", tuple(places(scene)), facts)


@frozen
class Report:
    """The parts of a text about ``about``; a part that does not apply is empty.

    ``effect`` is what goes wrong in the kernel's own words; ``about_code`` identifies the code. ``claim`` has
    no final punctuation, because a schedule may follow it. ``code`` is the line that
    matters, or None; ``code_does`` says what that line does, ``blamed`` what is wrong there. ``change`` is a
    user's own design as a diff; ``missed`` the function that fails to load. ``commands`` are (command, what
    it does); ``rests_on`` is what is to be said of the C that the design was made from.
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
    state: State | None
    code: Code | None
    code_does: str
    blamed: Kind
    change: tuple[str, ...]
    missed: Missed | None
    commands: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    rests_on: tuple[str, ...]
    footer: str


def report(about: Subject, steps: str | Sequence[int] | None = None, short: bool = False) -> Report:
    """All parts of the text. A ``short`` one names the code once, and leaves out steps that only go from
    guest to kernel and so on. Raises InputError for steps that the trace does not have."""
    blamed = (about.explanation or Explanation("", "", -1)).blamed
    demand = DEMANDS.get(about.invariant, "")
    remarks = [printable(note, 400) for note in (about.trace.notes if about.trace is not None else ())]
    return Report(
        about=about,
        headline=_headline(about),
        effect=_effect(about),
        about_code=introduction(about),
        claim=_claim(about, short),
        expected=sentence(demand) if demand else "",
        found=_found(about),
        lost=_lost(about),
        why=_reason(about),
        mechanism=_mechanism(about),
        rows=rows_of(about, steps, turns=not short),
        state=state_of(about),
        code=_code(about),
        code_does=blamed.does if about.explanation else "breaks the contract",
        blamed=blamed,
        change=change(about.design) if about.design else (),
        missed=missed(about),
        commands=tuple(commands(about)),
        remarks=tuple(dict.fromkeys(remarks)),
        rests_on=tuple(about.rests_on),
        footer=_footer(about),
    )


def legend(told: Report) -> list[tuple[str, str]]:
    """(word, meaning) pairs for what the parts use, in a fixed order: invariants, worths, the rest."""
    about, rows = told.about, told.rows.rows
    state = told.state if told.state and not about.invariant else None
    cells = [cell for row in rows for cell in row.cells]
    demanded = {about.invariant, *(name for row in rows for name in row.broken)}
    demanded |= set(about.result.telling.invariants if about.result else ())
    demanded |= {violation.invariant for violation in (about.trace.violations if about.trace else ())}
    if about.recorded and "guest-value" in demanded:
        demanded.add("no-leak")  # its sentence says if the value is a host task's
    worths = {cell.status for cell in cells} & set(WRONG)
    worths |= {row[3] for row in state.places} if state else set()
    found = [(name, what) for name, what in DEMANDS.items() if name in demanded]
    found += [(word, f"of a place: {what}") for word, what in STATUS_MEANINGS.items() if word in worths]
    used = _used(told, state)
    return found + [(word, what) for word, what in _WORDS.items() if word in used]


#: Words other than the invariants and the worths of a place.
_WORDS = {
    "guest N": "the guest of vCPU N; after a value: the value is that guest's own",
    "vCPU thread N": "the host task that runs vCPU N; after a value: its user GS base",
    "plain task": "a host task that runs no vCPU; after a value: its user GS base",
    "true value": "what the register would hold if the guest ran on its own hardware",
    "passed through": "the guest's RDMSR and WRMSR of the register do not exit",
    "intercepted": "the guest's RDMSR and WRMSR of the register exit to KVM",
    "KERNEL_GS_BASE": "MSR_KERNEL_GS_BASE of that CPU, 'the register'",
    "preempt": "a tick arrives there, the scheduler runs another task, and the thread resumes later",
}


def _used(told: Report, state: State | None) -> set[str]:
    """Which of them the text uses."""
    about, rows = told.about, told.rows.rows
    actions = about.scenario.actions if about.scenario else ()
    found = {"preempt"} if any(a.preempt or a.verb == "preempt" for a in actions) else set()
    if about.trace is None:
        return found
    found |= {"guest N", "vCPU thread N", "KERNEL_GS_BASE"}
    boxes = about.shown.scene(about.broken or len(about.shown.steps)).boxes
    facts = {(name, value) for row in rows for name, *values in row.facts for value in values}
    facts |= {fact for box in boxes for fact in box.facts if box.kind == "vcpu"} if state else set()
    found |= {value for name, value in facts if name == "guest access"}
    if any(name == "true value" for name, _ in facts):
        found.add("true value")
    if about.invariant == "guest-value" and not about.recorded:
        found |= {"true value", "passed through"}
    if about.invariant == "no-leak" and not about.recorded:
        found.add("passed through")
    owners = {cell.value.owner for row in rows for cell in row.cells if cell.value}
    held = {row[2] for row in state.places} if state else set()
    if "plain" in owners or "plain task" in held or any(value == "plain task" for _, value in facts):
        found.add("plain task")
    accesses = {n for n, action in enumerate(actions) if action.verb in ("guest rdmsr", "guest wrmsr")}
    steps = [about.trace.steps[row.number - 1] for row in rows if row.action in accesses]
    if any(step.mode == "guest" and not step.accesses for step in steps):
        found.add("intercepted")
    return found


def _mechanism(about: Subject) -> str:
    if about.example:
        return about.example.mechanism
    return about.explanation.mechanism if about.explanation else ""


def _headline(about: Subject) -> str:
    return f"{design_or_title(about)}: {_mechanism(about) or _verdict(about)}"


def _verdict(about: Subject) -> str:
    return f"{about.invariant or 'no invariant'} is broken"


def _effect(about: Subject) -> str:
    if about.explanation and about.explanation.symptom:
        return about.explanation.effect
    return ": ".join(filter(None, (subject_name(about), _verdict(about), _mechanism(about))))


def _claim(about: Subject, short: bool) -> str:
    if about.scenario is None or about.design is None:
        told = getattr(about.trace, "subtitle", "")
        breaks = f"In it {about.invariant} is broken" if about.invariant else "No invariant is broken in it"
        return f"{printable(about.title, 60)} is a {printable(told, 300)}. {breaks}"
    shown = short and shipped(about.design)
    design = name_of(about.design) if shown else design_words(about.design)
    actions = _count(about)
    if about.result:
        return _explored(about.result, about, design, short)
    if about.example:
        return (
            f"In {design} {about.invariant} can be broken. The shortest schedule that does it has {actions}"
        )
    verdict = f"breaks {about.invariant}" if about.invariant else "breaks no invariant"
    return f"On {design} this schedule of {actions} {verdict}"


def _explored(result: CheckResult, about: Subject, design: str, short: bool) -> str:
    """What the check covered and how it ended, for the host width of the counterexample."""
    host = result.telling
    broken = [name for name, how in host.invariants.items() if how == VIOLATED]
    holds = [name for name, how in host.invariants.items() if how == HOLDS]
    open_ones = [name for name, how in host.invariants.items() if how == UNKNOWN]
    verdict = f"{several(broken)} can be broken"
    after = ""
    if "contract" in broken and (holds or open_ones):
        # the run ends where the design fails, so later violations stay unseen
        after = (
            f" The run ends where the contract breaks, so nothing can be concluded about"
            f" {several([*holds, *open_ones])}."
        )
    else:
        verdict += f", {several(holds)} hold{'s' * (len(holds) == 1)}" if holds else ""
        why = f" (the search was cut short: {host.cut})" if host.cut else ""
        after = f" Nothing can be concluded about {several(open_ones)}{why}." if open_ones else ""
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    checker = "It" if short else "The model checker of vmxsim"
    explored = "explored schedules" if host.cut else "explored the schedules"
    usual = short and set(host.written) <= set(GUEST_VALUES)
    environment = (explored_bases if usual else explored_with)(host, result.design)
    return (
        f"{checker} {explored} of {design} with {counted(result.vcpus, 'vCPU')} on"
        f" {counted(result.cpus, 'CPU')} of a {host.host} host, {environment}{granted}: {verdict}.{after}"
        f" The shortest schedule that breaks {about.invariant} has {_count(about)}"
    )


def _count(about: Subject) -> str:
    return counted(len(about.scenario.steps) if about.scenario else 0, "action")


def _found(about: Subject) -> str:
    if about.failure:
        return sentence(about.failure)
    return sentence(printable(about.violation.words, 800)) if about.violation else ""


def _lost(about: Subject) -> str:
    """Where the right value was lost."""
    if about.trace is None or not about.lost:
        return ""
    step = about.trace.steps[about.lost - 1]
    where = f"{step.at.place}, {step.source}" if step.line else step.function
    again = about.explanation.again if about.explanation else ""
    return printable(f"step {about.lost}, {where}, in '{about.trace.actions[step.action]}'{again}", 400)


def _reason(about: Subject) -> str:
    """Why the value is lost there."""
    why: Explanation | None = about.explanation
    return sentence(printable(why.why, 800)) if why and why.why else ""


def _code(about: Subject) -> Code | None:
    """The function that loses the value or breaks the contract."""
    if about.failure and about.scenario and about.design:
        return failing_line(about.scenario, about.design)
    if about.trace is None or not about.lost:
        return None
    step = about.trace.steps[about.lost - 1]
    function = function_of(about.trace.listing(step.function))
    return code_of(function, step.line) if function and step.line else None


def _footer(about: Subject) -> str:
    if about.scenario is None:
        return (
            f"Made with vmxsim {vmxsim.__version__}. It concludes only from the recorded events;"
            " times are the recording's, in seconds."
        )
    retold = "kernel functions are retold in Python, one statement a step. "
    counted_from = "A line number counts from the function's 'def' there, not in the kernel's source."
    if files := files_of(about.design):
        retold = (
            f"the functions of {several(files)} are followed statement by statement, as far as they matter to"
            " the register; what calls them is retold in Python. "
        )
        counted_from = "A line number with a file's name is that of the file as it was read."
    return (
        f"Made with vmxsim {vmxsim.__version__}, a model: {retold}{counted_from}"
        f" Not in the model: {', '.join(OMITTED)}."
    )
