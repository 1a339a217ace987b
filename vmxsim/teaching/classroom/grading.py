"""Grades a class from the text of its answers; see :mod:`~vmxsim.teaching.classroom.reading`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import asdict, evolve, field, frozen

from vmxsim.errors import InputError, printable
from vmxsim.teaching.classroom.handout import Lab, LabTest
from vmxsim.teaching.classroom.judging import (
    SECONDS,
    Judged,
    Task,
    judge_apart,
    processes,
    without_current_directory,
)
from vmxsim.teaching.classroom.kept import Kept
from vmxsim.teaching.classroom.reading import same_code
from vmxsim.teaching.classroom.submissions import Submission, read_answer_of, read_notebook
from vmxsim.teaching.exercises.variants import code_of, mark_of

#: Remarks and problems.
UNANSWERED = "not answered: the answer's cell is as it was given"
EMPTY = "not answered: the answer's cell is empty"
NOT_GRADED = "was not graded: interrupted"


@frozen
class TestResult:
    """A test of a lab: what it asks for, its points, and if it failed why, in ``words`` and as the ``goals``
    that it asks for, of which each tells whether it is met."""

    __test__ = False  # pytest: this is no test

    name: str
    goal: str
    points: float
    most: float
    words: str = ""
    goals: tuple[dict[str, Any], ...] = ()


@frozen
class LabResult:
    """A student's lab. ``status`` is ``graded``, ``problem`` (``problem`` says which) or ``missing``.
    ``refused`` says why the text is no answer; ``flags`` are what the teacher should look at. ``answer`` is
    what the student wrote."""

    student: str
    lab: str
    status: str
    points: float
    most: float
    tests: tuple[TestResult, ...] = field(default=())
    problem: str = ""
    refused: str = ""
    remarks: tuple[str, ...] = field(default=())
    flags: tuple[str, ...] = field(default=())
    answer: str = ""
    file: str = ""

    def as_data(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self, filter=lambda field, _: field.name not in ("answer", "goals"))


def grade(
    submissions: Sequence[Submission],
    students: Iterable[str],
    labs: Sequence[Lab],
    *,
    seconds: int = SECONDS,
    jobs: int = 0,
    seed: str = "",
    kept: Kept | None = None,
    done: Callable[[Submission], None] = lambda submission: None,
) -> list[LabResult]:
    """Grade every submission of the labs; a lab that a student did not hand in is told too.

    ``jobs`` answers are judged at a time (0: one for each CPU), each within ``seconds``. With a ``seed``
    every student has versions of their own. ``kept`` has what was judged before, and gets the rest. A
    keyboard interrupt leaves the rest ungraded. Raises InputError where grading itself fails: that is booked
    to no student.
    """
    students = list(students)
    asked = [one for one in submissions if one.lab is None or one.lab in labs]
    codes = {name: code_of(seed, name) for name in students} if seed else {}
    class_ = _Class(codes, seconds, kept or Kept())
    found: dict[int, LabResult] = {}

    def one(number: int, submission: Submission) -> None:
        found[number] = class_.grade(submission)
        done(submission)

    with without_current_directory(), ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            for _ in pool.map(one, range(len(asked)), asked):
                pass
        except BaseException as end:  # what is still waiting need not be graded
            finished = dict(found)
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(end, KeyboardInterrupt):
                raise
            found = finished
    results = [found.get(number) or _problem(one, NOT_GRADED) for number, one in enumerate(asked)]
    there = {(result.student, result.lab) for result in results}
    missing = [
        LabResult(student, lab.name, "missing", 0.0, lab.points)
        for student in students
        for lab in labs
        if (student, lab.name) not in there
    ]
    return sorted([*results, *missing], key=lambda r: (r.student.casefold(), r.student, r.lab))


class _Class:
    """Grades one submission after the other, from several threads. ``codes`` are those of the students'
    versions, by name; empty if all have the same."""

    def __init__(self, codes: Mapping[str, str], seconds: int, kept: Kept) -> None:
        self.codes, self.seconds, self.kept = codes, seconds, kept
        self.whose = {mark_of(code): name for name, code in codes.items()} | {
            code: name for name, code in codes.items()
        }
        self.context = processes()
        self.locks: dict[Task, threading.Lock] = {}
        self.lock = threading.Lock()

    def grade(self, one: Submission) -> LabResult:
        """What a submission earns."""
        lab = one.lab
        if one.problem:
            return _problem(one, one.problem)
        if lab is None:
            return _problem(one, "is not one of the labs: neither its cells nor its name say which")
        try:
            cells = read_notebook(one.path)
            handed = read_answer_of(cells, lab)
        except InputError as error:
            return _problem(one, str(error))
        task = Task(lab.id, handed.answer, handed.cells, self.codes.get(one.student, ""))
        judged = self.judged(task)
        remarks = (*one.remarks, *handed.remarks)
        if judged.unanswered:
            remarks = (*remarks, EMPTY if same_code(handed.answer, "") else UNANSWERED)
        tests = tuple(result_of(test, judged) for test in lab.tests)
        return LabResult(
            one.student,
            lab.name,
            "graded",
            sum(test.points for test in tests),
            lab.points,
            tests,
            refused=judged.refused,
            remarks=remarks,
            flags=(*judged.flags, *self.others(one.student, (handed.answer, *handed.cells))),
            answer=handed.answer,
            file=str(one.path),
        )

    def judged(self, task: Task) -> Judged:
        """The judgement of a task; of the same task for several students once."""
        with self.lock:
            lock = self.locks.setdefault(task, threading.Lock())
        with lock:
            found = self.kept.get(task)
            if found is None:
                found = judge_apart(self.context, task, self.seconds)
                self.kept.put(task, found)
            return found

    def others(self, student: str, texts: Iterable[str]) -> list[str]:
        """A flag for each of the others whose version a text is of."""
        words = {word for text in texts for word in re.findall(r"\b(?:0x)?[0-9a-f]{8}\b", text.lower())}
        names = sorted({self.whose[word] for word in words & set(self.whose)} - {student})
        return [f"has what only the version of {printable(name)} has" for name in names]


def _problem(one: Submission, problem: str) -> LabResult:
    name, most = (one.lab.name, one.lab.points) if one.lab else (one.path.name, 0.0)
    return LabResult(
        one.student, name, "problem", 0.0, most, problem=problem, remarks=one.remarks, file=str(one.path)
    )


def result_of(test: LabTest, judged: Judged) -> TestResult:
    """What a test gives: its points if the answer meets each of the goals that it asks for."""
    result = TestResult(test.name, test.words, 0.0, test.points)
    if judged.unanswered:
        return evolve(result, words="not answered")
    if judged.refused:
        return evolve(result, words=judged.refused)
    goals = tuple(judged.goals[number - 1] for number in test.goals)
    if all(goal["met"] for goal in goals):
        return evolve(result, points=test.points, goals=goals)
    return evolve(result, goals=goals)
