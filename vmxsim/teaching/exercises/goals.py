"""What a learner hands in, and the goals that judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, not_granted, restriction
from vmxsim.checker.check import ALWAYS, check
from vmxsim.checker.counterexample import explain
from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.errors import InputError, counted, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.program import Function
from vmxsim.simulation.costs import PATHS, count
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import HOSTS, Scenario, make_scenario
from vmxsim.views.words import sentence, several

# -- what a learner hands in: a design, or a schedule for a given design


@frozen
class Answer:
    """``design`` is the learner's, or the given one that ``scenario`` is for; ``start`` is
    the design that the exercise starts from."""

    start: type[Kvm]
    design: type[Kvm]
    scenario: Scenario | None = None

    def schedule(self) -> Scenario:
        """The learner's schedule. Raises InputError if a design was handed in."""
        if self.scenario is None:
            raise InputError("this goal asks for a schedule, and the answer is a design")
        return self.scenario


def design_answer(start: type[Kvm], given: Any) -> Answer:
    """The answer that a class means. Raises InputError for what is no design."""
    write = "write 'class Mine(ex.start): ...' and hand in Mine"
    if isinstance(given, Kvm):
        raise InputError(f"hand in the class itself, not an object of it: {type(given).__name__} without ()")
    if not isinstance(given, type):
        raise InputError(f"expected a design, a class, and this is of type {type(given).__name__}: {write}")
    if not issubclass(given, Kvm):
        raise InputError(f"{given.__name__} is a class, but no design: {write}")
    return Answer(start, given)


def schedule_answer(start: type[Kvm], given: Any, host: str, long_mode: bool) -> Answer:
    """The answer that a list of actions, YAML text or a Scenario means.

    Where it starts is given by the exercise: ``host``, ``long_mode``, two CPUs, one vCPU.
    Raises InputError.
    """
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
    return Answer(start, start, scenario)


# -- converters of the fields of goals and exercises


def as_tuple(given: Iterable[Any]) -> tuple[Any, ...]:
    """Any sequence; a text is one item, not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def as_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names; a text may hold several, with commas between them."""
    texts = (given,) if isinstance(given, str) else given
    return tuple(name.strip() for text in texts for name in str(text).split(",") if name.strip())


# -- what every goal is

#: What can be played: a counterexample of the checker, or a run.
Example = Counterexample | RunTrace


@frozen
class Judgement:
    """Whether a goal is met, and ``why`` in plain words; ``example`` shows it. ``telling``:
    its schedule is new to the learner and worth reading."""

    met: bool
    why: str
    example: Example | None = None
    telling: bool = False


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


# -- goal: on a given schedule everything returns what the schedule's arrows say


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
        return f"On this schedule everybody reads what was expected: {name}"

    def judge(self, answer: Answer) -> Judgement:
        """Run the schedule."""
        title = self.name or self.scenario.title or "The schedule of the goal"
        trace = run(self.scenario, answer.design, title=title)
        unmet = [v.words for v in trace.violations if v.invariant == "expectation"]
        if unmet:
            return Judgement(False, "; ".join(unmet), trace, telling=True)
        return Judgement(True, "every arrow is met", trace)


# -- goal: only the named functions differ from the design that the exercise starts from

#: What a class says besides its functions, and what the machine does because of it.
_SETTINGS = ("interception", "bitmap_passes_at_creation", "shared_msrs", "kvm_x86_ops")


@frozen(init=False)
class OnlyChanged:
    """Something was changed, and nothing but ``functions``; new functions may be added.

    Comments, blank lines and line breaks do not count.
    """

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
                where = f"the goal's functions, {name_of(start)}"
                raise unknown("function", name, known, where)
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


_WRITE = "write 'class Mine(ex.start): ...'"


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
            *(i.kind, i.expr, i.target, i.next, i.other, i.cases, i.args),
            i.callee and (i.callee.kind, i.callee.name),
        )
        for i in function.instructions
    ]
    return steps, function.params, function.requires, function.interrupt


# -- goal: a path costs no more than so many operations

#: Operations that a goal may limit, and how a sentence says them: one, several.
OPERATIONS = {
    "rdmsr_kernel_gs_base": ("RDMSR of KERNEL_GS_BASE", "RDMSRs of KERNEL_GS_BASE"),
    "wrmsr_kernel_gs_base": ("WRMSR of KERNEL_GS_BASE", "WRMSRs of KERNEL_GS_BASE"),
    "full_host_reload": ("full host reload", "full host reloads"),
}


@frozen
class CostAtMost:
    """``path`` (as in ``vmxsim.cost``) costs at most so many operations of each name in
    ``most``, on each of the ``hosts``, in the modes ``long_modes``."""

    path: str
    most: Mapping[str, int]
    long_modes: tuple[bool, ...] = field(default=(False, True), converter=as_tuple)
    hosts: tuple[str, ...] = field(default=HOSTS[:1], converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        _known(self.path, PATHS, "path")
        for name in self.most:
            _known(name, OPERATIONS, "most")

    @property
    def words(self) -> str:
        """For the checklist."""
        limits = several(
            f"{'at most ' * (number > 0)}{_counted(number, name)}" for name, number in self.most.items()
        )
        where = ""
        if len(self.long_modes) == 1:
            where = " in long mode" if self.long_modes[0] else " outside long mode"
        host = f" on a {self.hosts[0]} host" if self.hosts != HOSTS else ""
        return f"'{self.path}'{where}{host} costs {limits}"

    def judge(self, answer: Answer) -> Judgement:
        """Count what the path executes."""
        told = []
        for host in self.hosts:
            for long_mode in self.long_modes:
                row = count(answer.design, host, long_mode, self.path)
                found = {**row.operations, "full_host_reload": row.full_host_reloads}
                where = f"{'in' if long_mode else 'outside'} long mode"
                counted = several(_counted(found.get(name, 0), name) for name in self.most)
                told.append(f"{where} {counted}")
                if any(found.get(name, 0) > most for name, most in self.most.items()):
                    before, action = PATHS[self.path]
                    actions = ["run", "exit", *before, action]
                    title = f"'{self.path}' {where}, counted after one run and exit"
                    trace = run(actions, answer.design, host=host, long_mode=long_mode, title=title)
                    return Judgement(False, f"it costs {counted}, {where} on a {host} host", trace)
        return Judgement(True, f"it costs {'; '.join(dict.fromkeys(told))}")


def _known(name: str, names: Iterable[str], field: str) -> None:
    if name not in names:
        raise unknown(field, name, names)


def _counted(number: int, name: str) -> str:
    one, many = OPERATIONS[name]
    return f"{number or 'no'} {one if number in (0, 1) else many}"


# -- goal: no schedule breaks an invariant

#: A learner's design whose state grows without end is given up after this time, on each host.
SECONDS = 15.0


@frozen
class InvariantsHold:
    """The design is safe on every schedule, as ``vmxsim.check`` finds.

    ``host`` is ``64-bit``, ``32-bit`` or ``both``; ``assume`` names what is granted.
    """

    host: str = "both"
    assume: tuple[str, ...] = field(default=(), converter=as_names)

    def __attrs_post_init__(self) -> None:
        restriction(self.assume)
        if self.host not in (*HOSTS, "both"):
            raise unknown("host", self.host, (*HOSTS, "both"))

    @property
    def words(self) -> str:
        """For the checklist."""
        host = "a 64-bit or a 32-bit" if self.host == "both" else f"a {self.host}"
        granted = f", if you grant {several(self.assume)}" if self.assume else ""
        return f"No schedule breaks an invariant on {host} host{granted}"

    def judge(self, answer: Answer) -> Judgement:
        """Check every schedule, on one host after the other until one says no."""
        states = 0
        for host in HOSTS if self.host == "both" else (self.host,):
            result = check(
                answer.design, host=host, assume=self.assume, max_seconds=SECONDS, progress=lambda *_: None
            )
            if result.verdict != "safe":
                return _refuted(result)
            states += result.telling.states
        return Judgement(True, f"every schedule was explored: {states:,} states")


def _refuted(result: CheckResult) -> Judgement:
    example = result.counterexample
    if example is None:
        return Judgement(False, f"nothing could be concluded: {result.telling.cut_without_option}")
    if example.failure:
        words = f"the design does what the kernel must not: {example.failure}"
        return Judgement(False, words, example, telling=True)
    broken = several(name for name, how in result.telling.invariants.items() if how == "violated")
    actions = f"{example.actions} actions" if example.actions > 1 else "one action"
    return Judgement(
        False,
        f"{example.invariant} is broken by {actions} on a {result.telling.host} host"
        f" (broken in all: {broken}). Mechanism: {sentence(example.mechanism)} {sentence(example.words)}",
        example,
        telling=True,
    )


@frozen
class Breaks:
    """The schedule breaks ``invariant`` with at most so many ``actions`` and ``ticks`` inside
    the kernel (None: any number), and does nothing that ``assume`` excludes."""

    invariant: str
    actions: int
    ticks: int | None = None
    assume: tuple[str, ...] = field(default=(), converter=as_names)

    def __attrs_post_init__(self) -> None:
        restriction(self.assume)
        if self.invariant not in ALWAYS:
            raise unknown("invariant", self.invariant, ALWAYS)

    @property
    def words(self) -> str:
        """For the checklist."""
        ticks = f" and at most {counted(self.ticks, 'tick')} inside the kernel" if self.ticks else ""
        granted = f". Granted: {'; '.join(ASSUMPTIONS[name].words for name in self.assume)}"
        return (
            f"Your schedule breaks {self.invariant}, with at most {counted(self.actions, 'action')}{ticks}"
            f"{granted if self.assume else ''}"
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
            words = f"Mechanism: {sentence(found.mechanism)} {sentence(found.words)}" if found else ""
            return Judgement(True, f"it breaks {several(broken)}. {words}".strip(), trace)
        if broken:
            return Judgement(False, f"it breaks {several(broken)}, not {self.invariant}", trace)
        return Judgement(False, f"it breaks nothing{_remarks(trace)}", trace)


@frozen
class Reaches:
    """The schedule comes to a state: ``holds(trace)`` is true of its run, and ``words`` say
    what that is; with at most so many ``actions``."""

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
