"""``vmxsim check``: verdicts and counterexamples."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmxsim.checker.check import MAX_STATES, Progress, check
from vmxsim.checker.result import (
    INCOMPLETE,
    SAFE,
    VIOLATED,
    CheckResult,
    assumption_lines,
    counterexample_line,
    headline,
    sometimes_line,
)
from vmxsim.commands.common import FINE, INCONCLUSIVE, console, named_design, print_json, remark
from vmxsim.commands.common import VIOLATED as STATUS_VIOLATED
from vmxsim.designs import DESIGNS
from vmxsim.designs.own import designs_in
from vmxsim.errors import InputError, nearest, printable
from vmxsim.kernel.kvm import Kvm
from vmxsim.simulation.scenario import HOSTS, scenario_yaml

_STYLES = {SAFE: "bold green", VIOLATED: "bold red", INCOMPLETE: "bold yellow"}


@click.command("check")
@click.argument("designs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every design of the history.")
@click.option("--file", type=click.Path(path_type=Path), help="Check the designs of this Python file.")
@click.option("--cpus", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--vcpus", type=click.IntRange(1, 2), default=1, show_default=True)
@click.option("--host", type=click.Choice([*HOSTS, "both"]), default="both", show_default=True)
@click.option("--assume", multiple=True, help="What to take for granted; '--assume help' lists it.")
@click.option("--max-states", type=click.IntRange(1), default=MAX_STATES, show_default=True)
@click.option("--max-seconds", type=click.FloatRange(0, min_open=True), help="For each host width.")
@click.option("--non-canonical", is_flag=True, help="The guest also writes a non-canonical address.")
@click.option(
    "--interception",
    type=click.Choice(["rule", "bitmap"]),
    default="rule",
    help="When the guest's access exits.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, a key for each design.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the counterexamples as a scenario file.")
def check_command(
    designs: tuple[str, ...],
    everything: bool,
    file: Path | None,
    assume: tuple[str, ...],
    as_json: bool,
    save: Path | None,
    **options: Any,
) -> int:
    """Explore every schedule of a design: every interleaving of guest, ioctls, preemption and
    migration, line by line.

    Prints a verdict for each invariant and the shortest counterexample. Exit status 1 where
    an invariant is violated, 3 where a search was cut short.
    """
    if any("help" in text.split(",") for text in assume):
        _list_assumptions(console())
        return FINE
    chosen = _chosen(designs, everything, file)
    results = []
    with _progress() as progress:
        for design in chosen:
            results.append(check(design, assume=assume, progress=progress, **options))
    if as_json:
        print_json({result.name: as_object(result) for result in results})
    elif len(results) == 1:
        show(results[0], console())
    else:
        _show_table(results, console())
    if save:
        _save(results, save)
    verdicts = {result.verdict for result in results}
    return STATUS_VIOLATED if VIOLATED in verdicts else INCONCLUSIVE if INCOMPLETE in verdicts else FINE


def _chosen(designs: tuple[str, ...], everything: bool, file: Path | None) -> list[type[Kvm]]:
    if everything and (designs or file):
        raise InputError("goes with no other design", "--all")
    if everything:
        return list(DESIGNS.values())
    if file:
        found = designs_in(file)
        for name in designs:
            if name not in found:
                raise InputError(
                    f"defines no design '{printable(name)}'; it has {', '.join(found)}{nearest(name, found)}",
                    printable(file, 200),
                )
        return [found[name] for name in designs] if designs else list(found.values())
    if not designs:
        raise InputError("name a design, or --all, or --file FILE.py; 'vmxsim designs' lists them", "check")
    return [named_design(name) for name in designs]


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A line on standard error that counts the states, on a terminal and in long searches only."""
    if not sys.stderr.isatty():
        yield None
        return
    with Console(stderr=True).status("") as status:
        status.stop()
        begun = False

        def tell(states: int, seconds: float) -> None:
            nonlocal begun
            if seconds > 0.5 and not begun:
                begun = True
                status.start()
            if begun:
                status.update(f"{states:,} states, {states / seconds:,.0f} a second; Ctrl-C ends the search")

        yield tell


def as_object(result: CheckResult) -> dict[str, Any]:
    """What ``check --json`` says of a design: of the host width that decides, and of each."""
    host, example = result.telling, result.counterexample
    return {
        "verdict": result.verdict,
        "invariant": example.invariant if example else None,
        "host": host.host,
        "states": host.states,
        "transitions": host.transitions,
        "depth": host.depth,
        "seconds": round(host.seconds, 3),
        "sometimes": host.sometimes,
        "scenario": example.as_data() if example else None,
        "mechanism": example.mechanism if example else None,
        "words": example.words if example else None,
        "cut": host.cut or None,
        "cpus": result.cpus,
        "vcpus": result.vcpus,
        "assumptions": list(result.assumptions),
        "hosts": {
            one.host: {
                "verdict": one.verdict,
                "invariants": one.invariants,
                "states": one.states,
                "transitions": one.transitions,
                "depth": one.depth,
                "seconds": round(one.seconds, 3),
                "counterexamples": {
                    name: {"actions": c.actions, "steps": c.steps, "scenario": c.as_data()}
                    for name, c in one.counterexamples.items()
                },
            }
            for one in result.hosts
        },
    }


def show(result: CheckResult, out: Console) -> None:
    """One design's verdict for people."""
    out.print(Text(headline(result), style=_STYLES[result.verdict]))
    out.print(_hosts(result, out.width))
    out.print(Text(sometimes_line(result), style="dim"))
    example = result.counterexample
    if example is None:
        return
    out.print()
    out.print(Text(counterexample_line(example), style="bold"))
    out.print()
    out.print(Text(scenario_yaml(example.scenario)))
    out.print(Text.assemble(("Why is this wrong? ", "bold"), example.words))


#: Columns of figures, and the room that each needs with those before it: where it is not to be
#: had, the last are left out.
_FIGURES = {"states": 9, "transitions": 22, "depth": 29, "seconds": 36}


def _hosts(result: CheckResult, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = list(result.telling.invariants)
    for title in ("host", *names):
        table.add_column(title, no_wrap=True)
    room = width - 8 - sum(2 + max(len(name), 8) for name in names)
    figures = [title for title, needs in _FIGURES.items() if room >= needs]
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    for host in result.hosts:
        styles = {"holds": "green", "violated": "bold red", "unknown": "yellow"}
        hows = [Text(how, style=styles[how]) for how in (host.invariants.get(n, "holds") for n in names)]
        told = (f"{host.states:,}", f"{host.transitions:,}", str(host.depth), f"{host.seconds:.2f}")
        table.add_row(host.host, *hows, *told[: len(figures)])
    return table


def _show_table(results: list[CheckResult], out: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("design", no_wrap=True)
    table.add_column("host", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for title in ("states", "depth", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for result in results:
        for host in result.hosts:
            verdict = Text(host.verdict, style=_STYLES[host.verdict])
            figures = (f"{host.states:,}", str(host.depth), f"{host.seconds:.2f}")
            table.add_row(result.name, host.host, verdict, *figures)
    out.print(table)
    for result in results:
        for host in result.hosts:
            if example := host.counterexample:
                steps = "; ".join(map(_briefly, example.scenario.steps))
                mode = "in" if example.scenario.long_mode else "outside"
                out.print(
                    Text.assemble(
                        (f"\n{result.name}, {host.host} host: {example.invariant}. ", "bold red"),
                        f"Starting {mode} long mode: {steps}. Mechanism: {example.mechanism}.",
                    )
                )


def _briefly(step: Any) -> str:
    return step if isinstance(step, str) else f"{next(iter(step))} (with a tick inside the kernel)"


def _list_assumptions(out: Console) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, words in assumption_lines():
        table.add_row(Text(name, style="bold"), words)
    out.print(table)


def _save(results: list[CheckResult], path: Path) -> None:
    texts = []
    runs = f"vmxsim run {path}"
    for result in results:
        if result.counterexample:
            text = scenario_yaml(result.counterexample.scenario)
            if result.design.id not in DESIGNS:
                runs = f"vmxsim run {path} --design {_source(result)}"
                text = f"# a design of your own: {runs}\n{text}"
            texts.append(text)
    if not texts:
        remark(f"there is no counterexample to save: {printable(path, 200)} was not written")
        return
    try:
        path.write_text("---\n".join(texts), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(path, 200)) from None
    remark(f"saved in {path}: {runs}")


def _source(result: CheckResult) -> str:
    """How the command line names a design of the reader's own."""
    file = sys.modules[result.design.__module__].__file__
    return f"{os.path.relpath(file)}:{result.name}" if file else result.name
