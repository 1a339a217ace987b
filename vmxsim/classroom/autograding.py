"""One submission, graded in a process of its own: whatever it does, the others are not harmed."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
from attrs import frozen

from vmxsim.classroom.course import DATABASE, STUDENT, course_arguments
from vmxsim.classroom.execution import NOT_RUN, LimitedExecute, limited_autograde
from vmxsim.classroom.mending import as_json, mend, read_notebook
from vmxsim.classroom.results import UNANSWERED, TestResult
from vmxsim.classroom.suspicion import suspicious
from vmxsim.errors import InputError, printable

RESULT = "result.json"
#: There from when a worker runs: without it, nothing that a student wrote was reached.
STARTED = "started"
_read: Any = nbformat.read  # it has no types
_LINE = re.compile(r"line \d+ of your answer: ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@frozen
class Job:
    """Grade the notebook ``submitted`` as ``lab`` in ``folder``, which is empty. ``release`` is the
    student version, ``database`` nbgrader's record of the lab. ``seconds`` are for one cell."""

    folder: Path
    lab: str
    submitted: Path
    release: Path
    database: Path
    seconds: int


def work(job: Job) -> None:
    """Grade, and write the result into the job's folder. Runs in a process of its own."""
    (job.folder / STARTED).touch()
    _be_quiet(job.folder)
    # the kernel is this Python's, and neither reads nor writes the teacher's own settings
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        os.environ[name] = str(job.folder / "jupyter" / name.lower())
    try:
        found: dict[str, Any] = _grade(job)
    except InputError as error:
        found = {"problem": str(error)}
    except Exception as error:  # a submission can hold anything: it gets its line, and the next its turn
        found = {"problem": f"could not be graded ({type(error).__name__}: {printable(error, 200)})"}
    if LimitedExecute.no_kernel:  # no cell of it was reached
        found = {"problem": "", "failed": f"no kernel could be started ({LimitedExecute.no_kernel})"}
    (job.folder / RESULT).write_text(json.dumps(found), encoding="utf-8")


def _be_quiet(folder: Path) -> None:
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, there)


def _grade(job: Job) -> dict[str, Any]:
    release = _read(job.release, as_version=4)
    book, remarks = mend(read_notebook(job.submitted), release)
    answer, start = _answer(book), _answer(release)
    if answer.split() == start.split():
        remarks.append(UNANSWERED)
    given = {cell.source for cell in release.cells}
    own = [c.source for c in book.cells if c.cell_type == "code" and c.source not in given and _is_own(c)]
    remarks += suspicious(own)
    submitted = job.folder / "submitted" / STUDENT / job.lab
    submitted.mkdir(parents=True)
    (submitted / f"{job.lab}.ipynb").write_text(as_json(book), encoding="utf-8")
    shutil.copyfile(job.database, job.folder / DATABASE)
    limits = {"timeout": job.seconds, "iopub_timeout": job.seconds}
    options = {"Execute": limits, "LimitedExecute": {"seconds": 4.0 * job.seconds}}
    limited_autograde(**course_arguments(job.folder, job.lab, STUDENT, options)).start()
    done = _read(
        job.folder / "autograded" / STUDENT / job.lab / f"{job.lab}.ipynb", as_version=nbformat.NO_CONVERT
    )
    tests = [vars_of(test) for test in _tests(job, done, release)]
    return {"tests": tests, "remarks": remarks, "answer": answer, "problem": ""}


def _answer(book: Any) -> str:
    return "\n\n".join(cell.source for cell in book.cells if _is(cell, "solution"))


def _is_own(cell: Any) -> bool:
    """Whether a cell is run as the student wrote it."""
    return "nbgrader" not in cell.metadata or _is(cell, "solution")


def vars_of(test: TestResult) -> dict[str, Any]:
    """A test's result as plain data."""
    return {name: getattr(test, name) for name in ("name", "goal", "points", "most", "words")}


def _tests(job: Job, done: Any, release: Any) -> list[TestResult]:
    from nbgrader.api import Gradebook  # type: ignore[import-untyped]

    with Gradebook(f"sqlite:///{job.folder / DATABASE}", "labs") as book:
        grades = book.find_submission_notebook(job.lab, job.lab, STUDENT).grades
        points = {grade.name: (float(grade.score), float(grade.max_score)) for grade in grades}
    answer_failed = next(
        (error for cell in done.cells if _is(cell, "solution") and (error := _error(cell))), ""
    )
    goals = {c.metadata.nbgrader.grade_id: _goal(c) for c in release.cells if _is(c, "grade")}
    return [
        TestResult(name, goals.get(name, name), *points[name], _words(cell, answer_failed))
        for cell in done.cells
        if _is(cell, "grade") and (name := cell.metadata.nbgrader.grade_id) in points
    ]


def _is(cell: Any, what: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(what))


def _goal(cell: Any) -> str:
    """What a test asks for: the comment in its first line."""
    first = cell.source.partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else str(cell.metadata.nbgrader.grade_id)


def _error(cell: Any) -> str:
    """Why a cell failed; '' if it did not."""
    for output in cell.get("outputs", ()):
        if output.output_type == "error":
            words = _COLOURS.sub("", output.evalue).strip()
            if output.ename in ("CellTimeoutError", "KeyboardInterrupt"):  # interrupted, or not even that
                return "it took too long: an endless loop?"
            if output.ename in ("SyntaxError", "IndentationError", "TabError"):
                return _syntax(words, cell)
            plain = output.ename in ("NotPassed", "AssertionError", "InputError", NOT_RUN)
            return words if plain and words else f"{output.ename}: {words}"
        if output.output_type == "stream" and output.name == "stderr":
            return f"it wrote to standard error: {printable(output.text, 200)}"
    return ""


def _syntax(words: str, cell: Any) -> str:
    """Where in the answer the error is; Python names a file that nobody has."""
    found = re.fullmatch(r"(.*) \([^()]*, line (\d+)\)", words, re.DOTALL)
    whose = "your answer" if _is(cell, "solution") else "a cell"
    return f"line {found[2]} of {whose}: {found[1]}" if found else f"{whose}: {words}"


def _words(cell: Any, answer_failed: str) -> str:
    error = _error(cell)
    if error.startswith("NameError") and answer_failed:
        return answer_failed if _LINE.match(answer_failed) else f"the answer's cell failed: {answer_failed}"
    return error
