"""``vmxsim.quiz``: questions without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape
from random import randrange
from typing import Any

import ipywidgets as w

from vmxsim.errors import InputError, printable
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.ask import ask_again
from vmxsim.teaching.questions.question import Question
from vmxsim.teaching.questions.session import SESSION
from vmxsim.teaching.questions.supply import TOPICS, check_topic, supply
from vmxsim.views.film import film
from vmxsim.widgets.message import Again
from vmxsim.widgets.predict import PredictGate


def quiz(seed: int | None = None, topic: str | None = None) -> Quiz:
    """One question after another, each about a run of its own: a design, a schedule and a kind of question
    drawn at random, of those that are worth asking.

    ``seed`` makes the same questions again; without it, they are new each time. ``topic`` is ``places``,
    ``preemption``, ``migration``, ``interception``, ``long-mode``, ``accessors``, ``32-bit-host``,
    ``code``, ``cost`` or ``bugs``; without it, all of them are asked about. A question that went wrong on the
    first try in another notebook, in a quiz or in ``vmxsim.predict``, comes first; that needs a design of
    the package. Answers are kept, see ``vmxsim.answers``. Raises InputError for an unknown topic or a seed
    that is no whole number.
    """
    check_topic(topic)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise InputError(f"expected a whole number, such as 7, not {printable(repr(seed))}", "seed")
    return Quiz(randrange(1000) if seed is None else seed, topic)


#: Questions of earlier notebooks that come first.
_AGAIN = 3


class Quiz(Again, w.VBox):
    """Shows a question, and the next one when asked to."""

    def __init__(self, seed: int, topic: str | None) -> None:
        self.seed, self.topic, self.number = seed, topic, 0
        self.gate: PredictGate | None = None
        self._questions = self._supply()
        self.heading = w.HTML()
        self.more = w.Button(description="Next question", tooltip="Another run, another question")
        self.more.on_click(lambda _: self.next())
        super().__init__()
        self.next()

    def __repr__(self) -> str:
        about = self.topic or "all topics"
        return f"A quiz about {about}, seed {self.seed}, at question {self.number}. {self.gate!r}"

    def _supply(self) -> Iterator[tuple[Trace, Question, str, tuple[str, str] | None]]:
        """Runs and questions, with what to say of each, and (notebook, id) of one that comes back."""
        again = 0
        for notebook, name, recipe in SESSION.due():
            with suppress(InputError):  # made by another version of vmxsim
                trace, question = ask_again(recipe)
                yield trace, question, f"again, from {notebook.removesuffix('.ipynb')}", (notebook, name)
                again += 1
            if again == _AGAIN:
                break
        about = f"{self.topic}: {TOPICS[self.topic].words}" if self.topic else "all topics"
        for trace, question in supply(self.seed, self.topic):
            yield trace, question, f"{about} (seed {self.seed})", None

    def next(self) -> None:
        """Ask the next question."""
        trace, question, words, came_from = next(self._questions)
        self.number += 1
        self.heading.value = f"<strong>Question {self.number}</strong> · {escape(words)}"
        old, self.gate = self.gate, PredictGate([trace], [film(trace)], [(0, question)])
        if came_from is not None:
            self.gate.observe(lambda change: self._came_back(change, *came_from), "answers")
        self.children = (w.HBox([self.heading, self.more]), self.gate)
        if old is not None:
            old.close()

    def _came_back(self, change: Mapping[str, Any], notebook: str, name: str) -> None:
        if change["new"]:
            SESSION.came_back(notebook, name)
