"""``vmxsim run`` and ``vmxsim compare``: scenarios on one design, or on two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmxsim.commands.common import (
    FINE,
    INCONCLUSIVE,
    VIOLATED,
    console,
    named_design,
    plain,
    print_json,
    remark,
)
from vmxsim.errors import InputError, printable
from vmxsim.kernel.kvm import name_of
from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.compare import Divergence, divergence
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import HOSTS, read_scenarios
from vmxsim.simulation.trace import Scene
from vmxsim.views.style import hue


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--design", "-d", help="Run on this design (id, commit, prefix or FILE.py:NAME), whatever the file says."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each scenario of the file.")
@click.option("--micro", is_flag=True, help="With --json: every line of kernel code that ran.")
@click.option("--words", is_flag=True, help="Say in words what every step did.")
@click.option(
    "--svg", type=click.Path(path_type=Path), help="Write a picture of every step into this folder."
)
@click.option("--interception", type=click.Choice(["rule", "bitmap"]), help="When the guest's access exits.")
def run_command(
    file: Path,
    design: str | None,
    as_json: bool,
    micro: bool,
    words: bool,
    svg: Path | None,
    interception: str | None,
) -> int:
    """Run a scenario file and print what happened.

    Exit status 1 where an invariant broke or an arrow was not met.
    """
    if micro and not as_json:
        raise InputError("--micro goes with --json; for reading, --words tells every step", "--micro")
    status = FINE
    scenarios = read_scenarios(file)
    if svg:
        _make_folder(svg)
    for number, scenario in enumerate(scenarios, 1):
        trace = run(scenario, design and named_design(design), interception=interception)
        if as_json:
            print_json(as_object(trace, micro))
        else:
            show_run(trace, console(), words)
        for note in [*trace.notes, *(n for step in trace.steps for n in step.notes)]:
            remark(note)
        if svg:
            _write_pictures(trace, svg / f"{number:02}" if len(scenarios) > 1 else svg)
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
                    "function": step.function,
                    "line": step.line,
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
        "violations": [
            {"step": v.action, "invariant": v.invariant, "words": v.words} for v in trace.violations
        ],
    }


def show_run(trace: RunTrace, out: Console, words: bool) -> None:
    """A run for people: a row an action, then what broke."""
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
                (f"[{number}] {printable(action)}", "bold"),
                f"  returned {returned}" if returned else "",
                ("  " + ", ".join(dict.fromkeys(broken.get(number, ()))), "bold red"),
            )
        )
        if number in ends:
            out.print(_places(trace.scene(ends[number])))
    for violation in trace.violations:
        out.print(
            Text.assemble(
                (f"{violation.invariant} ", "bold red"), f"at step {violation.action}: {violation.words}"
            )
        )
    if not trace.violations:
        out.print(Text("No invariant broken.", style="green"))
    out.print()


_STATUS_STYLES = {"live": "bold green", "stale": "yellow", "foreign": "bold red"}


def _places(scene: Scene) -> Table:
    """Where the register's values are, and what each is worth."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for box in scene.boxes:
        for cell in box.cells:
            if box.kind == "task" or cell.status == "unused" or cell.place.endswith(".gs_base"):
                continue
            owner = cell.value.owner if cell.value else ""
            table.add_row(
                f"     {box.id} {cell.label}",
                str(cell.value),
                Text(owner_words(owner), style=hue(owner)) if owner else "",
                Text(cell.status, style=_STATUS_STYLES.get(cell.status, "dim")),
            )
    return table


def _tell(trace: RunTrace, out: Console) -> None:
    from vmxsim.views.words import step_words

    action = -1
    for index, step in enumerate(trace.steps):
        if step.action != action:
            action = step.action
            out.print(Text(f"\n[{action}] {printable(trace.actions[action])}", style="bold"))
        out.print(Text(f"  {index + 1:>4}  {step_words(trace, index + 1)}"))
    out.print()


def _write_pictures(trace: RunTrace, folder: Path) -> None:
    from vmxsim.views.film import still

    _make_folder(folder)
    try:
        for index in range(len(trace.steps) + 1):
            (folder / f"step-{index:04}.svg").write_text(still(trace, index), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(folder, 200)) from None
    remark(f"{len(trace.steps) + 1} pictures in {folder}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"is no folder: {error.strerror or error}", printable(folder, 200)) from None


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each scenario.")
@click.option("--host", type=click.Choice(["64-bit", "32-bit"]), help="Width of the host's user space.")
def compare_command(a: str, b: str, file: Path | None, as_json: bool, host: str | None) -> int:
    """Two designs on one schedule, and the first point at which they differ.

    Without FILE: the shortest schedule after which guest, user space or a host task can see a
    difference. Exit status 3 where the search for one is not complete.
    """
    designs = [named_design(name) for name in (a, b)]
    if file is None:
        from vmxsim.checker.difference import shortest_difference  # 'vmxsim run' need not wait for it

        found = shortest_difference(designs[0], designs[1], (host,) if host else HOSTS)
        remark(found.reason)
        if found.scenario is None:
            if as_json:
                names = [name_of(design) for design in designs]
                print_json(
                    {"a": names[0], "b": names[1], "scenario": None, "divergence": None}
                    | {"complete": found.complete, "reason": found.reason}
                )
            return FINE if found.complete else INCONCLUSIVE
        scenarios: list[Any] = [found.scenario]
    else:
        scenarios = list(read_scenarios(file))
    for scenario in scenarios:
        traces = [run(scenario, design, host=host) for design in designs]
        split = divergence(*traces)
        if as_json:
            print_json(_comparison(traces, split))
        else:
            _show_comparison(traces, split, console())
    return FINE


def _comparison(traces: list[RunTrace], split: Divergence | None) -> dict[str, Any]:
    return {
        "a": name_of(traces[0].design),
        "b": name_of(traces[1].design),
        "scenario": {
            "host": traces[0].scenario.host,
            "long_mode": traces[0].scenario.long_mode,
            "steps": list(traces[0].scenario.steps),
        },
        "divergence": split
        and {
            "step": split.action,
            "a_micro": split.a_step,
            "b_micro": split.b_step,
            "differs": split.what,
            "a_value": split.a_value,
            "b_value": split.b_value,
            "words": split.words,
        },
        "results": [trace.results for trace in traces],
        "violations": [
            [{"step": v.action, "invariant": v.invariant, "words": v.words} for v in trace.violations]
            for trace in traces
        ],
    }


def _show_comparison(traces: list[RunTrace], split: Divergence | None, out: Console) -> None:
    for trace in traces:
        show_run(trace, out, words=False)
    if split is None:
        out.print(Text("The two do not differ on this schedule.", style="green"))
    else:
        out.print(Text.assemble(("First difference: ", "bold"), split.words))
