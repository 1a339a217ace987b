"""The labs' sources: notebooks with solutions, each with its number, id, title and points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from vmxsim.errors import InputError, nearest, printable


@frozen
class Lab:
    """A lab. ``name`` is its file's name without ``.ipynb``: number and id, ``1-one-tick``."""

    name: str
    id: str
    title: str
    points: float
    path: Path

    @property
    def number(self) -> str:
        """What stands before the id in its name."""
        return self.name.removesuffix(f"-{self.id}")


def find_sources() -> Path:
    """The folder of the labs' sources: the clone's that this package stands in, else the current
    directory's. Raises InputError where neither has any."""
    beside = Path(__file__).resolve().parents[2] / "notebooks" / "labs" / "source"
    for folder in (beside, Path.cwd() / "notebooks" / "labs" / "source"):
        if any(folder.glob("*.ipynb")):
            return folder
    raise InputError(
        f"the labs are not in {beside}: they come with the project's clone, not with the installed package."
        " Run this in a directory that holds notebooks/labs/source"
    )


def read_labs(folder: Path | None = None) -> list[Lab]:
    """All labs, in the order of their numbers. Raises InputError."""
    return [_read(path) for path in sorted((folder or find_sources()).glob("*.ipynb"))]


def _read(path: Path) -> Lab:
    try:
        book = json.loads(path.read_text("utf-8"))
        cells, id_ = book["cells"], book["metadata"]["vmxsim"]["lab"]
        heading = "".join(cells[0]["source"]).splitlines()[0]
        points = sum(_points(cell) for cell in cells)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"is no lab: {type(error).__name__} {printable(error)}", str(path)) from None
    return Lab(path.stem, id_, heading.lstrip("# ").partition(": ")[2] or heading, points, path)


def _points(cell: Any) -> float:
    marks = cell["metadata"].get("nbgrader", {})
    return float(marks.get("points", 0)) if marks.get("grade") else 0.0


def choose_labs(names: Iterable[str], labs: Sequence[Lab]) -> list[Lab]:
    """The labs of these numbers, ids or names; all, if none is given. Raises InputError."""
    known = {key: lab for lab in labs for key in (lab.number, lab.id, lab.name, f"{lab.name}.ipynb")}
    chosen = []
    for name in names:
        if name not in known:
            ids = [lab.id for lab in labs]
            raise InputError(
                f"no lab '{printable(name)}'{nearest(name, known)}; the labs are {', '.join(ids)}", "LAB"
            )
        chosen.append(known[name])
    return [lab for lab in labs if lab in chosen] if chosen else list(labs)
