"""Judgements kept on disk, line by line as they are made: what ends the grading loses none of them."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import cache
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from vmxsim.errors import cannot_write
from vmxsim.teaching.classroom.judging import Judged, Task
from vmxsim.teaching.exercises.variants import variant_of


def place_for(folder: Path) -> Path:
    """The file for what is handed in in ``folder``, among the user's Jupyter data."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return Path(jupyter_data_dir()) / "vmxsim" / "graded" / f"{name}.jsonl"


class Kept:
    """The judgements in a file, by what was judged: no student is named. Without ``resume`` it starts
    empty; without a file it holds them as long as it lives. Raises InputError if the file cannot be
    written."""

    def __init__(self, path: Path | None = None, resume: bool = False) -> None:
        self._found: dict[str, Judged] = {}
        self._lock = threading.Lock()
        self._out = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if resume and path.exists():
                self._read(path)
            self._out = path.open("a" if resume else "w", encoding="utf-8")
            self._out.write("\n" * resume)  # a line that was cut off ends here
        except OSError as error:
            raise cannot_write(path, error) from None

    def _read(self, path: Path) -> None:
        for line in path.read_text("utf-8", errors="replace").splitlines():
            key, _, text = line.partition(" ")
            try:
                self._found[key] = Judged.from_text(text)
            except (ValueError, TypeError, KeyError):
                continue  # cut off where the grading ended

    def get(self, task: Task) -> Judged | None:
        """The judgement of this very answer, by the exercise as it is now."""
        return self._found.get(_key(task))

    def put(self, task: Task, judged: Judged) -> None:
        """Keep a judgement, at once."""
        key = _key(task)
        with self._lock:
            self._found[key] = judged
            if self._out is None:
                return
            try:
                self._out.write(f"{key} {judged.as_text()}\n")
                self._out.flush()
            except OSError:  # a full disk: the results are still told at the end
                self._out = None

    def close(self) -> None:
        """No more will come."""
        if self._out is not None:
            self._out.close()


def _key(task: Task) -> str:
    goals = [goal.words for goal in variant_of(task.lab, task.variant).goals]
    told = json.dumps([_this_vmxsim(), goals, task.lab, task.variant, task.answer, task.cells])
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def _this_vmxsim() -> list[tuple[str, int]]:
    """What changes with the simulator and the checker: another one may judge otherwise."""
    package = Path(__file__).resolve().parents[2]
    return sorted((path.name, path.stat().st_size) for path in package.rglob("*.py"))
