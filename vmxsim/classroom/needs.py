"""What the classroom needs and ordinary use does not."""

from __future__ import annotations

from importlib.util import find_spec

from vmxsim.errors import InputError


def require_nbgrader() -> None:
    """Raises InputError, with what to install, where nbgrader is missing."""
    if find_spec("nbgrader") is None:
        raise InputError(
            "handing out and grading needs nbgrader, which is not installed:"
            " .venv/bin/python -m pip install --editable '.[classroom]'"
        )
