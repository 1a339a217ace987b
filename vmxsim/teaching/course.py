"""The course's notebooks: where they are, and working copies of them that belong to the learner.

A working copy is a folder of the learner's. What is there is never overwritten unless it is as it was copied,
and a manifest in the folder says how that was. Outputs do not count: who only runs a notebook has changed
nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrs import define, field

from vmxsim.errors import InputError, counted, printable

FIRST = "00-start-here.ipynb"
#: The working copy's name in the current folder, if no other is named.
USUAL_COPY = "vmxsim-course"
#: In a working copy: how each file was when it was copied.
MANIFEST = ".vmxsim-course.json"

_PACKAGE = Path(__file__).resolve().parents[1]
#: ``02-the-patch.ipynb`` and, for those who want to go further, ``02b-...``.
_LESSON = re.compile(r"\d\d[a-z]?-.*\.ipynb")


def find_course() -> tuple[Path, bool]:
    """The folder of the notebooks, and whether it is a checkout's, which is worked in: the one beside this
    package, ``notebooks`` in the current folder, else the course that the installed package carries.

    Raises InputError if there is none.
    """
    beside, carried = _PACKAGE.parent / "notebooks", _PACKAGE / "data" / "course"
    for folder in (beside, Path.cwd() / "notebooks"):
        if (folder / FIRST).is_file():
            return folder, True
    if (carried / FIRST).is_file():
        return carried, False
    raise InputError(
        f"the notebooks are neither in {beside} nor in {carried}: this installation is not complete. Install"
        f" vmxsim again, or run this in a folder that holds notebooks/{FIRST}"
    )


def lessons(folder: Path) -> list[Path]:
    """The course's notebooks in a folder, in the order in which they are read."""
    return sorted(path for path in folder.glob("*.ipynb") if _LESSON.fullmatch(path.name))


@define
class WorkingCopy:
    """What was done to a working copy: paths relative to it. ``newer`` are those of which the course has
    another version than the learner's copy began as; ``beside`` where such a version was put."""

    folder: Path
    copied: list[str] = field(factory=list)
    updated: list[str] = field(factory=list)
    newer: list[str] = field(factory=list)
    beside: dict[str, str] = field(factory=dict)

    def __str__(self) -> str:
        told = []
        if self.copied:
            told.append(f"{self.folder}: {counted(len(self.copied), 'file')} of the course copied")
        if self.updated:
            told.append(f"brought up to date: {', '.join(self.updated)}")
        told += [
            f"{name} has changes of yours; the course's new version is beside it: {other}"
            for name, other in self.beside.items()
        ]
        if self.newer:
            told.append(
                f"the course has a new version of {', '.join(self.newer)}: 'vmxsim lab --refresh' brings it"
            )
        return "\n".join(told)


def work_on(source: Path, folder: Path, refresh: bool = False) -> WorkingCopy:
    """Make a working copy of the course in ``folder``, or add to one what is missing. With ``refresh``, files
    that the learner has not changed are brought up to date, and of the others a new version is put beside.

    Raises InputError if something else is in the folder, or if it cannot be written.
    """
    done = WorkingCopy(folder)
    try:
        began = _read_manifest(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in course_files(source):
            _work_on_file(source / name, folder / name, name, began, refresh, done)
        text = json.dumps({"version": _version(), "files": began}, indent=1, sort_keys=True) + "\n"
        if not (folder / MANIFEST).is_file() or (folder / MANIFEST).read_text("utf-8") != text:
            (folder / MANIFEST).write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{printable(str(folder), 300)} cannot be written: {error.strerror}") from None
    return done


def _work_on_file(
    new: Path, mine: Path, name: str, began: dict[str, str], refresh: bool, done: WorkingCopy
) -> None:
    """Bring one file of a working copy as far as is allowed; ``began`` says how each was copied."""
    digest = _digest(new)
    if not mine.exists():
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.write_bytes(new.read_bytes())
        done.copied.append(name)
    elif began.get(name) == digest or _digest(mine) == digest:
        pass
    elif not refresh:
        done.newer.append(name)
        return
    elif _digest(mine) == began.get(name):
        mine.write_bytes(new.read_bytes())
        done.updated.append(name)
    else:
        other = _beside(mine, digest)
        if not other.exists():
            other.write_bytes(new.read_bytes())
        done.beside[name] = other.name
    began[name] = digest


def _beside(mine: Path, digest: str) -> Path:
    """Where a new version goes: ``02-the-patch.new.ipynb``, numbered where that is another one."""
    number = 1
    while True:
        other = mine.with_name(f"{mine.stem}.new{'' if number == 1 else number}{mine.suffix}")
        if not other.exists() or _digest(other) == digest:
            return other
        number += 1


def course_files(source: Path) -> Iterator[str]:
    """What a learner gets: all but the labs' sources, which hold the answers, and hidden files."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and name.parts[:2] != ("labs", "source") and not _is_hidden(name):
            yield name.as_posix()


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.parts)


def _read_manifest(folder: Path) -> dict[str, str]:
    """How the files of a working copy were copied, by name; empty for a folder to be made."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    if not folder.is_dir():
        raise InputError(f"{printable(str(folder), 300)} is a file; name a folder with --dir")
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        if isinstance(files, dict):
            return {str(name): str(digest) for name, digest in files.items()}
        why = "cannot be read"
    except FileNotFoundError:
        why = "is missing"
    except (ValueError, KeyError, TypeError):
        why = "cannot be read"
    raise InputError(
        f"{printable(str(folder), 300)} is no working copy of the course ({MANIFEST} {why}), and nothing"
        " in it is touched; name another folder with --dir"
    )


def _digest(path: Path) -> str:
    """A digest of what a file says: of a notebook its cells, whatever was run in it."""
    data = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            cells = json.loads(data)["cells"]
            said = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
            data = json.dumps(said).encode()
        except (ValueError, KeyError, TypeError):
            pass  # a broken notebook is the learner's, as it is
    return hashlib.sha256(data).hexdigest()


def _version() -> str:
    try:
        return version("vmxsim")
    except PackageNotFoundError:
        return ""
