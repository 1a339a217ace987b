"""Goals for who plays the scheduler: a schedule that breaks an invariant, or comes to a state."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, restriction
from vmxsim.checker.explanation import explain
from vmxsim.checker.verdict import ALWAYS
from vmxsim.errors import InputError, nearest, printable
from vmxsim.exercises.answer import Answer
from vmxsim.exercises.assumed import not_granted
from vmxsim.exercises.fields import as_names
from vmxsim.exercises.goals.goal import Judgement, sentence, several
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario
from vmxsim.simulation import run


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
            raise InputError(
                f"no invariant '{printable(self.invariant)}'; choose {', '.join(ALWAYS)}"
                f"{nearest(self.invariant, ALWAYS)}",
                "invariant",
            )

    @property
    def words(self) -> str:
        """For the checklist."""
        ticks = f" and at most {_counted(self.ticks, 'tick')} inside the kernel" if self.ticks else ""
        granted = f". Granted: {'; '.join(ASSUMPTIONS[name].words for name in self.assume)}"
        return (
            f"Your schedule breaks {self.invariant}, with at most {_counted(self.actions, 'action')}{ticks}"
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


def _counted(number: int | None, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _too_long(scenario: Scenario, actions: int, ticks: int | None) -> str:
    found = len(scenario.actions)
    if found > actions:
        return f"it has {_counted(found, 'action')}; at most {actions} are allowed"
    found = sum(len(action.preempt) for action in scenario.actions)
    if ticks is not None and found > ticks:
        return f"it has {_counted(found, 'tick')} inside the kernel; at most {ticks} are allowed"
    return ""


def _remarks(trace: RunTrace) -> str:
    """What the simulator noted, such as a tick that came where preemption is disabled."""
    notes = list(dict.fromkeys(note for step in trace.steps for note in step.notes))
    return f" ({'; '.join(notes)})" if notes else ""
