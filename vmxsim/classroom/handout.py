"""Student versions: written where the teacher wants them, over nothing that somebody has worked on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from vmxsim.classroom.course import make_course
from vmxsim.classroom.labs import Lab
from vmxsim.classroom.needs import require_nbgrader
from vmxsim.errors import InputError, printable


def student_versions(labs: Iterable[Lab], starts: Mapping[str, str]) -> dict[str, str]:
    """The student version of each lab as text, by the lab's name. Raises InputError."""
    labs = list(labs)
    with tempfile.TemporaryDirectory(prefix="vmxsim-labs-") as folder:
        course = make_course(Path(folder), labs, starts, database=False)
        return {lab.name: course.student_version(lab).read_text("utf-8") for lab in labs}


def hand_out(folder: Path, labs: Iterable[Lab], starts: Mapping[str, str], force: bool = False) -> list[Path]:
    """Write the student versions into ``folder``; returns the files.

    Raises InputError where a file is there already and differs, unless ``force``.
    """
    require_nbgrader()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        versions = student_versions(labs, starts)
        files = {folder / f"{name}.ipynb": text for name, text in versions.items()}
        taken = [path for path, text in files.items() if path.exists() and path.read_bytes() != text.encode()]
        if taken and not force:
            names = ", ".join(path.name for path in taken)
            raise InputError(
                f"holds other versions of {names}, maybe somebody's work: choose an empty folder, or --force",
                printable(folder, 200),
            )
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(folder, 200)) from None
    return list(files)
