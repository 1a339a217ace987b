"""Judges an answer in a process of its own, which ends afterwards.

The process is forked from one that has never seen an answer, gets the answer as text, has limits of time and
memory, writes no file, and says what it found as JSON through a pipe.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from vmxsim.designs.own import limit_memory
from vmxsim.errors import InputError, printable
from vmxsim.teaching.classroom.reading import read_answer, same_code, suspicious
from vmxsim.teaching.exercises.variants import variant_of

#: Seconds that an answer may take.
SECONDS = 60
#: What no student can help.
_FAILED = "grading itself failed"


@frozen
class Task:
    """What there is to judge: the ``answer`` to the exercise ``lab`` in its ``variant`` ('' for the one in
    the course), and the other ``cells`` that the student wrote, for a look at what they try."""

    lab: str
    answer: str
    cells: tuple[str, ...] = ()
    variant: str = ""


@frozen
class Judged:
    """What was found. ``refused`` says why the text is no answer ('' if it is one), ``goals`` has of each
    goal, in order, what :meth:`~vmxsim.teaching.exercises.grade.Grade.as_data` tells. ``flags`` are worth a
    look by the teacher."""

    unanswered: bool = False
    refused: str = ""
    goals: tuple[dict[str, Any], ...] = ()
    flags: tuple[str, ...] = ()

    def as_text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | bytes) -> Judged:
        """What :meth:`as_text` wrote. Raises ValueError or TypeError for anything else."""
        data = json.loads(text)
        return cls(data["unanswered"], data["refused"], tuple(data["goals"]), tuple(data["flags"]))


def judge(task: Task) -> Judged:
    """Read the answer and judge it by every goal of its exercise, here and now."""
    exercise = variant_of(task.lab, task.variant)
    flags = tuple(suspicious((task.answer, *task.cells)))
    text = task.answer
    if same_code(text, "") or same_code(text, exercise.source()):
        return Judged(unanswered=True, flags=flags)
    try:
        given = read_answer(text, exercise)
    except InputError as error:
        return Judged(refused=str(error), flags=flags)
    except RecursionError:
        return Judged(refused="your answer: is nested too deeply", flags=flags)
    grade = exercise.grade(given)
    return Judged(refused=grade.problem, goals=tuple(grade.as_data()["goals"]), flags=flags)


def processes() -> Any:
    """Processes that load what judges once, where that is possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


#: What a process says first: from then on, its end is the answer's doing.
_STARTED = b"started"


def work(task: Task, out: Connection) -> None:
    """Judge, and tell. Runs in a process of its own."""
    out.send_bytes(_STARTED)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    limit_memory()
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = judge(task)
    except MemoryError:
        found = Judged(refused="your answer: judging it takes too much memory")
    except Exception as error:  # an answer can hold anything: it gets its line, and the next its turn
        told = f"{type(error).__name__}: {printable(error, 200)}"
        found = Judged(refused=f"your answer: cannot be judged ({told})")
    out.send_bytes(found.as_text().encode())


def judge_apart(context: Any, task: Task, seconds: int = SECONDS) -> Judged:
    """Judge in a process of its own, one of ``context``'s.

    Raises InputError where no process could start to judge: that is booked to no student.
    """
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(task, there), daemon=True)
    try:
        process.start()
    except (OSError, EOFError) as error:
        raise InputError(f"{_FAILED}: no process could be started ({printable(error, 200)})") from None
    there.close()
    try:
        if not here.poll(60 + seconds) or here.recv_bytes() != _STARTED:
            raise EOFError
    except (EOFError, OSError):
        process.kill()
        raise InputError(f"{_FAILED}: a process ended before it read an answer") from None
    try:
        if here.poll(seconds):
            return Judged.from_text(here.recv_bytes())
        return Judged(refused=f"your answer: judging it takes more than {seconds} seconds")
    except (EOFError, OSError, ValueError, TypeError, KeyError):
        return Judged(refused="your answer: ended the process that judged it: is it nested too deeply?")
    finally:
        process.kill()
        process.join()
        here.close()


#: Where this package was imported from: always on the processes' path.
_PACKAGE = Path(__file__).resolve().parents[3]


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
