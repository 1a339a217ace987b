"""``vmxsim replay``: a recorded ftrace, checked against the invariants and the designs."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import FINE, INCONCLUSIVE, VIOLATED, console, make_table, print_json, remark
from vmxsim.errors import InputError, printable
from vmxsim.ftrace.evidence import DESIGNS
from vmxsim.ftrace.recording import EXAMPLES, Recording, how_to_record, read, verdict
from vmxsim.ftrace.vcpu import ROLES

#: Accesses shown in the table, around the first event that breaks an invariant.
_SHOWN = 40
_STYLES = {"ok": "bold green", "violated": "bold red", "inconclusive": "bold yellow"}


@click.command("replay")
@click.argument("trace", required=False)
@click.option("--design", "-d", help="Ask about one design (id, commit or prefix) only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--how-to-record", "how", is_flag=True, help="Print the commands that record such a trace.")
def replay_command(trace: str | None, design: str | None, as_json: bool, how: bool) -> int:
    """Check a recorded ftrace: TRACE is a file, - for standard input, or the name of an example that comes
    with vmxsim.

    The trace may be the text of /sys/kernel/tracing/trace (also in latency format, or of the function and
    function_graph tracers), of 'trace-cmd report' or of 'perf script', an ftrace dump in a log, or any of
    these as a mail quotes and wraps it or as copied from a web page or a terminal. It may be compressed
    (gzip, bzip2, xz). Lines that cannot be read are counted.

    The verdict is about the invariants. Exit status: 0 nothing is broken; 1 an invariant is broken,
    or the design asked about with --design is ruled out; 2 not a trace; 3 nothing can be concluded.
    """
    if how:
        click.echo(how_to_record(), nl=False)
        return FINE
    if trace is None:
        raise InputError(
            f"name a trace file, or one of the examples {', '.join(EXAMPLES)}; or --how-to-record", "TRACE"
        )
    recording = read(trace)
    told = verdict(recording, design)
    if as_json:
        print_json(told)
    else:
        show(recording, told, console(), design is not None)
    for note in told["notes"]:
        remark(note)
    if told["verdict"] == "violated" or (design is not None and told["ruled_out"]):
        return VIOLATED
    return INCONCLUSIVE if told["verdict"] == "inconclusive" else FINE


def show(recording: Recording, told: dict[str, Any], out: Console, asked: bool) -> None:
    """For people: the verdict first, then why, then every access."""
    if not out.is_terminal:
        out.width = max(out.width, 120)  # a file or a pipe need not wrap
    event = told["event"]
    head = Text(told["verdict"], style=_STYLES[told["verdict"]])
    if told["invariant"]:
        head.append(f" {told['invariant']}", style="bold")
    if event:
        head.append(
            f" at line {event['line']}: {event['time']:.6f} s, CPU {event['cpu']}, pid {event['pid']}, "
        )
        head.append(printable(event["name"]))
    out.print(head)
    out.print(Text(told["words"]))
    out.print()
    table = _accesses(recording, event["line"] if event else 0)
    if table.row_count:
        out.print(table)
        out.print()
    out.print(Text(f"fits: {_fits(recording, told['fits'])}"))
    reasons = recording.follower.evidence.fits.reasons
    by_line: dict[tuple[int, str], list[str]] = {}
    for design, line in told["ruled_out"].items():
        by_line.setdefault((line, reasons[design]), []).append(design)
    for (line, why), designs in sorted(by_line.items()):
        out.print(Text(f"ruled out by line {line}: {', '.join(designs)} ({why})"))


def _fits(recording: Recording, designs: list[str]) -> str:
    if len(designs) == len(DESIGNS):
        return "every design: nothing rules one out"
    none = "no design" if recording.follower.shows_accesses else "not known: no access is recorded"
    return ", ".join(designs) or none


def _accesses(recording: Recording, broken: int) -> Table:
    roles = recording.follower.roles
    accesses = recording.accesses()
    first = 0
    if len(accesses) > _SHOWN:
        at = next((i for i, event in enumerate(accesses) if event.line >= broken), 0) if broken else 0
        first = max(0, min(at - _SHOWN // 2, len(accesses) - _SHOWN))
    shown = accesses[first : first + _SHOWN]
    table = make_table(figures=("line", "time", "CPU"), padding=(0, 1))
    table.add_column("task")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("what for")
    for event in shown:
        table.add_row(
            str(event.line),
            f"{event.time:.6f}",
            str(event.cpu),
            Text(f"{printable(event.comm, 16)}-{event.pid}"),
            "RDMSR" if event.kind == "rdmsr" else "WRMSR",
            hex(event.data),
            Text(ROLES[roles.get(event.line, "unknown")]),
        )
    left_out = recording.follower.accesses - len(shown)
    if left_out:
        table.caption = f"{left_out} more accesses not shown"
    return table
