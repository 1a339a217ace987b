"""``vmxsim export``: a design as a model for another verifier."""

from __future__ import annotations

from pathlib import Path

import click

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.promela import promela, restricted
from vmxsim.commands.designs import named_design
from vmxsim.commands.output import FINE, remark
from vmxsim.errors import InputError, printable
from vmxsim.scenario import HOSTS


@click.command("export")
@click.argument("design")
@click.option("--to", "language", type=click.Choice(["promela"]), required=True, help="The model's language.")
@click.option("--host", type=click.Choice(HOSTS), default="64-bit", show_default=True)
@click.option("--cpus", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--vcpus", type=click.IntRange(1, 2), default=1, show_default=True)
@click.option(
    "--interception",
    type=click.Choice(["rule", "bitmap"]),
    default="rule",
    help="When the guest's access exits.",
)
@click.option("--non-canonical", is_flag=True, help="The guest also writes a non-canonical address.")
@click.option("--assume", multiple=True, help="What to take for granted, as for 'vmxsim check'.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write into this file.")
def export_command(
    design: str,
    language: str,
    host: str,
    cpus: int,
    vcpus: int,
    interception: str,
    non_canonical: bool,
    assume: tuple[str, ...],
    output: Path | None,
) -> int:
    """Print a design as a Promela model for Spin, written from its kernel code line by line.

    The model's head says how to run it.
    """
    assumed = restriction(assume)
    model = promela(
        named_design(design),
        bits=int(host[:2]),
        cpus=cpus,
        vcpus=vcpus,
        long_modes=assumed.long_modes,
        interception=interception,
        non_canonical=non_canonical,
        environment=restricted(assumed),
    )
    if output is None:
        click.echo(model, nl=False)
        return FINE
    try:
        output.write_text(model, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(output, 200)) from None
    remark(f"{len(model.splitlines())} lines in {output}")
    return FINE
