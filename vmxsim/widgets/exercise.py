"""``vmxsim.exercise``: a task, its goals as a checklist, hints one by one, and the checker's verdict."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import anywidget
import ipywidgets as w
import traitlets
from attrs import NOTHING, fields

from vmxsim.checker.result import Counterexample, telling_steps
from vmxsim.errors import InputError, unknown
from vmxsim.kernel.kvm import Kvm
from vmxsim.simulation.scenario import scenario_yaml
from vmxsim.teaching.classroom.reading import read_answer
from vmxsim.teaching.exercises.catalogue import EXERCISES
from vmxsim.teaching.exercises.goals import Example
from vmxsim.teaching.exercises.grade import Grade, Outcome, schedule_html, trace_of, verdict_html
from vmxsim.teaching.exercises.specification import Exercise, schedule_source
from vmxsim.teaching.exercises.variants import variant_of
from vmxsim.views.film import film
from vmxsim.views.words import several
from vmxsim.web.assets import style
from vmxsim.widgets.controls import NATURAL, main_button
from vmxsim.widgets.message import Again, Message
from vmxsim.widgets.player import Player

NOT_YET = 'Not handed in yet: copy it into the cell "Your answer".'


def handing_in(cell: str) -> str:
    """The reminder as HTML, with the text of the ``cell`` to copy; a click selects all of it."""
    label = "The text for the cell Your answer"
    return (
        f'<p class="not-yet"><b>{escape(NOT_YET)}</b> Click the text to select it.</p>'
        f'<pre class="to-copy" tabindex="0" role="region" aria-label="{label}">{escape(cell.rstrip())}</pre>'
    )


class Hints(w.VBox):
    """Hints that a button reveals one by one; each is also passed to ``say``."""

    def __init__(self, hints: Sequence[str], say: Callable[[str], None]) -> None:
        self._hints, self._say = list(hints), say
        self.shown = 0
        self.button = w.Button(tooltip="Show one more hint", layout={"width": "auto"})
        self.list = w.HTML()
        self.button.on_click(lambda _: self.more())
        super().__init__([self.list, self.button])
        self.add_class("vmxsim-exercise-hints")
        self._name()
        if not self._hints:
            self.layout.display = "none"

    def more(self) -> None:
        """Show the next hint, if there is one."""
        if self.shown == len(self._hints):
            return
        self.shown += 1
        items = "".join(f"<li>{escape(hint)}</li>" for hint in self._hints[: self.shown])
        self.list.value = f"<h4>Hints</h4><ol>{items}</ol>"
        self._name()
        self._say(f"Hint {self.shown} of {len(self._hints)}: {self._hints[self.shown - 1]}")

    def _name(self) -> None:
        total = len(self._hints)
        if self.shown < total:
            self.button.description = f"Show hint {self.shown + 1} of {total}"
        else:
            self.button.description = f"All {total} hints are shown"
            self.button.disabled = True


class Announcer(anywidget.AnyWidget):
    """An invisible line for screen readers. It changes its text in place, since replaced elements are
    often not announced."""

    _esm = """
export default { render({ model, el }) {
  const line = document.createElement("div");
  line.setAttribute("role", "status");
  line.setAttribute("aria-live", "polite");
  line.className = "vmxsim-said";
  el.append(line);
  const say = () => { line.textContent = model.get("said"); };
  model.on("change:said", say);
  say();
  return () => model.off("change:said", say);
} };
"""

    _css = """
.vmxsim-said {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
"""

    said = traitlets.Unicode("").tag(sync=True)

    def say(self, text: str) -> None:
        """Announce a text, even if it equals the last one."""
        self.said = f"{text}\u00a0" if text == self.said else text


class Verdict(Again, w.VBox):
    """A grade, if there is one. Shown below a cell or as part of an exercise."""

    def __init__(self, grade: Grade | None = None) -> None:
        self.grade = grade
        self.words, self.note = w.HTML(), w.HTML(layout={"display": "none"})
        self.play = main_button("Play it", "Step through the run from where it goes wrong")
        self.message = Message()
        self.stage = w.VBox()
        self.player: Player | None = None
        self.play.on_click(lambda _: self.message.guard(self._play))
        css = w.HTML(f"<style>{style(('exercise',), '.vmxsim-exercise')}</style>")
        super().__init__([css, self.words, self.note, self.play, self.message, self.stage])
        self.add_class("vmxsim-exercise")
        self.add_class("vmxsim-exercise-verdict")
        self.show(grade)

    def __repr__(self) -> str:
        return repr(self.grade) if self.grade else "no answer yet"

    def show(self, grade: Grade | None, note: str = "") -> None:
        """Show a grade and below it a ``note`` in HTML; removes the last grade's player."""
        self.note.value, self.note.layout.display = note, None if note else "none"
        self.grade, self.player, self.stage.children = grade, None, ()
        self.message.say("")
        self.words.value = _html(grade) if grade else ""
        self.play.layout.display = None if grade and grade.trace else "none"

    def _play(self) -> None:
        example = self.grade.example if self.grade else None
        trace = trace_of(example)
        if example is None or trace is None:
            raise InputError("this answer has no run to play")
        if self.player is None:
            self.player = Player()
            self.player.show(film(trace), _where(example))
            self.stage.children = [self.player]
        self.player.look()


def _where(example: Example) -> int:
    """The step to start at: the one to blame, or the first violation."""
    if isinstance(example, Counterexample):
        return telling_steps(example)[0]
    return next((v.step + 1 for v in example.violations if v.step >= 0), 0)


def _html(grade: Grade) -> str:
    shown = [outcome for outcome in grade.outcomes if not outcome.met or outcome.judgement.example]
    judged = f'<p class="dim">Judged: {escape(grade.answer)}</p>' if grade.answer else ""
    return verdict_html(grade) + judged + "".join(_outcome(outcome) for outcome in shown)


def _outcome(outcome: Outcome) -> str:
    judgement = outcome.judgement
    sign, word = ("✔", "is met") if outcome.met else ("✖", "is not met")
    head = f"<h4>{sign} Goal {outcome.number} {word}</h4><p>{escape(judgement.in_full())}</p>"
    if judgement.example is None or not judgement.telling:
        return head
    return head + schedule_html(judgement.example)


_UNREADABLE = "It passes, but if this lab is graded, the cell is read as text and not accepted:"

#: The name of a learner's class until one with another name is handed in.
NAME = "Mine"


def exercise(which: str | Exercise | None = None, *, variant: str = "", **own: Any) -> ExerciseForm:
    """An exercise, for a notebook cell to display.

    ``which`` is the id of one of the labs' exercises or an
    :class:`~vmxsim.teaching.exercises.specification.Exercise`; or give an Exercise's fields
    as keywords. ``variant`` is the code of a student's own version of a lab's exercise. ``submit`` hands in
    an answer; ``check`` asserts that it passes.

    Raises InputError.
    """
    if (which is None) != bool(own):
        raise InputError("expected an exercise's id, or the fields of your own as keywords", "exercise")
    if which is not None:
        return ExerciseForm(which if isinstance(which, Exercise) else variant_of(str(which), variant))
    given = {"id": "own", "title": "Exercise", **own}
    known = {field.name: field.default is NOTHING for field in fields(Exercise)}
    for name in own:
        if name not in known:
            raise unknown("field", name, known, "exercise")
    if missing := [name for name, needed in known.items() if needed and name not in given]:
        raise InputError(f"it needs {several(missing)} too", "exercise")
    return ExerciseForm(Exercise(**given))


class ExerciseForm(Again, w.VBox):
    """Task, goals, hints, answer and verdict of an exercise."""

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
            style=NATURAL,
            layout={"width": "auto", "display": None if of.schedule else "none"},
        ).add_class("vmxsim-exercise-schedule")
        self.button = main_button("Check my answer", "Check the answer against every goal")
        self.message = Message()
        self.verdict = Verdict()
        self.button.on_click(lambda _: self.message.guard(self._check_current))
        parts = [self.head, self.goals, self.hints, self.text, self.button]
        super().__init__(
            [*parts, self.message, self.verdict, self.live]
        )  # the verdict brings the style sheet
        self.add_class("vmxsim-exercise")
        self.add_class("vmxsim-exercise-form")

    def __repr__(self) -> str:
        of = self.exercise
        goals = "".join(f"\n  {number}. {goal.words}." for number, goal in enumerate(of.goals, 1))
        return f"{of.title}\n{of.task}\nGoals:{goals}"

    @property
    def start(self) -> type[Kvm]:
        """The design to start from."""
        return self.exercise.start

    def source(self) -> str:
        """The text of a cell to start from."""
        return self.exercise.source()

    def grade(self, answer: Any, *goals: int) -> Grade:
        """Grade an answer against every goal, or against these (numbered from 1)."""
        return self.exercise.grade(answer, *goals)

    def check(self, answer: Any, *goals: int) -> None:
        """Raises NotPassed, an AssertionError that says why, unless the answer passes."""
        self.exercise.check(answer, *goals)

    def submit(self, answer: Any) -> Verdict:
        """Hand in an answer; both the exercise and the cell show its grade."""
        self._given = answer
        if self.exercise.schedule and isinstance(answer, (list, tuple)):
            self.text.value = _schedule_text(answer)
        grade = self._show(self.grade(answer))
        below = Verdict(grade)
        if grade.passed and (why := self._unreadable(answer)):
            below.show(grade, f'<p class="not-yet"><b>{escape(_UNREADABLE)}</b> {escape(why)}</p>')
        return below

    def _unreadable(self, answer: Any) -> str:
        """Why a lab's answer would not be accepted from the cell that it stands in, which is read and not run
        for that; '' if it would be, or if no cell is known."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython else None
        if shell is None or self.exercise.id not in EXERCISES:
            return ""
        names = [name for name, value in shell.user_ns.items() if value is answer and name[0] != "_"]
        for cell in reversed(shell.user_ns.get("In", ())):
            if any(re.search(rf"^(class +{name}\b|{name}\s*[:=])", cell, re.MULTILINE) for name in names):
                try:
                    read_answer(cell, self.exercise)
                except InputError as error:
                    return str(error)
                return ""
        return ""

    def _show(self, grade: Grade, cell: str = "") -> Grade:
        """Show a grade. ``cell`` is the text of a cell that would hand in the answer; '' if it already is."""
        self.goals.value = _checklist(self.exercise, grade)
        self.verdict.show(grade, handing_in(cell) if cell else "")
        failed = grade.failed
        told = grade.problem or (
            f"Goal {failed.number} is not met: {failed.judgement.in_full(capital=False)}" if failed else ""
        )
        self.live.say(f"{grade.headline}. {told}{f' {NOT_YET}' if cell else ''}")
        return grade

    def _check_current(self) -> None:
        self.live.say("Checking every schedule.")
        answer = self._current()
        grade = self.grade(answer)
        typed = self.exercise.schedule and not grade.problem and answer != _schedule_text(self._given)
        self._show(grade, self._cell(answer) if typed else "")

    def _cell(self, typed: str) -> str:
        """The text of a cell that hands in a typed schedule."""
        return schedule_source(self.exercise.answer(typed).schedule().steps)

    def _current(self) -> Any:
        """The current answer: the typed schedule, or the class of that name in the notebook."""
        if self.exercise.schedule:
            return self.text.value
        name = getattr(self._given, "__name__", NAME)
        found = getattr(sys.modules["__main__"], name, self._given)
        if found is None:
            raise InputError(
                f"there is no answer yet: run a cell with 'class {NAME}(ex.start): ...', or hand in a class"
                " with another name using ex.submit(...)"
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
    """A list of actions as text to edit; anything else as its repr."""
    if not isinstance(steps, (list, tuple)) or not steps:
        return "steps:\n"
    try:
        return scenario_yaml({"host": "", "steps": list(steps)}).partition("\n")[2]
    except Exception:  # a learner's list may contain anything; the grade says what is wrong
        return f"steps: {steps!r}\n"
