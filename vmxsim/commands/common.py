"""What the commands share: naming a design, common options, consoles and tables, exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vmxsim.designs import find_design
from vmxsim.designs.history import never_called
from vmxsim.designs.own import design_of_file
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import Value
from vmxsim.kernel.program import SourceLine
from vmxsim.simulation.scenario import GS_BASES_FROM, HOSTS

FINE, VIOLATED, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3
#: A bug in vmxsim itself (EX_SOFTWARE of sysexits.h).
FAULT = 70
#: Ctrl-C, as a shell counts it.
INTERRUPTED = 130

HOST_OPTION = click.option("--host", type=click.Choice(HOSTS), help="Width of the host's user space.")
INTERCEPTION_OPTION = click.option(
    "--interception",
    type=click.Choice(["rule", "bitmap"]),
    help="When guest accesses exit: by the design's rule, or by what the real MSR bitmaps were left at.",
)


#: Where the vCPU thread's user GS base comes from, and how the kernel saves and loads it.
GS_BASE_OPTION = click.option(
    "--gs-base-from",
    type=click.Choice(GS_BASES_FROM),
    help="Where the vCPU thread's GS base comes from. [default: msr with a 64-bit host, else descriptor]",
)
FSGSBASE_OPTION = click.option(
    "--fsgsbase/--no-fsgsbase",
    default=None,
    help="Whether the kernel uses the FSGSBASE instructions. [default: as the design's release]",
)


#: A design from C instead of a named one.
TREE_OPTION = click.option(
    "--tree",
    metavar="DIR|FILE",
    help="The kernel's own C: a kernel tree, its arch/x86/kvm, a vmx.c, or a linux-source-*.tar.xz.",
)


def tree_design(tree: str) -> type[Kvm]:
    """The design that the C of a kernel tree implements.

    Raises InputError for what cannot be read, NotUnderstoodError for what cannot be followed.
    """
    from vmxsim.csource.from_source import from_source

    return from_source(tree)


def one_design(name: str | None, tree: str | None, command: str) -> type[Kvm]:
    """The one design that a command is given, by name or as a tree. Raises InputError."""
    if tree is not None:
        if name:
            raise InputError(f"already names the design: leave out '{printable(name)}'", "--tree")
        return tree_design(tree)
    if not name:
        raise InputError("name a design, or a kernel tree with --tree; see 'vmxsim designs'", command)
    return named_design(name)


def tell_source(design: type[Kvm], out: Console) -> None:
    """Print what a verdict on C rests on; nothing for any other design."""
    for line in design._rests_on:
        out.print(Text(printable(line, 2000), style="dim"))


def source_object(design: type[Kvm]) -> dict[str, Any]:
    """What a design from C rests on, as JSON under the key ``source``; empty for any other design."""
    return {"source": design._carried.report.as_data()} if design._carried else {}


def _list_assumptions(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """For ``--assume help``, whatever else is said: list them and exit."""
    from vmxsim.checker.assumptions import ASSUMPTIONS

    if any("help" in text.split(",") for text in given):
        listed = make_table()
        for name, assumption in ASSUMPTIONS.items():
            listed.add_row(Text(name, style="bold"), assumption.words)
        console().print(listed)
        ctx.exit(FINE)
    return given


ASSUME_OPTION = click.option(
    "--assume",
    multiple=True,
    is_eager=True,
    callback=_list_assumptions,
    help="What to take for granted; '--assume help' lists the choices.",
)


def named_design(text: str) -> type[Kvm]:
    """The design that an argument names: an id, a commit, a prefix, or FILE.py:NAME.

    A file is executed, which a scenario never causes. Raises InputError.
    """
    if ".py" not in text:
        return find_design(text)
    design = design_of_file(text)
    for sentence in never_called(design):
        remark(sentence)
    return design


def console() -> Console:
    """Standard output for people: in color only on a terminal, and NO_COLOR is honored."""
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=not sys.stdout.isatty())


def make_table(*heads: str, figures: Iterable[str] = (), **how: Any) -> Table:
    """A table without lines. ``figures`` are the heads of right-justified columns after those of ``heads``;
    without any head, the rows make the columns. ``how`` is for :class:`rich.table.Table`."""
    how = {"box": None, "pad_edge": False, "header_style": "dim", "padding": (0, 2, 0, 0)} | how
    made = Table(**how, show_header=bool(heads or figures))
    for head in heads:
        made.add_column(head, overflow="fold")
    for head in figures:
        made.add_column(head, overflow="fold", justify="right")
    return made


def fitting(out: Console, make: Callable[[int], Table], most: int) -> Table:
    """``make(n)`` makes a table with n columns of figures: the widest that fits, with up to ``most``."""
    wide = out.options.update(max_width=1000)
    for figures in range(most, 0, -1):
        made = make(figures)
        if Measurement.get(out, wide, made).maximum <= out.width:
            return made
    return make(0)


FORCE_OPTION = click.option("--force", is_flag=True, help="Overwrite files that are there already.")


def input_files(*named: str | Path | None) -> list[Path]:
    """The files among what a command was given: a scenario, a recording, FILE.py or FILE.py:NAME."""
    texts = [str(text) for text in named if text]
    places = [Path(text.rpartition(":")[0] if ".py:" in text else text) for text in texts]
    return [place for place in places if place.is_file()]


def complain(error: InputError) -> int:
    """Print an error to standard error. Returns the exit status for bad input."""
    print(f"vmxsim: {printable(str(error), 2000)}", file=sys.stderr)
    return BAD_INPUT


def remark(text: str) -> None:
    """Print a note for people to standard error."""
    print(f"note: {printable(text, 2000)}", file=sys.stderr)


def print_json(data: Any) -> None:
    """Print one JSON object on a line."""
    print(json.dumps(data))


def where_object(at: SourceLine) -> dict[str, Any]:
    """A line of kernel code as JSON: of a C function its number in the ``file``, else from the ``def``."""
    return {"function": at.function, **({"file": at.file} if at.file else {}), "line": at.number}


def plain(value: Any) -> Any:
    """A field of the machine as JSON can hold it: values as hexadecimal text."""
    return hex(value.number) if isinstance(value, Value) else value
