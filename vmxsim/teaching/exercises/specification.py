"""An exercise: what to do, from where, when it is done, and what helps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen

from vmxsim.designs import find_design
from vmxsim.errors import InputError, counted, nearest, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.scenario import HOSTS
from vmxsim.teaching.exercises.goals import Answer, Goal, as_tuple, design_answer, judge, schedule_answer
from vmxsim.teaching.exercises.grade import Grade, NotPassed, Outcome


def design_source(start: type[Kvm], functions: Iterable[str]) -> str:
    """A subclass of ``ex.start`` that repeats these functions as they are."""
    known = start.functions()
    return "class Mine(ex.start):\n" + "\n".join(_method(known[name]) for name in functions)


def _method(function: Any) -> str:
    contract = ", ".join(f'"{condition}"' for condition in function.requires)
    lines = [f"@requires({contract})"] if contract else []
    lines += function.source
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


def schedule_source(steps: Sequence[Any]) -> str:
    """A list of actions, one a line."""
    items = "".join(f"    {json.dumps(step)},\n" for step in steps)
    return f"schedule = [\n{items}]\n"


def _goals(given: Sequence[Goal]) -> tuple[Goal, ...]:
    goals = tuple(given)
    for number, goal in enumerate(goals, 1):
        if not callable(getattr(goal, "judge", None)):
            raise InputError(
                f"goal {number} is not a goal: {printable(repr(goal))}; write InvariantsHold(), Breaks(...),"
                " CostAtMost(...), ArrowsMet(...), OnlyChanged(...) or Reaches(...)",
                "goals",
            )
    if not goals:
        raise InputError("an exercise needs a goal, such as InvariantsHold()", "goals")
    return goals


@frozen
class Exercise:
    """A task for a learner.

    ``start`` is the design to start from (an id or a class). With a ``schedule``, the learner is the
    scheduler and hands in a schedule for that design, on a ``host``, with a guest that starts in
    ``long_mode`` or not; otherwise a subclass of it, in which ``edit`` names the functions to change. All
    ``goals`` must be met; ``hints`` are shown one by one. ``difficulty`` counts from 1. Raises InputError.
    """

    id: str
    title: str
    task: str
    start: type[Kvm] = field(converter=find_design)
    goals: tuple[Goal, ...] = field(converter=_goals)
    hints: tuple[str, ...] = field(default=(), converter=as_tuple)
    edit: tuple[str, ...] = field(default=(), converter=as_tuple)
    schedule: tuple[Any, ...] = field(default=(), converter=as_tuple)
    host: str = "64-bit"
    long_mode: bool = False
    difficulty: int = 1
    minutes: int = 20

    def __attrs_post_init__(self) -> None:
        known = self.start.functions()
        for name in self.edit:
            if name not in known:
                raise InputError(
                    f"{name_of(self.start)} has no function '{printable(name)}'{nearest(name, known)}", "edit"
                )
        if self.host not in HOSTS:
            raise unknown("host", self.host, HOSTS)
        if not self.schedule and not self.edit:
            raise InputError(
                "name the functions to change (edit=[...]) or a schedule to start from (schedule=[...])",
                "edit",
            )

    def source(self) -> str:
        """The text of a cell to start from."""
        if self.schedule:
            return schedule_source(self.schedule)
        return design_source(self.start, self.edit)

    def answer(self, given: Any) -> Answer:
        """What was handed in. Raises InputError for anything but what this exercise asks for."""
        if self.schedule:
            return schedule_answer(self.start, given, self.host, self.long_mode)
        return design_answer(self.start, given)

    def grade(self, given: Any, *goals: int) -> Grade:
        """Judge an answer by every goal, or by those whose numbers (from 1) are given.

        Whatever is handed in gets a grade. Raises InputError for a number without a goal.
        """
        numbers = goals or range(1, len(self.goals) + 1)
        for number in numbers:
            if isinstance(number, bool) or number not in range(1, len(self.goals) + 1):
                raise InputError(f"no goal {printable(repr(number))}, only 1 to {len(self.goals)}", "goals")
        try:
            answer = self.answer(given)
        except InputError as error:
            return Grade(self.title, "", (), str(error))
        chosen = [(number, self.goals[number - 1]) for number in numbers]
        outcomes = tuple(Outcome(number, goal.words, judge(goal, answer)) for number, goal in chosen)
        return Grade(self.title, self._judged(answer), outcomes)

    def check(self, given: Any, *goals: int) -> None:
        """As :meth:`grade`, for an assertion: raises NotPassed, an AssertionError that says why."""
        grade = self.grade(given, *goals)
        if not grade.passed:
            raise NotPassed(grade)

    def _judged(self, answer: Answer) -> str:
        if answer.scenario is None:
            return f"class {answer.design.__name__}({', '.join(b.__name__ for b in answer.design.__bases__)})"
        return f"a schedule of {counted(len(answer.scenario.actions), 'action')} on {name_of(answer.design)}"
