"""``vmxsim cost``: what each path costs."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import (
    FINE,
    FSGSBASE_OPTION,
    GS_BASE_OPTION,
    HOST_OPTION,
    TREE_OPTION,
    console,
    make_table,
    named_design,
    print_json,
    tell_source,
    tree_design,
)
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.costs import PATHS, CostRow, cost
from vmxsim.simulation.scenario import HOSTS


@click.command("cost")
@click.argument("designs", nargs=-1)
@TREE_OPTION
@HOST_OPTION
@GS_BASE_OPTION
@FSGSBASE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
def cost_command(
    designs: tuple[str, ...], tree: str | None, host: str | None, as_json: bool, **options: Any
) -> int:
    """Count the operations on each path, by running the designs.

    These are operations, not cycles: nobody has published figures in cycles for these patches.
    """
    chosen = [named_design(name) for name in designs]
    c = tree_design(tree) if tree is not None else None
    chosen = [c, *chosen] if c else chosen
    if as_json:
        for width in (host,) if host else HOSTS:
            for row in cost(chosen, width, **options):
                of_c = c is not None and row.design == name_of(c)
                print_json(row.as_json() | ({"not_counted": _not_counted(c)} if c and of_c else {}))
        return FINE
    rows = cost(chosen, host or HOSTS[0], **options)
    out = console()
    for path in PATHS:
        for long_mode in (False, True):
            these = [row for row in rows if row.path == path and row.long_mode == long_mode]
            if these:
                where = "in" if long_mode else "outside"
                out.print(_table(these, f"{path}, {where} long mode, {these[0].host} host"))
    if any(row.derived for row in rows):
        out.print(Text("* derived: there is no recording of the real functions for this row", style="dim"))
    if c:
        calls = ", ".join(f"{name}()" for name in _not_counted(c))
        out.print(
            Text(f"Not counted of {name_of(c)}, whatever they cost: {calls or 'no call'}.", style="dim")
        )
        tell_source(c, out)
    return FINE


def _not_counted(design: type[Kvm]) -> list[str]:
    """The calls of C that were left out, and with them what they cost."""
    return list(design._carried.report.calls_dropped)


def _table(rows: list[CostRow], title: str) -> Table:
    table = make_table(
        "design",
        figures=("all", "host reloads"),
        title=Text(title, style="bold"),
        title_justify="left",
        padding=(0, 1),
    )
    table.columns[0].min_width = 21
    table.add_column("operations", overflow="fold")
    for row in rows:
        name = row.design + (" *" if row.derived else "")
        table.add_row(name, str(row.total), str(row.full_host_reloads), row.words)
    return table
