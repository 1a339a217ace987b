"""``vmxsim cost``: what each path costs."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import FINE, HOST_OPTION, console, named_design, print_json
from vmxsim.simulation.costs import PATHS, CostRow, cost


@click.command("cost")
@click.argument("designs", nargs=-1)
@HOST_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
def cost_command(designs: tuple[str, ...], host: str | None, as_json: bool) -> int:
    """Count the operations on each path, by running the designs.

    These are operations, not cycles: nobody has published figures in cycles for these patches.
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
                        these, f"{path}, {'in' if long_mode else 'outside'} long mode, {these[0].host} host"
                    )
                )
    if any(row.derived for row in rows):
        out.print(Text("* derived: there is no recording of the real functions for this row", style="dim"))
    return FINE


def _table(rows: list[CostRow], title: str) -> Table:
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False, header_style="dim"
    )
    table.add_column("design", min_width=21, overflow="fold")
    table.add_column("all", justify="right")
    table.add_column("host reloads", justify="right")
    table.add_column("operations", overflow="fold")
    for row in rows:
        name = row.design + (" *" if row.derived else "")
        table.add_row(name, str(row.total), str(row.full_host_reloads), row.words)
    return table
