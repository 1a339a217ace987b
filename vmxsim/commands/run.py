"""``vmxsim run``: scenarios on a design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import (
    FINE,
    FORCE_OPTION,
    FSGSBASE_OPTION,
    GS_BASE_OPTION,
    INTERCEPTION_OPTION,
    TREE_OPTION,
    VIOLATED,
    console,
    input_files,
    make_table,
    named_design,
    plain,
    print_json,
    remark,
    source_object,
    tell_source,
    tree_design,
    where_object,
)
from vmxsim.errors import InputError, printable, writing
from vmxsim.kernel.kvm import name_of
from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import read_scenarios
from vmxsim.simulation.trace import Scene, action_name
from vmxsim.views.style import hue
from vmxsim.views.words import cells_in_use, step_words


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--design", "-d", help="Run on this design (id, commit, prefix or FILE.py:NAME) instead of the file's."
)
@TREE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per scenario.")
@click.option("--micro", is_flag=True, help="With --json: include every line of kernel code that ran.")
@click.option("--words", is_flag=True, help="Describe every step in words.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write a picture of every step to this folder.")
@FORCE_OPTION
@INTERCEPTION_OPTION
@GS_BASE_OPTION
@FSGSBASE_OPTION
def run_command(
    file: Path,
    design: str | None,
    tree: str | None,
    as_json: bool,
    micro: bool,
    words: bool,
    svg: Path | None,
    force: bool,
    **options: Any,
) -> int:
    """Run a scenario file and print what happened.

    The exit status is 1 if an invariant is violated or an expectation ("->") is not met.
    """
    if micro and not as_json:
        raise InputError("goes with --json; to read every step, use --words", "--micro")
    if tree is not None and design:
        raise InputError("already says what to run on: leave out --design", "--tree")
    status = FINE
    scenarios = read_scenarios(file)
    chosen = tree_design(tree) if tree is not None else named_design(design) if design else None
    if svg:
        with writing(svg):
            svg.mkdir(parents=True, exist_ok=True)
    for number, scenario in enumerate(scenarios, 1):
        trace = run(scenario, chosen, **options)
        if svg:
            place = svg / f"{number:02}" if len(scenarios) > 1 else svg
            _write_pictures(trace, place, force, input_files(file, design, tree))
        if as_json:
            print_json(as_object(trace, micro))
        else:
            show_run(trace, console(), words)
        for note in [*trace.notes, *(n for step in trace.steps for n in step.notes)]:
            remark(note)
        if trace.violations:
            status = VIOLATED
    return status


def as_object(trace: RunTrace, micro: bool) -> dict[str, Any]:
    """The object that ``run --json`` prints."""
    results = trace.results
    if micro:
        results = [result | {"micro": []} for result in results]
        for step in trace.steps:
            results[step.action]["micro"].append(
                {
                    "thread": step.thread,
                    "cpu": step.cpu,
                    **where_object(step.at),
                    "source": step.source,
                    "changes": [
                        {"place": c.place, "from": plain(c.before), "to": plain(c.after)}
                        for c in step.changes
                    ],
                }
            )
    scenario = trace.scenario
    return {
        "design": name_of(trace.design),
        "host": scenario.host,
        "long_mode": scenario.long_mode,
        "steps": list(scenario.steps),
        "results": results,
        "violations": violations(trace),
        **source_object(trace.design),
    }


def violations(trace: RunTrace) -> list[dict[str, Any]]:
    """A run's violations as JSON: ``step`` is the action, from 0."""
    return [{"step": v.action, "invariant": v.invariant, "words": v.words} for v in trace.violations]


def show_run(trace: RunTrace, out: Console, words: bool) -> None:
    """Print a run for people: each action and where the values are, then the violations."""
    out.print(Text(printable(trace.title, 200), style="bold"))
    out.print(Text(trace.subtitle, style="dim"))
    if words:
        _tell(trace, out)
    broken: dict[int, list[str]] = {}
    for violation in trace.violations:
        broken.setdefault(violation.action, []).append(violation.invariant)
    ends = {step.action: step.index + 1 for step in trace.steps}
    for number, (action, result) in enumerate(zip(trace.actions, trace.results, strict=True)):
        returned = result["returned"]
        out.print(
            Text.assemble(
                (f"{number + 1}. {printable(action)}", "bold"),
                f"  returned {returned}" if returned else "",
                ("  " + ", ".join(dict.fromkeys(broken.get(number, ()))), "bold red"),
            )
        )
        if number in ends:
            out.print(_places(trace.scene(ends[number])))
    for violation in trace.violations:
        out.print(
            Text.assemble(
                (f"{violation.invariant} ", "bold red"),
                f"at {action_name(trace, violation.action)}: {violation.words}",
            )
        )
    if not trace.violations:
        out.print(Text("No invariant violated.", style="green"))
    tell_source(trace.design, out)
    out.print()


_STATUS_STYLES = {"live": "bold green", "stale": "yellow", "foreign": "bold red"}


def _places(scene: Scene) -> Table:
    """Where the register's values are, and what each is worth."""
    table = make_table()
    for box, cell in cells_in_use(scene):
        owner = cell.value.owner if cell.value else ""
        table.add_row(
            f"     {box.id} {cell.label}",
            str(cell.value),
            Text(owner_words(owner), style=hue(owner)) if owner else "",
            Text(cell.status, style=_STATUS_STYLES.get(cell.status, "dim")),
        )
    return table


def _tell(trace: RunTrace, out: Console) -> None:
    action = -1
    for index, step in enumerate(trace.steps):
        if step.action != action:
            action = step.action
            out.print(Text(f"\n{action + 1}. {printable(trace.actions[action])}", style="bold"))
        out.print(Text(f"  {index + 1:>4}  {step_words(trace, index + 1)}"))
    out.print()


def _write_pictures(trace: RunTrace, folder: Path, force: bool, inputs: list[Path]) -> None:
    from vmxsim.exports.export import write_pictures

    written = write_pictures(
        trace, range(len(trace.steps) + 1), folder, "svg", overwrite=force, inputs=inputs
    )
    remark(f"{len(written)} pictures in {folder}")
