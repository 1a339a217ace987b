"""What the commands share: consoles, values as text, one clear line for an error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from vmxsim.designs import find_design
from vmxsim.designs.own import design_in
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import Value

# -- Naming a design on the command line: an id, a commit, a prefix, or FILE.py:NAME.


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


# -- (main)


FINE, VIOLATED, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3
#: A fault of the program itself (EX_SOFTWARE of sysexits.h).
FAULT = 70


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader of our output has gone: that changes no verdict (rich itself exits with 1)."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output for people: colour only on a terminal, NO_COLOR honoured."""
    return _Console(highlight=False, emoji=False, markup=False, soft_wrap=not sys.stdout.isatty())


def complain(error: InputError) -> int:
    """Print an error to standard error; returns the exit status for bad input."""
    print(f"vmxsim: {printable(str(error), 2000)}", file=sys.stderr)
    return BAD_INPUT


def remark(text: str) -> None:
    """A note for people, beside the output."""
    print(f"note: {printable(text, 2000)}", file=sys.stderr)


def print_json(data: Any) -> None:
    """One JSON object on a line."""
    print(json.dumps(data))


def plain(value: Any) -> Any:
    """A machine's field as JSON can hold it: values as hexadecimal text."""
    return hex(value.number) if isinstance(value, Value) else value
