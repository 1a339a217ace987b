"""``vmxsim new``: a skeleton for a design of the reader's own."""

from __future__ import annotations

from pathlib import Path

import click

from vmxsim.commands.common import FINE, FORCE_OPTION, named_design, remark
from vmxsim.designs import DESIGNS
from vmxsim.designs.history import reached, source_lines, touched_by_patches
from vmxsim.errors import InputError, write_file
from vmxsim.kernel.kvm import Kvm


@click.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "parent", metavar="DESIGN", required=True, help="The design to change.")
@FORCE_OPTION
def new_command(file: Path, parent: str, force: bool) -> int:
    """Write a skeleton for a design of your own to FILE, a Python file.

    It holds a subclass of DESIGN with copies of the functions that a patch would touch. As written, it
    behaves exactly like DESIGN: change what you want to change, and delete the rest. Then run
    'vmxsim check --file FILE'.
    """
    design = named_design(parent)
    if design.id not in DESIGNS:
        raise InputError("start from a design of the history; to change your own, copy its file", "--from")
    if file.suffix != ".py":
        raise InputError("expected the name of a Python file (.py)", file)
    write_file(file, skeleton(design), overwrite=force)
    remark(f"wrote {file}; next: vmxsim check --file {file}")
    return FINE


def skeleton(design: type[Kvm]) -> str:
    """The text of a Python file with a subclass of ``design`` that changes nothing yet."""
    functions = reached(design)
    text = f'''"""A design of my own, on top of {design.id}: {design.title}."""

from vmxsim.designs import {design.__name__}
from vmxsim.kernel.language import *


class Mine({design.__name__}):
    """What I change, and why."""
'''
    for name in touched_by_patches(design):
        if any(i.callee and i.callee.kind == "super" for i in functions[name].instructions):
            continue  # a copy would call its own parent's version, and so do everything twice
        text += "\n" + "".join(f"    {line}".rstrip() + "\n" for line in source_lines(functions[name]))
    return text
