"""What a learner hands in, and the goals that judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Protocol

from attrs import evolve, field, frozen
from attrs.validators import deep_mapping, instance_of

from vmxsim.checker.assumptions import ASSUMPTIONS, not_granted, restriction
from vmxsim.checker.check import ALWAYS, check
from vmxsim.checker.explanation import Explanation, explain
from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.errors import InputError, counted, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.program import Function
from vmxsim.simulation.costs import PATHS, count
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import HOST_FIELDS, HOSTS, Scenario, make_scenario
from vmxsim.views.words import sentence, several


@frozen
class Answer:
    """``design`` is the learner's, or the given one that ``scenario`` is for; ``start`` is the exercise's."""

    start: type[Kvm]
    design: type[Kvm]
    scenario: Scenario | None = None

    def schedule(self) -> Scenario:
        """The learner's schedule. Raises InputError if a design was handed in."""
        if self.scenario is None:
            raise InputError("this goal asks for a schedule, and the answer is a design")
        return self.scenario


_WRITE = "write 'class Mine(ex.start): ...' and hand in Mine"


def design_answer(start: type[Kvm], given: Any) -> Answer:
    """A class as an answer. Raises InputError for anything but a design."""
    if isinstance(given, Kvm):
        raise InputError(f"hand in the class itself, not an object of it: {type(given).__name__} without ()")
    if not isinstance(given, type):
        raise InputError(f"expected a design, a class, and this is of type {type(given).__name__}: {_WRITE}")
    if not issubclass(given, Kvm):
        raise InputError(f"{given.__name__} is a class, but not a design: {_WRITE}")
    return Answer(start, given)


def schedule_answer(start: type[Kvm], given: Any, host: str, long_mode: bool) -> Answer:
    """A list of actions, YAML text or a Scenario as an answer. The exercise sets where it starts: ``host``
    with the default user GS bases, ``long_mode``, two CPUs, one vCPU. Raises InputError."""
    if isinstance(given, type):
        raise InputError(f"expected a schedule, a list of actions, and {given.__name__} is a class")
    if isinstance(given, str):
        bare = given.lstrip().startswith("-")  # the actions alone
        given = f"steps:\n{given}\n" if bare else f"{given}\n"  # a line of text is no file name either
    try:
        scenario = make_scenario(
            given, host=host, long_mode=long_mode, cpus=2, vcpus=1, interception="rule", title="Your schedule"
        )
    except InputError as error:
        if not isinstance(given, str) or not error.message.startswith("is no scenario"):
            raise
        raise InputError(
            "`schedule` is a text; expected a list of actions, such as"
            ' ["run", "emulate rdmsr"], or the text of a scenario with \'steps:\''
        ) from None
    defaults = {name: getattr(Scenario(), name) for name in HOST_FIELDS}
    return Answer(start, start, evolve(scenario, **defaults))


def as_tuple(given: Iterable[Any]) -> tuple[Any, ...]:
    """Any sequence; a text is one item, not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def _granted(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names of assumptions; a text may hold several, with commas between them."""
    return restriction(given).names


def _one_of(choices: Iterable[str]) -> Callable[[object, Any, str], None]:
    """An attrs validator."""

    def check_choice(_goal: object, attribute: Any, value: str) -> None:
        if value not in choices:
            raise unknown(attribute.name, value, choices)

    return check_choice


#: What can be played: a counterexample of the checker, or a run.
Example = Counterexample | RunTrace


@frozen
class Judgement:
    """Whether a goal is met, and ``why`` as a clause; ``more`` are sentences after it, and ``example`` shows
    it. ``telling``: its schedule is new to the learner and worth reading."""

    met: bool
    why: str
    example: Example | None = None
    telling: bool = False
    more: str = ""

    def in_full(self, capital: bool = True) -> str:
        """``why`` and ``more`` as sentences; without ``capital``, to go on after a colon."""
        return f"{sentence(self.why, capital)} {self.more}".strip()


class Goal(Protocol):
    """One thing that an answer must do."""

    @property
    def words(self) -> str:
        """The goal in a sentence, for the checklist."""

    def judge(self, answer: Answer) -> Judgement:
        """Whether the answer does it. May raise InputError, which says why not."""


def judge(goal: Goal, answer: Answer) -> Judgement:
    """A judgement always: a design that cannot be run or checked has not met its goal."""
    try:
        return goal.judge(answer)
    except InputError as error:
        return Judgement(False, f"it cannot be judged: {error}")
    except RecursionError:
        return Judgement(False, "the answer calls itself without end, or is nested too deeply")
    except Exception as error:  # a learner's class may hold anything where a design has its attributes
        return Judgement(False, f"the answer could not be judged ({type(error).__name__}: {error})")


def phrase(text: str) -> str:
    """A sentence as part of another one: without its full stop, small where its first word is ordinary."""
    text = text.strip().rstrip(".")
    first = text.split(" ")[0]
    return text[0].lower() + text[1:] if first.isalpha() and first[1:].islower() else text


def _scenario(given: Scenario | str | Sequence[Any]) -> Scenario:
    scenario = make_scenario(given)
    if not any(action.expected is not None for action in scenario.actions):
        raise InputError("no action has an arrow, such as 'guest rdmsr -> 0xA000'", "scenario")
    return evolve(scenario, design=None, design_line=0)


@frozen
class ArrowsMet:
    """The learner's design gives what the arrows of ``scenario`` (a Scenario, YAML text or a
    list of actions) expect. ``name`` says in a few words what the schedule is."""

    scenario: Scenario = field(converter=_scenario)
    name: str = ""

    @property
    def words(self) -> str:
        """For the checklist."""
        name = self.name or self.scenario.title or ", ".join(a.text for a in self.scenario.actions)
        return f"On this schedule every read returns what is expected: {name}"

    def judge(self, answer: Answer) -> Judgement:
        """Run the schedule."""
        title = self.name or self.scenario.title or "The schedule of the goal"
        trace = run(self.scenario, answer.design, title=title)
        unmet = [v.words for v in trace.violations if v.invariant == "expectation"]
        if unmet:
            return Judgement(False, "; ".join(unmet), trace, telling=True)
        return Judgement(True, "every arrow is met", trace)


#: What a class says besides its functions, and what the machine does because of it.
_SETTINGS = ("interception", "bitmap_passes_at_creation", "shared_msrs", "kvm_x86_ops", "fsgsbase")


@frozen(init=False)
class OnlyChanged:
    """Something was changed, and nothing but ``functions``; new functions may be added, and comments, blank
    lines and line breaks do not count."""

    functions: tuple[str, ...] = field()

    def __init__(self, *functions: str) -> None:
        if not functions:
            raise InputError("expected the name of a function", "functions")
        self.__attrs_init__(functions)

    @property
    def words(self) -> str:
        """For the checklist."""
        return f"Nothing but {several(f'{name}()' for name in self.functions)} was changed"

    def judge(self, answer: Answer) -> Judgement:
        """Compare the lowered functions, not their text."""
        start, mine = answer.start, answer.design
        known = start.functions()
        for name in self.functions:
            if name not in known:
                raise unknown("function", name, known, f"the goal's functions, {name_of(start)}")
        if not issubclass(mine, start):
            return Judgement(
                False, f"{name_of(mine)} is not a subclass of the design to start from: {_WRITE}"
            )
        changed = changed_functions(start, mine)
        others = [f"{name}()" for name in changed if name not in self.functions]
        others += [name for name in _SETTINGS if getattr(start, name) != getattr(mine, name)]
        if others:
            return Judgement(False, f"changed too: {several(others)}")
        if not changed:
            return Judgement(False, "nothing is changed yet")
        return Judgement(True, f"changed: {several(f'{name}()' for name in changed)}")


def changed_functions(start: type[Kvm], mine: type[Kvm]) -> list[str]:
    """Functions of ``start`` that mean something else in ``mine``."""
    theirs, own = start.functions(), mine.functions()
    return [
        name for name in theirs if theirs[name] is not own[name] and _code(theirs[name]) != _code(own[name])
    ]


def _code(function: Function) -> Any:
    """What a function does, without where its lines stand."""
    steps = [
        (
            i.kind,
            i.expr,
            i.target,
            i.next,
            i.other,
            i.cases,
            i.args,
            i.callee and (i.callee.kind, i.callee.name),
        )
        for i in function.instructions
    ]
    return steps, function.params, function.requires, function.interrupt


#: Operations that a goal may limit, and how a sentence says them: one, several.
OPERATIONS = {
    "rdmsr_kernel_gs_base": ("RDMSR of KERNEL_GS_BASE", "RDMSRs of KERNEL_GS_BASE"),
    "wrmsr_kernel_gs_base": ("WRMSR of KERNEL_GS_BASE", "WRMSRs of KERNEL_GS_BASE"),
    "full_host_reload": ("full host reload", "full host reloads"),
}


@frozen
class CostAtMost:
    """``path`` (as in ``vmxsim.cost``) costs at most ``most`` (a number for each of OPERATIONS that is
    limited), on each of the ``hosts``, in the modes ``long_modes``."""

    path: str = field(validator=_one_of(PATHS))
    most: Mapping[str, int] = field(validator=deep_mapping(_one_of(OPERATIONS), instance_of(int)))
    long_modes: tuple[bool, ...] = field(default=(False, True), converter=as_tuple)
    hosts: tuple[str, ...] = field(default=HOSTS[:1], converter=as_tuple)

    @property
    def words(self) -> str:
        """For the checklist."""
        limits = several(
            f"{'at most ' * (number > 0)}{_costs(number, name)}" for name, number in self.most.items()
        )
        where = ""
        if len(self.long_modes) == 1:
            where = " in long mode" if self.long_modes[0] else " outside long mode"
        host = f" on a {self.hosts[0]} host" if self.hosts != HOSTS else ""
        return f"'{self.path}'{where}{host} costs {limits}"

    def judge(self, answer: Answer) -> Judgement:
        """Count what the path executes."""
        told = []
        for host, long_mode in product(self.hosts, self.long_modes):
            row = count(answer.design, host, long_mode, self.path)
            found = {**row.operations, "full_host_reload": row.full_host_reloads}
            where = f"{'in' if long_mode else 'outside'} long mode"
            costs = several(_costs(found.get(name, 0), name) for name in self.most)
            told.append(f"{where} {costs}")
            if any(found.get(name, 0) > most for name, most in self.most.items()):
                before, action = PATHS[self.path]
                actions = ["run", "exit", *before, action]
                title = f"'{self.path}' {where}, counted after one run and exit"
                trace = run(actions, answer.design, host=host, long_mode=long_mode, title=title)
                return Judgement(False, f"it costs {costs}, {where} on a {host} host", trace)
        return Judgement(True, f"it costs {'; '.join(dict.fromkeys(told))}")


def _costs(number: int, name: str) -> str:
    one, many = OPERATIONS[name]
    return f"{number or 'no'} {one if number in (0, 1) else many}"


#: A learner's design whose state grows without end is given up after this time, on each host.
SECONDS = 15.0


@frozen
class InvariantsHold:
    """The design is safe on every schedule. ``host`` (``64-bit``, ``32-bit`` or ``both``), ``assume`` and
    ``cpus`` are as for ``vmxsim.check``."""

    host: str = field(default="both", validator=_one_of((*HOSTS, "both")))
    assume: tuple[str, ...] = field(default=(), converter=_granted)
    cpus: int = 2

    @property
    def words(self) -> str:
        """For the checklist."""
        host = "a 64-bit or a 32-bit" if self.host == "both" else f"a {self.host}"
        granted = f", if you grant {several(self.assume)}" if self.assume else ""
        cpus = f" with {self.cpus} CPUs" if self.cpus != 2 else ""
        return f"No schedule breaks an invariant on {host} host{cpus}{granted}"

    def judge(self, answer: Answer) -> Judgement:
        """Check every schedule, on one host after the other until one says no."""
        states = 0
        for host in HOSTS if self.host == "both" else (self.host,):
            result = check(
                answer.design,
                host=host,
                assume=self.assume,
                cpus=self.cpus,
                max_seconds=SECONDS,
                progress=lambda *_: None,
            )
            if result.verdict != "safe":
                return _refuted(result)
            if idle := _idle(answer.design, host, () if self.assume else _missing(result)):
                return idle
            states += result.telling.states
        return Judgement(True, f"every schedule was explored: {states:,} states")


#: Every way to change the guest's mode, and whether it is in long mode after each.
_MODES = (
    ("run", False), ("guest long-mode on", True), ("guest long-mode off", False),
    ("guest long-mode on", True), ("guest smi", False), ("guest rsm", True),
    ("exit", True), ("set-efer long-mode off", False), ("set-efer long-mode on", True),
)  # fmt: skip


def _missing(result: CheckResult) -> list[str]:
    """The situations that a search has not come across."""
    return [name for name, was in result.telling.sometimes.items() if not was]


def _idle(design: type[Kvm], host: str, missing: Sequence[str]) -> Judgement | None:
    """Why a safe design is none: where something never happens, nothing can go wrong. None if all does."""
    if missing:
        return Judgement(False, f"nothing breaks because something never happens: {several(missing)}")
    for number, (action, expected) in enumerate(_MODES, 1):
        actions = [action for action, _ in _MODES[:number]]
        trace = run(actions, design, host=host, title="The guest changes its mode")
        found = trace.results[-1]["long_mode"]
        if found != expected:
            mode = "in" if found else "outside"
            why = f"nothing breaks because the guest's mode is lost: after '{action}' it is {mode} long mode"
            return Judgement(False, why, trace, telling=True)
    return None


def _refuted(result: CheckResult) -> Judgement:
    example = result.counterexample
    if example is None:
        return Judgement(False, f"nothing could be concluded: {result.telling.cut_without_option}")
    if example.failure:
        words = f"the design does what the kernel must not: {example.failure}"
        return Judgement(False, words, example, telling=True)
    broken = several(name for name, how in result.telling.invariants.items() if how == "violated")
    actions = counted(example.actions, "action")
    return Judgement(
        False,
        f"{example.invariant} is broken by {actions} on a {result.telling.host} host"
        f" (broken in all: {broken})",
        example,
        telling=True,
        more=_mechanism(example),
    )


def _mechanism(found: Counterexample | Explanation) -> str:
    return f"Mechanism: {sentence(found.mechanism)} {sentence(found.words)}"


@frozen
class Breaks:
    """The schedule breaks ``invariant`` with at most ``actions`` actions and ``ticks`` ticks inside the
    kernel (None: any number), and does nothing that ``assume`` excludes."""

    invariant: str = field(validator=_one_of(ALWAYS))
    actions: int
    ticks: int | None = None
    assume: tuple[str, ...] = field(default=(), converter=_granted)

    @property
    def words(self) -> str:
        """For the checklist."""
        ticks = f" and at most {counted(self.ticks, 'tick')} inside the kernel" if self.ticks else ""
        words = "; ".join(ASSUMPTIONS[name].words for name in self.assume)
        granted = f". Granted: {words}" if words else ""
        return (
            f"Your schedule breaks {self.invariant}, with at most {counted(self.actions, 'action')}{ticks}"
            f"{granted}"
        )

    def judge(self, answer: Answer) -> Judgement:
        """Run the schedule and look."""
        scenario = answer.schedule()
        trace = run(scenario, answer.design)
        if too_long := _too_long(scenario, self.actions, self.ticks):
            return Judgement(False, too_long, trace)
        if refused := not_granted(trace, self.assume):
            return Judgement(False, refused, trace)
        broken = list(dict.fromkeys(v.invariant for v in trace.violations if v.invariant in ALWAYS))
        if self.invariant in broken:
            found = explain(trace, self.invariant)
            return Judgement(
                True, f"it breaks {several(broken)}", trace, more=_mechanism(found) if found else ""
            )
        if broken:
            return Judgement(False, f"it breaks {several(broken)}, not {self.invariant}", trace)
        return Judgement(False, f"it breaks nothing{_remarks(trace)}", trace)


@frozen
class Reaches:
    """``holds(trace)``, described by ``words``, is true of the run of a schedule of at most ``actions``."""

    words: str
    holds: Callable[[RunTrace], bool]
    actions: int

    def judge(self, answer: Answer) -> Judgement:
        """Run the schedule and look."""
        scenario = answer.schedule()
        trace = run(scenario, answer.design)
        if too_long := _too_long(scenario, self.actions, None):
            return Judgement(False, too_long, trace)
        if self.holds(trace):
            return Judgement(True, "your schedule gets there", trace)
        return Judgement(False, f"your schedule does not get there{_remarks(trace)}", trace)


def _too_long(scenario: Scenario, actions: int, ticks: int | None) -> str:
    found = len(scenario.actions)
    if found > actions:
        return f"it has {counted(found, 'action')}; at most {actions} are allowed"
    found = sum(len(action.preempt) for action in scenario.actions)
    if ticks is not None and found > ticks:
        return f"it has {counted(found, 'tick')} inside the kernel; at most {ticks} are allowed"
    return ""


def _remarks(trace: RunTrace) -> str:
    """What the simulator noted, such as a tick that came where preemption is disabled."""
    notes = list(dict.fromkeys(note for step in trace.steps for note in step.notes))
    return f" ({'; '.join(notes)})" if notes else ""
