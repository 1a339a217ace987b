"""Places to write to, tried before the work is done whose results they are to take."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vmxsim.errors import InputError, printable


def require_file(path: Path) -> None:
    """Raises InputError where the file could not be written; makes none."""
    try:
        if path.exists():
            with path.open("a"):
                return
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise _cannot(path, error) from None


def require_folder(path: Path) -> None:
    """Raises InputError where no file could be written into the folder, or no such folder made; makes
    none."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be written: {error.strerror or error}", printable(path, 200))
