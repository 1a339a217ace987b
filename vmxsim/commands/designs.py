"""Naming a design on the command line: an id, a commit, a prefix, or FILE.py:NAME."""

from __future__ import annotations

from pathlib import Path

from vmxsim.designs import find_design
from vmxsim.designs.own import design_in
from vmxsim.kernel.kvm import Kvm


def named_design(text: str) -> type[Kvm]:
    """The design that an argument names; a file is executed, which a scenario never asks for.

    Raises InputError.
    """
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py"):
        return design_in(Path(file), name)
    if text.endswith(".py"):
        return design_in(Path(text), "")
    return find_design(text)
