"""What became of an answer: each goal met or not, why, and what shows it."""

from __future__ import annotations

from attrs import frozen

from vmxsim.checker.result import Counterexample
from vmxsim.errors import InputError
from vmxsim.exercises.goals.goal import Example, Judgement
from vmxsim.runtrace import RunTrace


@frozen
class Outcome:
    """Goal ``number`` (from 1) of an exercise, in ``words``, and how it was judged."""

    number: int
    words: str
    judgement: Judgement

    @property
    def met(self) -> bool:
        """Whether the answer does it."""
        return self.judgement.met


@frozen(slots=False, repr=False)
class Grade:
    """An answer's grade. ``answer`` says what was judged, ``problem`` why nothing could be
    (then there are no outcomes). Printed, it tells all; a notebook shows it as HTML."""

    title: str
    answer: str
    outcomes: tuple[Outcome, ...]
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether every goal that was judged is met."""
        return not self.problem and all(outcome.met for outcome in self.outcomes)

    @property
    def failed(self) -> Outcome | None:
        """The first goal that is not met."""
        return next((outcome for outcome in self.outcomes if not outcome.met), None)

    @property
    def example(self) -> Example | None:
        """What shows the first goal that is not met; of an answer that passed, what shows that."""
        shown = [o for o in self.outcomes if o.met == self.passed and o.judgement.example]
        return shown[0].judgement.example if shown else None

    @property
    def trace(self) -> RunTrace | None:
        """The run to play; None where there is none."""
        return trace_of(self.example)

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        if self.problem:
            return f"{self.title}: not passed"
        met, total = sum(o.met for o in self.outcomes), len(self.outcomes)
        if total == 1:
            what = f"goal {self.outcomes[0].number} is {'met' if met else 'not met'}"
        else:
            what = f"{met} of {total} goals met"
        return f"{self.title}: {'passed' if self.passed else 'not passed'}, {what}"

    def __repr__(self) -> str:
        from vmxsim.exercises.gradetext import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from vmxsim.exercises.gradehtml import as_html

        return as_html(self)


def trace_of(example: Example | None) -> RunTrace | None:
    """The run that an example is; None where the design fails before there is one."""
    if not isinstance(example, Counterexample):
        return example
    if example.failure:
        return None
    try:
        return example.trace
    except InputError:
        return None


class NotPassed(AssertionError):
    """An answer did not pass. ``str()`` is the grade as text; a notebook shows nothing else."""

    def __init__(self, grade: Grade) -> None:
        self.grade = grade
        super().__init__(str(grade))

    def _render_traceback_(self) -> list[str]:
        return [str(self)]
