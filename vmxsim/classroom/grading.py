"""Grading what a class handed in: two submissions at a time, each in a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vmxsim.classroom.autograding import RESULT, STARTED, Job, work
from vmxsim.classroom.course import Course, make_course
from vmxsim.classroom.isolation import processes, without_current_directory
from vmxsim.classroom.labs import Lab
from vmxsim.classroom.results import LabResult, TestResult
from vmxsim.classroom.submissions import Submission
from vmxsim.errors import InputError, printable

#: Submissions graded at a time.
AT_A_TIME = 2
#: Seconds that one cell may take.
SECONDS = 60

#: What no student can help.
_FAILED = "grading itself failed"


def grade(
    submissions: Sequence[Submission],
    students: Iterable[str],
    labs: Sequence[Lab],
    starts: Mapping[str, str],
    *,
    seconds: int = SECONDS,
    starting: Callable[[Submission], None] = lambda submission: None,
) -> list[LabResult]:
    """Grade every submission of the labs; a lab that a student did not hand in is told too.

    ``starting`` is told of each submission before it is graded. The students' code runs on this machine,
    as its user. Raises InputError where nbgrader is missing, and where grading itself fails: that is
    booked to no student.
    """
    asked = [one for one in submissions if one.lab is None or one.lab in labs]
    needed = [lab for lab in labs if any(one.lab == lab for one in asked)]
    with tempfile.TemporaryDirectory(prefix="vmxsim-labs-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        with without_current_directory():
            course = make_course(root / "course", needed, starts)
        context = processes()

        def one(numbered: tuple[int, Submission]) -> LabResult:
            number, submission = numbered
            starting(submission)
            return _grade_one(context, course, root / str(number), submission, seconds)

        with without_current_directory(), ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                found = list(pool.map(one, enumerate(asked)))
            except BaseException:  # the teacher has seen enough: what is still waiting need not be graded
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    there = {(result.student, result.lab) for result in found}
    missing = [
        LabResult(student, lab.name, "missing", 0.0, lab.points)
        for student in students
        for lab in labs
        if (student, lab.name) not in there
    ]
    return sorted([*found, *missing], key=lambda r: (r.student.casefold(), r.student, r.lab))


def _grade_one(context: Any, course: Course, folder: Path, one: Submission, seconds: int) -> LabResult:
    lab = one.lab
    if lab is None:
        problem = "is none of the labs: neither its cells nor its name say which"
        return LabResult(one.student, one.path.name, "problem", 0.0, 0.0, problem=problem, file=str(one.path))
    folder.mkdir()
    job = Job(folder, lab.name, one.path.resolve(), course.student_version(lab), course.database, seconds)
    process = context.Process(target=work, args=(job,), daemon=True)
    try:
        process.start()
    except (OSError, EOFError) as error:
        raise InputError(f"{_FAILED}: no process could be started ({printable(error, 200)})") from None
    process.join(6 * seconds + 60)
    if process.exitcode is None:
        process.kill()
        process.join()
        return _problem(one, lab, "did not end, although it was interrupted")
    if not (folder / STARTED).exists():
        raise InputError(
            f"{_FAILED}: a process ended before it read a notebook; its message is above, if any"
        )
    try:
        data = json.loads((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError):
        return _problem(one, lab, "ended the process that graded it")
    if data.get("failed"):
        raise InputError(f"{_FAILED}: {data['failed']}")
    if data["problem"]:
        return _problem(one, lab, data["problem"])
    tests = tuple(TestResult(**test) for test in data["tests"])
    return LabResult(
        student=one.student,
        lab=lab.name,
        status="graded",
        points=sum(test.points for test in tests),
        most=lab.points,
        tests=tests,
        remarks=(*one.remarks, *data["remarks"]),
        answer=data["answer"],
        file=str(one.path),
    )


def _problem(one: Submission, lab: Lab, problem: str) -> LabResult:
    return LabResult(
        one.student,
        lab.name,
        "problem",
        0.0,
        lab.points,
        problem=problem,
        remarks=one.remarks,
        file=str(one.path),
    )
