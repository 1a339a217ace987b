"""``vmxsim compare``: two designs on one schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from vmxsim.checker.difference import shortest_difference
from vmxsim.commands.common import (
    FINE,
    FSGSBASE_OPTION,
    GS_BASE_OPTION,
    HOST_OPTION,
    INCONCLUSIVE,
    TREE_OPTION,
    console,
    named_design,
    print_json,
    remark,
    source_object,
    tree_design,
)
from vmxsim.commands.run import show_run, violations
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.compare import Divergence, divergence, run_together
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS, read_scenarios


@click.command("compare")
@click.argument("a")
@click.argument("b", required=False)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@TREE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per scenario.")
@HOST_OPTION
@GS_BASE_OPTION
@FSGSBASE_OPTION
def compare_command(
    a: str,
    b: str | None,
    file: Path | None,
    tree: str | None,
    as_json: bool,
    host: str | None,
    **options: Any,
) -> int:
    """Run designs A and B on one schedule and show the first point where they differ. With --tree, the
    kernel's own C is the first design: 'compare --tree DIR B [FILE]'.

    Without FILE, find the shortest schedule on which the guest, user space or a host task can see a
    difference. The exit status is 3 if that search is incomplete.
    """
    designs, file = _pair(tree, a, b, file)
    if file is None:
        found = shortest_difference(designs[0], designs[1], (host,) if host else HOSTS, **options)
        remark(found.reason)
        if found.scenario is None:
            if as_json:
                names = [name_of(design) for design in designs]
                print_json(
                    {"a": names[0], "b": names[1], "scenario": None, "divergence": None}
                    | {"complete": found.complete, "reason": found.reason}
                    | source_object(designs[0])
                )
            return FINE if found.complete else INCONCLUSIVE
        scenarios: list[Any] = [found.scenario]
    else:
        scenarios = list(read_scenarios(file))
    for scenario in scenarios:
        traces, _ = run_together(scenario, designs, host=host, **options)
        split = divergence(*traces)
        if as_json:
            print_json(_comparison(traces, split))
        else:
            _show_comparison(traces, split, console())
        for note in dict.fromkeys(note for trace in traces for note in trace.notes):
            remark(note)
    return FINE


def _pair(tree: str | None, a: str, b: str | None, file: Path | None) -> tuple[list[type[Kvm]], Path | None]:
    """The two designs and the scenario file. Raises InputError unless there are two designs."""
    if tree is None:
        if b is None:
            raise InputError("name two designs, or one and a kernel tree with --tree", "compare")
        return [named_design(a), named_design(b)], file
    if file is not None:
        raise InputError("is the first design: name one other, and a scenario file if you want", "--tree")
    return [tree_design(tree), named_design(a)], None if b is None else Path(b)


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
        "violations": [violations(trace) for trace in traces],
        **source_object(traces[0].design),
    }


def _show_comparison(traces: list[RunTrace], split: Divergence | None, out: Console) -> None:
    for trace in traces:
        show_run(trace, out, words=False)
    if split is None:
        out.print(Text("The two designs do not differ on this schedule.", style="green"))
    else:
        out.print(Text.assemble(("First difference: ", "bold"), split.words))
