"""``vmxsim show --tree``: what was followed of the kernel's own C, what was left out, and why."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from vmxsim.commands.common import FINE, console, make_table, print_json
from vmxsim.csource.grounds import Report
from vmxsim.csource.in_full import in_full, sections
from vmxsim.errors import printable
from vmxsim.kernel.kvm import Kvm, name_of

#: The column at which the reasons stand.
_REASONS = 84


def show_tree(design: type[Kvm], function: str | None, as_json: bool) -> int:
    """Print a design's report, or one of its functions. Returns the exit status."""
    report: Report = design._carried.report
    if function:
        return _show_function(design, function, as_json)
    if as_json:
        print_json({"design": name_of(design), **report.as_data()})
    else:
        _show_report(design, report, console())
    return FINE


def _show_report(design: type[Kvm], report: Report, out: Console) -> None:
    out.print(Text.assemble((name_of(design), "bold"), f"  the C of {printable(report.tree, 200)}"))
    for title, rows in sections(report):
        out.print(Text(f"\n{title}", style="bold"))
        table = make_table()
        for _ in rows[0] if rows else ():
            table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell, 400)) for cell in row))
        if rows:
            out.print(Padding(table, (0, 0, 0, 2)))


# -- one function


def _show_function(design: type[Kvm], name: str, as_json: bool) -> int:
    at = in_full(design, name)
    lines = [(at.first + n - 1, text, at.dropped.get(n, "")) for n, text in enumerate(at.source, 1)]
    if as_json:
        told = [{"line": n, "text": text, "kept": not why, "why": why or None} for n, text, why in lines]
        print_json(
            {"design": name_of(design), "name": name, "file": at.file, "first": at.first, "lines": told}
        )
        return FINE
    out = console()
    last = at.first + len(at.source) - 1
    out.print(Text(f"# {at.file}:{at.first}-{last}; - marks what was left out, with the reason", style="dim"))
    width = len(str(last))
    before = ""
    for number, text, why in lines:
        shown = printable(text.expandtabs(8).rstrip(), 400)
        line = Text(f"{'-' if why else ' '} {number:>{width}}  {shown}", style="dim" if why else "")
        if why and why != before:  # a reason holds for the lines below it, too
            line.append(" " * max(2, _REASONS - len(line)) + printable(why, 200), style="italic")
        before = why
        out.print(line)
    return FINE
