"""``vmxsim designs``: what there is."""

from __future__ import annotations

import click
from rich.text import Text

from vmxsim.commands.common import FINE, console, print_json
from vmxsim.designs import DESIGNS
from vmxsim.kernel.kvm import release_of


@click.command("designs")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def designs_command(as_json: bool) -> int:
    """List the designs, oldest first, with commit, release and known defect."""
    if as_json:
        fields = ("id", "title", "commit", "release", "story", "changed", "defect")
        print_json(
            [
                {name: getattr(design, name) for name in fields} | {"release": release_of(design)}
                for design in DESIGNS.values()
            ]
        )
        return FINE
    out = console()
    for number, design in enumerate(DESIGNS.values(), 1):
        out.print(Text.assemble((f"{number:>2}  {design.id}", "bold"), f"  {design.title}"))
        where = " · ".join(filter(None, (release_of(design), design.commit)))
        out.print(Text(f"    {where}", style="dim"))
        for label, text in (("", design.story), ("Changed: ", design.changed), ("Defect: ", design.defect)):
            if text:
                out.print(Text.assemble("    ", (label, "bold"), text))
        out.print()
    return FINE
