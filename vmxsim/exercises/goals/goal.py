"""What every goal is: a sentence for the checklist, and a judgement of an answer."""

from __future__ import annotations

from typing import Any, Protocol

from attrs import frozen

from vmxsim.checker.result import Counterexample
from vmxsim.errors import InputError
from vmxsim.exercises.answer import Answer
from vmxsim.runtrace import RunTrace

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


def sentence(text: str, capital: bool = True) -> str:
    """A text with a full stop, and with a capital where its first word is an ordinary one."""
    text = text.strip().rstrip(".")
    first = text.split(" ")[0].rstrip(":,")
    if capital and first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return f"{text}." if text else ""


def several(names: Any, last: str = "and") -> str:
    """``a, b and c``."""
    *first, end = [str(name) for name in names]
    return f"{', '.join(first)} {last} {end}" if first else end
