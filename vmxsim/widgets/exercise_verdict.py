"""The verdict on an answer: what is not met and why, and the run that shows it, to play."""

from __future__ import annotations

from html import escape
from importlib.resources import files

import ipywidgets as w

from vmxsim.checker.result import Counterexample
from vmxsim.errors import InputError
from vmxsim.exercises.goals.goal import Example, sentence
from vmxsim.exercises.grade import Grade, Outcome, trace_of
from vmxsim.exercises.gradehtml import schedule_html, verdict_html
from vmxsim.views.film import film
from vmxsim.views.style import theme_css
from vmxsim.widgets.check_result import telling_steps
from vmxsim.widgets.message import Message
from vmxsim.widgets.player import Player


def css() -> str:
    """Of an exercise and of a verdict that stands alone."""
    sheet = files("vmxsim.widgets").joinpath("exercise.css").read_text("utf-8")
    return f"<style>{theme_css('.vmxsim-exercise')}{sheet}</style>"


class Verdict(w.VBox):
    """A grade, or nothing yet. Shown by itself below a cell, or as part of an exercise."""

    def __init__(self, grade: Grade | None = None) -> None:
        self.grade = grade
        self.words, self.note = w.HTML(), w.HTML(layout={"display": "none"})
        self.play = w.Button(
            description="Play it",
            tooltip="Step through the run, from where it goes wrong",
            button_style="primary",
            layout={"width": "auto"},
        )
        self.message = Message()
        self.stage = w.VBox()
        self.player: Player | None = None
        self.play.on_click(lambda _: self.message.guard(self._play))
        super().__init__([w.HTML(css()), self.words, self.note, self.play, self.message, self.stage])
        self.add_class("vmxsim-exercise")
        self.add_class("vmxsim-exercise-verdict")
        self.show(grade)

    def __repr__(self) -> str:
        return repr(self.grade) if self.grade else "no answer yet"

    def show(self, grade: Grade | None, note: str = "") -> None:
        """Show a grade, and below it a ``note``, HTML; what an earlier one played is put away."""
        self.note.value, self.note.layout.display = note, None if note else "none"
        self.grade, self.player, self.stage.children = grade, None, ()
        self.message.say("")
        self.words.value = _html(grade) if grade else ""
        self.play.layout.display = None if grade and grade.trace else "none"

    def _play(self) -> None:
        example = self.grade.example if self.grade else None
        trace = trace_of(example)
        if example is None or trace is None:
            raise InputError("there is no run to play")
        if self.player is None:
            self.player = Player()
            self.player.show(film(trace), _where(example))
            self.stage.children = [self.player]
        self.player.look()


def _where(example: Example) -> int:
    """The step of the run to begin with: the one that loses the value, or the first that is wrong."""
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
    head = f"<h4>{sign} Goal {outcome.number} {word}</h4><p>{escape(sentence(judgement.why))}</p>"
    if judgement.example is None or not judgement.telling:
        return head
    return head + schedule_html(judgement.example)
