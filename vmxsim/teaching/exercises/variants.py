"""Versions of an exercise, one for each student: other values, another tick, another tag.

What has to be understood is the same. A copied answer does not fit: in a schedule the guest's value and the
place of the tick are the student's own; a design's functions carry a tag, which an answer keeps.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve, frozen

from vmxsim.errors import InputError, printable
from vmxsim.kernel.compiler import lower_text
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.program import Const, Function, Primitive
from vmxsim.teaching.exercises.catalogue import find_exercise
from vmxsim.teaching.exercises.goals import Answer, Goal, Judgement
from vmxsim.teaching.exercises.specification import Exercise
from vmxsim.views.words import several

_CODE = re.compile(r"[0-9a-f]{8}")


def code_of(seed: str, student: str) -> str:
    """The code of a student's versions: the same for the same ``seed`` and name, whatever its case."""
    name = " ".join(student.casefold().split())
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()[:8]


def variant_of(id_: str, code: str = "") -> Exercise:
    """The exercise of this id in the version of a ``code``; '' for the one in the course. Raises
    InputError."""
    exercise = find_exercise(id_)
    if not code:
        return exercise
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise InputError(f"expected eight hexadecimal digits, not {printable(repr(code))}", "variant")
    return _schedule(exercise, code) if exercise.schedule else _tagged(exercise, code)


@frozen
class Own:
    """A goal that also asks for what is the student's own: ``wrong`` says what is not, '' if nothing."""

    goal: Goal
    own: str
    wrong: Callable[[Answer], str]

    @property
    def words(self) -> str:
        """For the checklist."""
        return f"{self.goal.words} ({self.own})"

    def judge(self, answer: Answer) -> Judgement:
        """The goal, if the answer is one to this version."""
        if wrong := self.wrong(answer):
            return Judgement(False, wrong)
        return self.goal.judge(answer)


# -- schedules: the guest's value, and how the thread loses its CPU

#: What a schedule of an exercise must have, besides the value, in each of its versions: words, and actions of
#: which one is in it, or the CPU on which a thread resumes.
_TICKS: dict[str, tuple[tuple[str, str], ...]] = {
    "one-tick": (("the thread resumes on CPU 0", "0"), ("the thread resumes on CPU 1", "1")),
    "what-was-granted": (
        ("the thread makes a trip to user space", "exit"),
        ("the thread is scheduled out and resumes on CPU 0", "preempt cpu0"),
        ("the thread is scheduled out and resumes on CPU 1", "preempt cpu1"),
    ),
}


def _schedule(exercise: Exercise, code: str) -> Exercise:
    value, ticks = mark_of(code), _TICKS[exercise.id]
    words, tick = ticks[int(code, 16) % len(ticks)]
    own = f"yours: the guest writes {value}, and {words}"

    def wrong(answer: Answer) -> str:
        actions = answer.schedule().actions
        if not any(a.verb == "guest wrmsr" and a.value == int(value, 16) for a in actions):
            return f"it is no answer to your version, in which the guest writes {value}"
        if tick.isdigit():
            fits = all(str(point.cpu or 0) == tick for a in actions for point in a.preempt)
        else:
            fits = any(tick in (a.verb, f"{a.verb} cpu{a.cpu}") for a in actions)
        return "" if fits else f"it is no answer to your version, in which {words}"

    return evolve(
        exercise,
        task=f"{exercise.task} Your version: the guest writes {value}, and {words}.",
        schedule=[str(step).replace("0xA000", value) for step in exercise.schedule],
        goals=[Own(goal, own, wrong) for goal in exercise.goals],
    )


# -- designs: a tag in every function

_TAG = "TAG"


def _tagged(exercise: Exercise, code: str) -> Exercise:
    number = _number(code)
    line = f'vmcs_write("{_TAG}", {mark_of(code)})'
    start = _with_line(exercise.start, exercise.edit, line)

    def wrong(answer: Answer) -> str:
        found = answer.design.functions()
        for name in exercise.edit:
            tags = set(tags_of(found[name]))
            if tags - {number}:
                other = ", ".join(map(hex, sorted(tags - {number})))
                return f"{name}() has the tag {other}, and yours is {number:#x}: is it your answer?"
            if not tags:
                return f"{name}() has lost your tag: keep its line {line}"
        return ""

    first, *others = exercise.goals
    what = several(f"{name}()" for name in exercise.edit)
    return evolve(
        exercise,
        task=f"{exercise.task} Your version is tagged: {what} keep the line {line}.",
        start=start,
        goals=[Own(first, f"yours: they keep {line}", wrong), *others],
    )


def tags_of(function: Function) -> Iterable[int]:
    """The numbers that a function writes as a tag."""
    for i in function.instructions:
        match i.expr:
            case Primitive("vmcs_write", (Const(name), Const(int() as number))) if name == _TAG:
                yield number


def _with_line(start: type[Kvm], functions: Iterable[str], line: str) -> type[Kvm]:
    """The design with a line more at the end of these functions, before what they return."""
    known = start.functions()
    made = {}
    for name in functions:
        source = list(known[name].source)
        at = len(source) - source[-1].strip().startswith("return")
        source.insert(at, f"    {line}")
        made[name] = lower_text(known[name], source, known.__contains__)
    like: Any = type(start)
    return like(start.__name__, (start,), {"__module__": __name__, "_lowered": made})


def mark_of(code: str) -> str:
    """What tells a student's versions from all others, and stands in every answer to them: the guest's value,
    and the tag."""
    return hex(_number(code))


def _number(code: str) -> int:
    """Odd and of eight digits, as no number in the course is."""
    return 0x10000001 | int(code, 16)
