"""``vmxsim designs`` and ``vmxsim cost``: what there is, and what it costs."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import FINE, console, named_design, print_json
from vmxsim.designs import DESIGNS
from vmxsim.simulation.costs import PATHS, CostRow, cost, register_first


@click.command("designs")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def designs_command(as_json: bool) -> int:
    """List the designs, oldest first, with commit, release and known defect."""
    if as_json:
        fields = ("id", "title", "commit", "release", "story", "changed", "defect")
        print_json([{name: getattr(design, name) for name in fields} for design in DESIGNS.values()])
        return FINE
    out = console()
    for number, design in enumerate(DESIGNS.values(), 1):
        out.print(Text.assemble((f"{number:>2}  {design.id}", "bold"), f"  {design.title}"))
        where = " · ".join(filter(None, (design.release, design.commit)))
        out.print(Text(f"    {where}", style="dim"))
        for label, text in (("", design.story), ("Changed: ", design.changed), ("Defect: ", design.defect)):
            if text:
                out.print(Text.assemble("    ", (label, "bold"), text))
        out.print()
    return FINE


@click.command("cost")
@click.argument("designs", nargs=-1)
@click.option("--host", type=click.Choice(["64-bit", "32-bit"]), help="Width of the host's user space.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each row.")
def cost_command(designs: tuple[str, ...], host: str | None, as_json: bool) -> int:
    """Count the operations of each path, by running the designs.

    Operations, not cycles: no figure in cycles was published for this register's patches.
    """
    chosen = [named_design(name) for name in designs]
    if as_json:
        for width in (host,) if host else ("64-bit", "32-bit"):
            for row in cost(chosen, width):
                print_json(row.as_json())
        return FINE
    rows = cost(chosen, host or "64-bit")
    out = console()
    for path in PATHS:
        for long_mode in (False, True):
            these = [row for row in rows if row.path == path and row.long_mode == long_mode]
            if these:
                out.print(
                    _table(
                        these, f"{path}, {'in' if long_mode else 'out of'} long mode, {these[0].host} host"
                    )
                )
    if any(row.derived for row in rows):
        out.print(Text("* derived: no recording of the real functions stands behind this row", style="dim"))
    return FINE


def _table(rows: list[CostRow], title: str) -> Table:
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False, header_style="dim"
    )
    table.add_column("design", min_width=21)
    table.add_column("all", justify="right")
    table.add_column("host reloads", justify="right")
    table.add_column("operations", overflow="fold")
    for row in rows:
        told = ", ".join(
            f"{times} {name}" for name, times in sorted(row.operations.items(), key=register_first)
        )
        table.add_row(
            row.design + (" *" if row.derived else ""),
            str(row.total),
            str(row.full_host_reloads),
            told or "nothing",
        )
    return table
