"""``vmxsim show --tree``: what was followed of the kernel's own C, what was left out, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from vmxsim.commands.common import FINE, console, make_table, print_json
from vmxsim.csource.grounds import Report
from vmxsim.csource.in_short import assumption_words
from vmxsim.errors import InputError, counted, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.program import Function

#: The column at which the reasons stand.
_REASONS = 84


def show_tree(design: type[Kvm], function: str | None, as_json: bool) -> int:
    """Print a design's report, or one of its functions. Returns the exit status."""
    report: Report = design._carried.report
    if function:
        return _show_function(design, report, function, as_json)
    if as_json:
        print_json({"design": name_of(design), **report.as_data()})
    else:
        _show_report(design, report, console())
    return FINE


def _show_report(design: type[Kvm], report: Report, out: Console) -> None:
    out.print(Text.assemble((name_of(design), "bold"), f"  the C of {printable(report.tree, 200)}"))
    for title, rows in _sections(report):
        out.print(Text(f"\n{title}", style="bold"))
        table = make_table()
        for _ in rows[0] if rows else ():
            table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell, 400)) for cell in row))
        if rows:
            out.print(Padding(table, (0, 0, 0, 2)))


Rows = list[tuple[str, ...]]


def _sections(report: Report) -> Iterator[tuple[str, Rows]]:
    """The parts of a report as (title, rows), without those that say nothing."""
    yield (
        "Followed: the function, where it begins, what is kept of it, the entry of kvm_x86_ops that it is",
        [
            (f.name, f"{f.file}:{f.first}", f"{len(f.kept)} of {f.last - f.first + 1} lines", f.entry)
            for f in report.functions
        ],
    )
    for name, what in _ROLES.items():
        role = report.roles[name]
        yield f"{what} {role.field}", _column(role.evidence)
    yield f"The guest's access exits: {report.interception}", _column(report.interception_shown)
    if report.canonical_check:
        yield "Common code refuses a value that is not canonical", [(report.canonical_check,)]
    else:
        unread = "x86.c was not read" if report.canonical_check is None else "common code has none"
        yield f"No check for a value that is not canonical: {unread}", []
    told: dict[str, Rows] = {
        "The thread's bases are saved with FSGSBASE": _column(filter(None, [report.fsgsbase])),
        "Fields of its own": list(report.own_fields.items()),
        "Assumed ('vmxsim check --tree' says whether the verdict depends on it)": _column(
            map(assumption_words, report.assumptions)
        ),
        "Calls left out, and where the first of each is": list(report.calls_dropped.items()),
        "CONFIG names that decided a line of these functions": [
            (name, ", ".join(places)) for name, places in report.configuration.items()
        ],
        "Other entry points that lead to the register or to the saved values": _column(report.other_entries),
        "Stores and accesses in functions that are not followed": _column(report.elsewhere),
        "Not covered": _column(report.not_covered),
        "Files read": [(path, counted(lines, "line")) for path, lines in report.files.items()],
    }
    yield from ((title, rows) for title, rows in told.items() if rows)


_ROLES = {
    "g": "The guest's value is saved in",
    "h": "The host's value is saved in",
    "loaded": "Whether guest state is loaded is in",
}


def _column(cells: Iterable[str]) -> Rows:
    return [(cell,) for cell in cells]


# -- one function


def _show_function(design: type[Kvm], report: Report, name: str, as_json: bool) -> int:
    mine = _versions(design, report, name)
    lines = list(_lines(mine))
    at = mine[0]
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


def _versions(design: type[Kvm], report: Report, name: str) -> list[Function]:
    """The function of that name, once for each way in which it is called. Raises InputError for one that is
    not followed."""
    functions = {n: f for n, f in design.functions().items() if f.file}
    chosen = functions.get(name)
    if chosen is None:
        if name in design._carried.unit.functions:
            raise InputError(
                "is in these files, but is not followed; 'vmxsim show --tree' lists what is",
                printable(name),
            )
        raise unknown("function", name, functions, printable(report.tree, 200))
    return [f for f in functions.values() if (f.file, f.first) == (chosen.file, chosen.first)]


def _lines(versions: list[Function]) -> Iterator[tuple[int, str, str]]:
    """(number in the file, text, why it was left out or '') of each line; one that any version keeps is
    kept."""
    for line, text in enumerate(versions[0].source, 1):
        whys = [f.dropped.get(line, "") for f in versions]
        yield versions[0].first + line - 1, text, whys[0] if all(whys) else ""
