"""``vmxsim check``: verdicts and counterexamples."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmxsim.checker.check import GUESTS, MAX_STATES, MOST_VCPUS, check
from vmxsim.checker.result import (
    INCOMPLETE,
    OMITTED,
    SAFE,
    VIOLATED,
    CheckResult,
    counterexample_line,
    cut_line,
    explored_line,
    headline,
    loudly,
    omitted_line,
    otherwise_line,
    sometimes_line,
)
from vmxsim.commands.common import (
    ASSUME_OPTION,
    FINE,
    FORCE_OPTION,
    FSGSBASE_OPTION,
    GS_BASE_OPTION,
    INCONCLUSIVE,
    INTERCEPTION_OPTION,
    TREE_OPTION,
    console,
    fitting,
    input_files,
    make_table,
    named_design,
    print_json,
    remark,
    source_object,
    tell_source,
    tree_design,
)
from vmxsim.commands.common import VIOLATED as STATUS_VIOLATED
from vmxsim.csource.in_short import files_read
from vmxsim.designs import DESIGNS
from vmxsim.designs.own import designs_in
from vmxsim.errors import InputError, nearest, printable, refuse_overwriting, write_file
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.progress import telling
from vmxsim.simulation.scenario import HOSTS, scenario_yaml

_STYLES = {SAFE: "bold green", VIOLATED: "bold red", INCOMPLETE: "bold yellow"}


@click.command("check")
@click.argument("designs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Check every design of the history.")
@click.option("--file", help="Check the designs of this Python file, or one of them: FILE.py:NAME.")
@TREE_OPTION
@click.option("--cpus", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--vcpus", type=click.IntRange(1, MOST_VCPUS), default=1, show_default=True)
@click.option(
    "--guests", type=click.Choice(GUESTS), default="same", show_default=True,
    help="Whose the vCPUs are: different guests start each in a mode of its own.",
)  # fmt: skip
@click.option("--host", type=click.Choice([*HOSTS, "both"]), default="both", show_default=True)
@GS_BASE_OPTION
@FSGSBASE_OPTION
@ASSUME_OPTION
@click.option(
    "--max-states", type=click.IntRange(1), default=MAX_STATES, show_default=True,
    help="Limit for each thread: the states of several together are counted, not visited; where they have to"
    " be, a limit on those, by default 1,000,000.",
)  # fmt: skip
@click.option(
    "--max-seconds", type=click.FloatRange(0, min_open=True), help="Time limit for each host width."
)
@click.option("--non-canonical", is_flag=True, help="The guest also writes a non-canonical address.")
@INTERCEPTION_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with a key per design.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the counterexamples to a scenario file.")
@FORCE_OPTION
def check_command(
    designs: tuple[str, ...],
    everything: bool,
    file: str | None,
    tree: str | None,
    assume: tuple[str, ...],
    as_json: bool,
    save: Path | None,
    force: bool,
    interception: str | None,
    **options: Any,
) -> int:
    """Explore every schedule of a design: every interleaving of guest, ioctls, preemption and
    migration, line by line.

    Prints a verdict for each invariant, and the shortest counterexample; of the kernel's own C also
    what the verdict rests on. The exit status is 1 if an invariant is violated, 3 if a search was cut
    short, or if the C of a tree is not understood.
    """
    if save:
        refuse_overwriting(save, force, input_files(file, tree, *designs))
    chosen = _chosen(designs, everything, file, tree)
    if save:
        refuse_overwriting(save, force, [name for design in chosen for name in files_read(design)])
    results = []
    how = {"interception": interception or "rule", **options}
    with telling() as tell:
        for number, design in enumerate(chosen, 1):
            tell(f"{name_of(design)}, {number} of {len(chosen)}" if len(chosen) > 1 else "")
            results.append(check(design, assume=assume, **how))
            if results[-1].interrupted:
                break
    if as_json:
        print_json({result.name: as_object(result) for result in results})
    elif len(results) > 1 and all(result.design.id in DESIGNS for result in results):
        _show_table(results, console())
    else:
        for number, result in enumerate(results):
            if number:
                console().print()
            show(result, console())
    if left := [name_of(design) for design in chosen[len(results) :]]:
        remark(f"interrupted; not checked: {', '.join(left)}")
    if save:
        _save(results, save, force)
    verdicts = {result.verdict for result in results}
    if VIOLATED in verdicts:
        return STATUS_VIOLATED
    return INCONCLUSIVE if INCOMPLETE in verdicts or left else FINE


def _chosen(
    designs: tuple[str, ...], everything: bool, file: str | None, tree: str | None
) -> list[type[Kvm]]:
    if tree is not None:
        others = _chosen(designs, everything, file, None) if designs or everything or file else []
        return [tree_design(tree), *others]
    if everything and (designs or file):
        raise InputError("already means every design: name no other", "--all")
    if everything:
        return list(DESIGNS.values())
    if file:
        path, colon, one = file.rpartition(":")
        if colon and path.endswith(".py"):
            file, designs = path, (*designs, one)
        found = designs_in(Path(file))
        for name in designs:
            if name not in found:
                raise InputError(
                    f"defines no design '{printable(name)}'; it has {', '.join(found)}{nearest(name, found)}",
                    printable(file, 200),
                )
        return [found[name] for name in designs] if designs else list(found.values())
    if not designs:
        raise InputError(
            "name a design, or use --all, --file FILE.py or --tree DIR; see 'vmxsim designs'", "check"
        )
    return [design for name in designs for design in _named(name)]


def _named(name: str) -> list[type[Kvm]]:
    """The design of that name, or all those of a Python file."""
    return list(designs_in(Path(name)).values()) if name.endswith(".py") else [named_design(name)]


def as_object(result: CheckResult) -> dict[str, Any]:
    """What ``check --json`` says about a design: for the host width that decides, and for each one."""
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
        "kind": example.explanation.kind if example and example.explanation else None,
        "cut": host.cut or None,
        "never_called": result.never_called,
        "otherwise": result.otherwise,
        "omitted": [f"{name}: {words}" for name, words in OMITTED.items()],
        "cpus": result.cpus,
        "vcpus": result.vcpus,
        "guests": result.guests,
        "assumptions": list(result.assumptions),
        "hosts": {
            one.host: {
                "verdict": one.verdict,
                "invariants": one.invariants,
                "states": one.states,
                "transitions": one.transitions,
                "depth": one.depth,
                "seconds": round(one.seconds, 3),
                "bases": list(one.bases),
                "written": [hex(number) for number in one.written],
                "counterexamples": {
                    name: {"actions": c.actions, "steps": c.steps, "scenario": c.as_data()}
                    for name, c in one.counterexamples.items()
                },
            }
            for one in result.hosts
        },
        **source_object(result.design),
    }


def show(result: CheckResult, out: Console) -> None:
    """Print one design's verdict for people."""
    out.print(Text(headline(result), style=_STYLES[result.verdict]))
    _warn(result, out)
    out.print(fitting(out, lambda figures: _host_table(result, figures), 4))
    if line := cut_line(result):
        out.print(Text(line, style=_STYLES[INCOMPLETE]))
    tell_source(result.design, out)
    if line := otherwise_line(result):
        out.print(Text(line))
    out.print(Text(explored_line(result), style="dim"))
    out.print(Text(sometimes_line(result), style="dim"))
    out.print(Text(omitted_line(), style="dim"))
    example = result.counterexample
    if example is None:
        return
    out.print()
    out.print(Text(counterexample_line(example), style="bold"))
    out.print()
    out.print(Text(scenario_yaml(example.scenario)))
    out.print(Text.assemble(("Why is this wrong? ", "bold"), example.words))


def _warn(result: CheckResult, out: Console) -> None:
    for text in result.never_called:
        out.print(Text(loudly(text), style=_STYLES[INCOMPLETE]))


def _host_table(result: CheckResult, figures: int) -> Table:
    names = list(result.telling.invariants)
    table = make_table("host", *names, figures=list(result.telling.figures)[:figures], padding=(0, 1))
    for host in result.hosts:
        styles = {"holds": "green", "violated": "bold red", "unknown": "yellow"}
        hows = [Text(how, style=styles[how]) for how in map(host.status, names)]
        table.add_row(host.host, *hows, *list(host.figures.values())[:figures])
    return table


def _verdict_table(results: list[CheckResult], figures: int) -> Table:
    table = make_table("design", "host", "verdict", figures=("states", "depth", "seconds")[:figures])
    for result in results:
        for host in result.hosts:
            verdict = Text(host.verdict, style=_STYLES[host.verdict])
            told = (f"{host.states:,}", str(host.depth), f"{host.seconds:.2f}")
            table.add_row(result.name, host.host, verdict, *told[:figures])
    return table


def _show_table(results: list[CheckResult], out: Console) -> None:
    out.print(fitting(out, lambda figures: _verdict_table(results, figures), 3))
    for result in results:
        _warn(result, out)
        for host in result.hosts:
            if example := host.counterexample:
                where = example.scenario.host_words
                mode = "in" if example.scenario.long_mode else "outside"
                out.print(
                    Text.assemble(
                        (
                            f"\n{result.name}, {where}: {example.invariant}. ",
                            "bold red",
                        ),
                        f"Starting {mode} long mode: {example.schedule}. Mechanism: {example.mechanism}.",
                    )
                )
    explored: dict[str, list[str]] = {}
    for result in results:
        explored.setdefault(explored_line(result), []).append(result.name)
    for line, names in explored.items():
        whose = f"{', '.join(names)}: " if len(explored) > 1 else ""
        out.print(Text(f"\n{whose}{line}", style="dim"))
    out.print(Text(f"\n{omitted_line()}", style="dim"))


def _save(results: list[CheckResult], path: Path, force: bool) -> None:
    texts = []
    runs = f"vmxsim run {path}"
    for result in results:
        if result.counterexample:
            text = scenario_yaml(result.counterexample.scenario)
            if result.design.id not in DESIGNS:
                runs = f"vmxsim run {path} {_named_as(result)}"
                text = f"# your own design: {runs}\n{text}"
            texts.append(text)
    if not texts:
        remark(f"no counterexample to save: {printable(path, 200)} was not written")
        return
    write_file(path, "---\n".join(texts), overwrite=force)
    remark(f"saved in {path}: {runs}")


def _named_as(result: CheckResult) -> str:
    """The option that names a reader's own design, or the tree that it was made from."""
    if result.design._carried:
        return f"--tree {quote(result.design._carried.tree.name)}"
    file = sys.modules[result.design.__module__].__file__
    return f"--design {os.path.relpath(file)}:{result.name}" if file else f"--design {result.name}"
