"""``vmxsim.predict`` and ``vmxsim.answers``: a run that stops to ask what happens next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as w

from vmxsim.errors import InputError, checked, counted, printable
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.ask import ask, recipe, spans_apart, voted
from vmxsim.teaching.questions.question import Question
from vmxsim.teaching.questions.session import SESSION, Answers, Progress
from vmxsim.views.film import film
from vmxsim.widgets.message import Again
from vmxsim.widgets.player import Player

#: A question, or its kind and where: ``("value", {"action": 2})``.
Asked = str | Question | tuple[str, Mapping[str, Any]]


@checked
def predict(
    trace: Trace,
    question: Asked | Sequence[Asked] = "live",
    *,
    step: int | None = None,
    action: int | None = None,
    at: str | None = None,
    after: str | None = None,
    before: str | None = None,
    nth: int | None = None,
    of: str | None = None,
    locked: bool = False,
    votes: int | None = None,
) -> PredictGate:
    """A player that stops before a step of ``trace``, or before a whole action, and asks a question.

    ``question`` is ``live`` (which place is the guest's ★ afterward?), ``stale`` (which place
    holds a stale or foreign value?), ``owner`` (whose value does the register hold?), ``preempt``
    (a tick comes after this line: when does the scheduler act?), ``intercepted`` (does the guest's
    access exit, and why?), ``value`` (what does the action return?) or ``line`` (which line runs next?).
    The answer to ``count`` (how many operations does the action take? ``of``: ``msr``, ``rdmsr``,
    ``wrmsr``, ``reload`` or ``entry``) and ``reads`` (what value does the access read?) is typed; to
    ``lost`` (which step loses the guest's value?) and ``leak`` (at which step can another owner read a
    value?) it is a step that the reader marks.

    What to predict is a step or a whole action:

    - ``at="FUNCTION: TEXT"``: the first step in that function whose source line contains the text;
      ``at="FUNCTION"``: the first step in it. ``after`` and ``before`` mean the step next to that one:
      ``predict(run, "line", after="vmx_get_msr: if vmx.loaded")`` asks where a test leads. ``action``
      (from 0) looks in that action only, ``nth=2`` takes the second such step, ``nth=-1`` the last;
    - ``step``: a step by its number (from 1);
    - ``action`` alone: all steps of that action (from 0).

    Negative numbers count from the end. For several questions, pass a list of questions with their places:
    ``[("live", {"at": "vmx_vcpu_put"}), ("value", {"action": 3})]``.

    The steps after a question stay hidden until it is answered: by the reader or, if ``locked``, by an
    audience whose ``votes`` (at least that many; default 1) the presenter clicks in. Options and reasons
    come from the trace. Answers are kept, see ``vmxsim.answers``. Raises InputError if a question cannot
    be asked.
    """
    where = {"step": step, "action": action, "at": at, "after": after, "before": before, "nth": nth, "of": of}
    questions = questions_asked(trace, question, **where)
    return PredictGate([trace], [film(trace)], [(0, q) for q in questions], locked=locked, votes=votes)


def questions_asked(trace: Trace, question: Asked | Sequence[Asked] = "live", **where: Any) -> list[Question]:
    """The questions that a call of :func:`predict` asks. Raises InputError if one cannot be asked."""
    if not hasattr(trace, "steps"):
        raise InputError(f"expected a trace, as vmxsim.run returns, not {printable(repr(trace))}", "trace")
    if isinstance(question, str):
        return [ask(trace, question, **where)]
    if not isinstance(question, (Question, tuple, list)):
        shown = printable(repr(question))
        raise InputError(f"expected a question or a list of them, not {shown}", "question")
    if any(value is not None for value in where.values()):
        raise InputError("give each question in a list its own place: ('value', {'action': 2})", "predict")
    return questions_of(trace, [question] if isinstance(question, Question | tuple) else question)


@checked
def answers(*, key: bool = False, reset: bool = False) -> AnswersTable:
    """This notebook's questions and answers as a live table; with ``key``, for instructors, every
    question with its right answer and the reason.

    They are kept in one file in the user's Jupyter data directory, by notebook, and stand again when the
    notebook runs in another kernel. ``reset`` forgets those of this notebook. The environment variable
    VMXSIM_ANSWERS names another file; set to nothing, answers last as long as the kernel.
    """
    if reset:
        forgotten = SESSION.reset()
        print(
            f"{counted(forgotten, 'answer')} forgotten. Run the cells with questions again to be asked again."
        )
    return AnswersTable(Answers(key=key))


def my_progress() -> Progress:
    """A row of ticks for each notebook: ✔ right on the first try, ✖ not right, · not answered yet."""
    return Progress()


class AnswersTable(Again, w.HTML):
    """The answers as a live table; ``told`` has them as rows and text."""

    def __init__(self, told: Answers) -> None:
        super().__init__()
        self.told = told
        told.session.listeners.add(self)
        self.session_changed()

    def session_changed(self) -> None:
        """Show the latest questions and answers."""
        self.value = f'<div style="line-height:1.45">{self.told._repr_html_()}</div>'

    def __repr__(self) -> str:
        return repr(self.told)


def questions_of(trace: Trace, asked: Iterable[Asked]) -> list[Question]:
    """Several questions about a trace, in the order in which they come up.

    Raises InputError for an empty list, a question that cannot be asked, or two that overlap.
    """
    found = [_question(trace, one) for one in asked]
    if not found:
        raise InputError("expected at least one question", "predict")
    found.sort(key=lambda q: (q.before, q.after))
    if not spans_apart(found):
        raise InputError("two questions overlap; each must be answered before the next one starts", "predict")
    return found


def _question(trace: Trace, one: Any) -> Question:
    if isinstance(one, Question):
        return one
    if isinstance(one, str):
        return ask(trace, one)
    if not isinstance(one, tuple) or len(one) != 2 or not isinstance(one[1], Mapping):
        raise InputError(f"expected a question such as ('live', {{'action': 1}}), not {one!r}", "predict")
    kind, where = one
    return ask(trace, kind, **where)


def gate_data(
    traces: Sequence[Trace], questions: Iterable[tuple[int, Question]], locked: bool, votes: int | None
) -> list[dict[str, Any]]:
    """(film, question) pairs as the player's ``gates``; with two films, each prompt names its design."""
    found = []
    for which, q in questions:
        of = f"{traces[which].title}; {traces[which].subtitle}"
        data = (voted(q, of) if locked else q).as_data(of)
        if len(traces) > 1:
            data["prompt"] = f"In {traces[which].name}: {data['prompt']}"
        found.append(data | {"film": which, "locked": locked, "votes": votes})
    return found


def enter_questions(
    traces: Sequence[Trace], questions: Sequence[tuple[int, Question]], locked: bool, votes: int | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask (film, question) pairs in this session: the player's ``gates``, and the answers known already."""
    gates = gate_data(traces, questions, locked, votes)
    return gates, SESSION.ask(gates, [recipe(traces[which], question) for which, question in questions])


class PredictGate(Player):
    """A player that asks questions and remembers the answers."""

    def __init__(
        self,
        traces: Sequence[Trace],
        films: Sequence[Mapping[str, Any]],
        questions: Sequence[tuple[int, Question]],
        pairs: Sequence[tuple[int, int]] = (),
        divergence: Mapping[str, Any] | None = None,
        *,
        locked: bool = False,
        votes: int | None = None,
        start: int | None = None,
        **traits: Any,
    ) -> None:
        if votes is not None and votes < 1:
            raise InputError(f"expected at least 1, not {votes}", "votes")
        gates, known = enter_questions(traces, questions, locked or votes is not None, votes)
        super().__init__(answers=known, **traits)
        self.observe(self._on_answers, "answers")
        first = next((g for g in gates if g["id"] not in self.answers), None)
        at = start if start is not None else first["before"] if first else gates[-1]["after"] if gates else 0
        if pairs:
            self.show_two(films, pairs, divergence or {}, at, gates)
        else:
            self.show(films[0], at, gates)

    def _on_answers(self, change: Mapping[str, Any]) -> None:
        SESSION.answer(change["new"], [gate["id"] for gate in self.gates])
