"""``vmxsim.exercise``: a task, its goals as a checklist, hints one by one, and the checker's verdict."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

import ipywidgets as w

from vmxsim.errors import InputError
from vmxsim.exercises.catalogue import find_exercise
from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.grade import Grade
from vmxsim.exercises.source import schedule_source
from vmxsim.kernel.kvm import Kvm
from vmxsim.scenariotext import scenario_yaml
from vmxsim.widgets.exercise_handing import NOT_YET, handing_in
from vmxsim.widgets.exercise_hints import Hints
from vmxsim.widgets.exercise_live import Announcer
from vmxsim.widgets.exercise_verdict import Verdict, css
from vmxsim.widgets.message import Message

#: What a learner's class is called where nothing else was handed in.
NAME = "Mine"


def exercise(which: str | Exercise | None = None, **own: Any) -> ExerciseForm:
    """An exercise, to be shown by a notebook cell.

    ``which`` is the id of one of the labs' exercises or an
    :class:`~vmxsim.exercises.exercise.Exercise`; or the keywords are those of an Exercise of
    your own. The answer is handed in with ``submit``; ``check`` asserts that it passes.

    Raises InputError.
    """
    if isinstance(which, Exercise) and not own:
        return ExerciseForm(which)
    if which is not None and not own:
        return ExerciseForm(find_exercise(str(which)))
    if which is not None or not own:
        raise InputError("an exercise's id was expected, or the keywords of your own", "exercise")
    try:
        return ExerciseForm(Exercise(**{"id": "own", "title": "Exercise", **own}))
    except TypeError as error:
        raise InputError(str(error).removeprefix("Exercise.__init__() "), "exercise") from None


class ExerciseForm(w.VBox):
    """A form over an :class:`~vmxsim.exercises.exercise.Exercise` (``exercise``)."""

    def __init__(self, of: Exercise) -> None:
        self.exercise = of
        self._given: Any = None
        self.head = w.HTML(_head(of))
        self.goals = w.HTML(_checklist(of, None))
        self.live = Announcer()
        self.hints = Hints(of.hints, self.live.say)
        self.text = w.Textarea(
            value=_schedule_text(of.schedule),
            rows=8,
            description="Your schedule",
            style={"description_width": "initial"},
            layout={"width": "auto", "display": None if of.schedule else "none"},
        ).add_class("vmxsim-exercise-schedule")
        self.button = w.Button(
            description="Check my answer",
            tooltip="Judge the answer by every goal",
            button_style="primary",
            layout={"width": "auto"},
        )
        self.message = Message()
        self.verdict = Verdict()
        self.button.on_click(lambda _: self.message.guard(self._check_current))
        parts = [w.HTML(css()), self.head, self.goals, self.hints, self.text, self.button]
        super().__init__([*parts, self.message, self.verdict, self.live])
        self.add_class("vmxsim-exercise")
        self.add_class("vmxsim-exercise-form")

    def __repr__(self) -> str:
        of = self.exercise
        goals = "".join(f"\n  {number}. {goal.words}." for number, goal in enumerate(of.goals, 1))
        return f"{of.title}\n{of.task}\nGoals:{goals}"

    # what the learner starts from

    @property
    def start(self) -> type[Kvm]:
        """The design to start from."""
        return self.exercise.start

    def source(self) -> str:
        """The text of a cell to start from."""
        return self.exercise.source()

    # the answer

    def grade(self, answer: Any, *goals: int) -> Grade:
        """Judge an answer by every goal, or by those of these numbers (from 1)."""
        return self.exercise.grade(answer, *goals)

    def check(self, answer: Any, *goals: int) -> None:
        """Raises NotPassed, an AssertionError that says why, unless the answer passes."""
        self.exercise.check(answer, *goals)

    def submit(self, answer: Any) -> Verdict:
        """Hand in an answer: the exercise shows how it was judged, and so does the cell."""
        self._given = answer
        if self.exercise.schedule and isinstance(answer, (list, tuple)):
            self.text.value = _schedule_text(answer)
        return Verdict(self._show(self.grade(answer)))

    def _show(self, grade: Grade, cell: str = "") -> Grade:
        """``cell`` is the text of a cell that would hand in what was judged; '' if it is handed in."""
        self.goals.value = _checklist(self.exercise, grade)
        self.verdict.show(grade, handing_in(cell) if cell else "")
        failed = grade.failed
        told = grade.problem or (f"Goal {failed.number} is not met: {failed.judgement.why}" if failed else "")
        self.live.say(f"{grade.headline}. {told}{f' {NOT_YET}' if cell else ''}")
        return grade

    def _check_current(self) -> None:
        self.live.say("Checking every schedule.")
        answer = self._current()
        grade = self.grade(answer)
        typed = self.exercise.schedule and not grade.problem and answer != _schedule_text(self._given)
        self._show(grade, self._cell(answer) if typed else "")

    def _cell(self, typed: str) -> str:
        """A typed schedule as the text of a cell."""
        return schedule_source(self.exercise.answer(typed).schedule().steps)

    def _current(self) -> Any:
        """The answer as it is now: the text of the schedule, or the class of that name in the notebook."""
        if self.exercise.schedule:
            return self.text.value
        name = getattr(self._given, "__name__", NAME)
        found = getattr(sys.modules["__main__"], name, self._given)
        if found is None:
            raise InputError(
                f"there is no answer yet: run a cell with 'class {NAME}(ex.start): ...', or hand in a class"
                " of another name with ex.submit(...)"
            )
        return found


def _head(of: Exercise) -> str:
    facts = f"Difficulty {of.difficulty}, about {of.minutes} minutes"
    return f'<h3>{escape(of.title)}</h3><p class="dim">{facts}</p><p>{escape(of.task)}</p>'


_MARKS = {None: ("○", "open"), True: ("✔", "met"), False: ("✖", "not met")}


def _checklist(of: Exercise, grade: Grade | None) -> str:
    judged = {o.number: o.met for o in grade.outcomes} if grade else {}
    items = ""
    for number, goal in enumerate(of.goals, 1):
        sign, word = _MARKS[judged.get(number)]
        items += (
            f'<li class="{word.replace(" ", "-")}"><span class="sign" aria-hidden="true">{sign}</span>'
            f"<span>{number}. {escape(goal.words)}. <b>{word}</b></span></li>"
        )
    return f'<h4>Goals</h4><ul class="goals">{items}</ul>'


def _schedule_text(steps: Any) -> str:
    """A list of actions as text to edit. A list that is no schedule stays as it was written."""
    if not isinstance(steps, (list, tuple)) or not steps:
        return "steps:\n"
    try:
        return scenario_yaml({"host": "", "steps": list(steps)}).partition("\n")[2]
    except Exception:  # anything may be in a learner's list: the grade says what is wrong with it
        return f"steps: {steps!r}\n"
