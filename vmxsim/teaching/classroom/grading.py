"""Grades a class: each submission in a process of its own, so that none can harm another."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from attrs import asdict, evolve, frozen
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.notebooknode import NotebookNode
from nbgrader.converters import Autograde  # type: ignore[import-untyped]
from nbgrader.preprocessors import Execute  # type: ignore[import-untyped]
from traitlets import Float

from vmxsim.errors import InputError, printable
from vmxsim.teaching.classroom.handout import DATABASE, STUDENT, Course, Lab, course_arguments, make_course
from vmxsim.teaching.classroom.submissions import (
    UNANSWERED,
    LabResult,
    Submission,
    TestResult,
    mend,
    read_notebook,
)
from vmxsim.teaching.exercises.grade import GRADE_DATA, GRADING
from vmxsim.teaching.questions.store import VARIABLE

_node: Any = NotebookNode  # it has no types
#: What a cell's error is called where it could not be run.
NOT_RUN = "NotRun"


class LimitedExecute(Execute):
    """Gives up a notebook after ``seconds``, and survives the death of its kernel: the cells that could not
    be run hold an error that says why, and so count as failed."""

    seconds = Float(240.0).tag(config=True)
    #: Why no kernel could be started, which no notebook can help; '' if one could.
    no_kernel: ClassVar[str] = ""

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> Any:
        """Run all cells."""
        self._end, self._why, self._reached = time.monotonic() + self.seconds, "", False
        try:
            return super().preprocess(nb, resources, km)
        except Exception as error:
            if not self._reached:
                type(self).no_kernel = f"{type(error).__name__}: {printable(error, 200)}"
            raise

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:
        """Run one cell, or say in it why not."""
        self._reached = True
        if not self._why and time.monotonic() > self._end:
            self._why = f"the notebook ran for more than {self.seconds:g} seconds"
        if not self._why:
            try:
                return super().preprocess_cell(cell, resources, index)
            except CellTimeoutError:
                self._why = "it took too long, and could not be interrupted: an endless loop?"
            except DeadKernelError:
                self._why = "the kernel died: memory, or the notebook ended it"
        if cell.cell_type == "code":
            error = {"output_type": "error", "ename": NOT_RUN, "evalue": self._why, "traceback": [self._why]}
            cell.outputs.append(_node(error))
        return cell, resources


def limited_autograde(**arguments: Any) -> Autograde:
    """nbgrader's autograding with :class:`LimitedExecute`."""
    converter = Autograde(**arguments)
    converter.autograde_preprocessors = [
        LimitedExecute if preprocessor is Execute else preprocessor
        for preprocessor in converter.autograde_preprocessors
    ]
    return converter


#: Where this package was imported from: always on the workers' path.
_PACKAGE = Path(__file__).resolve().parents[3]


def processes() -> Any:
    """Processes that load nbgrader once, where that is possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vmxsim.teaching.classroom.grading"])
    return context


@contextmanager
def without_current_directory() -> Iterator[None]:
    """Processes started meanwhile, and theirs, do not look for modules in the current directory: a stray
    ``html.py`` there would replace Python's own. The directory that holds vmxsim itself stays."""
    path, names = list(sys.path), ("PYTHONSAFEPATH", "PYTHONPATH")
    kept = {name: os.environ.get(name) for name in names}
    sys.path[:] = _safe(path)
    os.environ["PYTHONSAFEPATH"] = "1"
    if kept["PYTHONPATH"] is not None:
        os.environ["PYTHONPATH"] = os.pathsep.join(_safe(kept["PYTHONPATH"].split(os.pathsep)))
    try:
        yield
    finally:
        sys.path[:] = path
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _safe(places: list[str]) -> list[str]:
    here = Path.cwd().resolve()
    return [
        place
        for place in places
        if (there := Path(place or ".").resolve()) != here or (place and there == _PACKAGE)
    ]


#: Names that the tests use.
_TESTS_USE = {"vmxsim", "ex"}
#: Calls that an answer has no use for.
_CALLS = {"setattr", "delattr", "exec", "eval", "__import__", "globals", "locals", "vars"}


def suspicious(sources: Iterable[str]) -> list[str]:
    """What in a student's cells is worth a look, a remark each."""
    told: dict[str, None] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it does not run either
        for node in ast.walk(tree):
            if found := _found(node):
                told[f"look at the answer: it {found}"] = None
    return list(told)


def _found(node: ast.AST) -> str:
    if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        root = _root(node)
        if root in _TESTS_USE:
            return f"changes {ast.unparse(node)}, which the tests use"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        return f"calls {node.func.id}()"
    if isinstance(node, ast.Attribute) and node.attr == "modules" and _root(node) == "sys":
        return "uses sys.modules"
    return ""


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


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
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", GRADING: "1"}
    os.environ[VARIABLE] = ""  # a submission's predictions are nobody's progress
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
    theirs = [c for c in book.cells if "nbgrader" not in c.metadata or _is(c, "solution")]
    remarks += suspicious(c.source for c in theirs if c.cell_type == "code" and c.source not in given)
    submitted = job.folder / "submitted" / STUDENT / job.lab
    submitted.mkdir(parents=True)
    (submitted / f"{job.lab}.ipynb").write_text(json.dumps(book), encoding="utf-8")
    shutil.copyfile(job.database, job.folder / DATABASE)
    limits = {"timeout": job.seconds, "iopub_timeout": job.seconds}
    options = {"Execute": limits, "LimitedExecute": {"seconds": 4.0 * job.seconds}}
    limited_autograde(**course_arguments(job.folder, job.lab, STUDENT, options)).start()
    done = _read(
        job.folder / "autograded" / STUDENT / job.lab / f"{job.lab}.ipynb", as_version=nbformat.NO_CONVERT
    )
    tests = [asdict(test) for test in _tests(job, done, release)]
    return {"tests": tests, "remarks": remarks, "answer": answer, "problem": ""}


def _answer(book: Any) -> str:
    return "\n\n".join(cell.source for cell in book.cells if _is(cell, "solution"))


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
        TestResult(name, goals.get(name, name), *points[name], _words(cell, answer_failed), _grade_data(cell))
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


def _grade_data(cell: Any) -> dict[str, Any] | None:
    """The grade that a failed test left in its cell."""
    found = (output.data for output in cell.get("outputs", ()) if output.output_type == "display_data")
    return next((dict(data[GRADE_DATA]) for data in found if GRADE_DATA in data), None)


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

    ``starting`` is called for each submission before it is graded. The students' code runs on this machine,
    as its user. A keyboard interrupt leaves the rest ungraded. Raises InputError if nbgrader is missing, and
    where grading itself fails: that is booked to no student.
    """
    asked = [one for one in submissions if one.lab is None or one.lab in labs]
    needed = [lab for lab in labs if any(one.lab == lab for one in asked)]
    with tempfile.TemporaryDirectory(prefix="vmxsim-labs-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        with without_current_directory():
            course = make_course(root / "course", needed, starts)
        context = processes()

        found: dict[int, LabResult] = {}

        def one(number: int, submission: Submission) -> None:
            starting(submission)
            found[number] = _grade_one(context, course, root / str(number), submission, seconds)

        with without_current_directory(), ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                for _ in pool.map(one, range(len(asked)), asked):
                    pass
            except BaseException as end:  # what is still waiting need not be graded
                done = dict(found)
                pool.shutdown(wait=False, cancel_futures=True)
                if not isinstance(end, KeyboardInterrupt):
                    raise
                found = {number: r for number, r in done.items() if r.status == "graded"}
    results = [found.get(number) or _not_graded(one) for number, one in enumerate(asked)]
    there = {(result.student, result.lab) for result in results}
    missing = [
        LabResult(student, lab.name, "missing", 0.0, lab.points)
        for student in students
        for lab in labs
        if (student, lab.name) not in there
    ]
    return sorted([*results, *missing], key=lambda r: (r.student.casefold(), r.student, r.lab))


#: The problem of a notebook that was not graded because of an interrupt.
NOT_GRADED = "was not graded: interrupted"


def _not_graded(one: Submission) -> LabResult:
    name, most = (one.lab.name, one.lab.points) if one.lab else (one.path.name, 0.0)
    return LabResult(one.student, name, "problem", 0.0, most, problem=NOT_GRADED, file=str(one.path))


def _grade_one(context: Any, course: Course, folder: Path, one: Submission, seconds: int) -> LabResult:
    lab, file = one.lab, str(one.path)
    if lab is None:
        problem = "is not one of the labs: neither its cells nor its name say which"
        return LabResult(one.student, one.path.name, "problem", 0.0, 0.0, problem=problem, file=file)
    found = LabResult(one.student, lab.name, "problem", 0.0, lab.points, remarks=one.remarks, file=file)
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
        return evolve(found, problem="did not end, although it was interrupted")
    if not (folder / STARTED).exists():
        raise InputError(
            f"{_FAILED}: a process ended before it read a notebook; its message is above, if any"
        )
    try:
        data = json.loads((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError):
        return evolve(found, problem="ended the process that graded it")
    if data.get("failed"):
        raise InputError(f"{_FAILED}: {data['failed']}")
    if data["problem"]:
        return evolve(found, problem=data["problem"])
    tests = tuple(TestResult(**test) for test in data["tests"])
    remarks, total = (*one.remarks, *data["remarks"]), sum(test.points for test in tests)
    return evolve(found, status="graded", points=total, tests=tests, remarks=remarks, answer=data["answer"])
