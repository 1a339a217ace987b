"""Worker processes that import nothing from where the teacher happens to be: only what is installed."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Where this package was imported from: always on the workers' path.
_PACKAGE = Path(__file__).resolve().parents[2]


def processes() -> Any:
    """Processes that load nbgrader once, where that is possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vmxsim.classroom.autograding"])
    return context


@contextmanager
def without_current_directory() -> Iterator[None]:
    """Processes that are started meanwhile, and theirs, do not look for modules in the current directory.

    A stray ``html.py`` there would be imported in the place of Python's own. The directory that
    holds vmxsim itself stays.
    """
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
