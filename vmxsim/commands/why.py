"""``vmxsim why``: for each line of a design, what breaks without it."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.text import Text

from vmxsim.checker.why import Reason, Why, granted_words, reason_words, why
from vmxsim.commands.common import (
    ASSUME_OPTION,
    FINE,
    INCONCLUSIVE,
    TREE_OPTION,
    console,
    make_table,
    one_design,
    print_json,
    remark,
    source_object,
    tell_source,
    where_object,
)
from vmxsim.kernel.kvm import name_of
from vmxsim.simulation.scenario import HOSTS


@click.command("why")
@click.argument("design", required=False)
@TREE_OPTION
@click.option("--host", type=click.Choice([*HOSTS, "both"]), default="both", show_default=True)
@ASSUME_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def why_command(
    design: str | None, tree: str | None, host: str, assume: tuple[str, ...], as_json: bool
) -> int:
    """Remove each line of the functions that a design changed, check again, and say what breaks.

    A condition is negated; preempt_disable() is removed along with its preempt_enable(). The exit
    status is 3 if some variant could not be checked completely.
    """
    found = why(one_design(design, tree, "why"), hosts=host, assume=assume)
    for sentence in granted_words(found):
        remark(sentence)
    if as_json:
        print_json(as_object(found))
    else:
        _show(found, console())
    return INCONCLUSIVE if found.left or any(reason.incomplete for reason in found.reasons) else FINE


def as_object(found: Why) -> dict[str, Any]:
    """What ``why --json`` prints."""
    return {
        "design": name_of(found.design),
        "granted": {host: None if names is None else list(names) for host, names in found.granted.items()},
        "lines": [_line_object(reason) for reason in found.reasons],
        **source_object(found.design),
    }


def _line_object(reason: Reason) -> dict[str, Any]:
    mutant, example = reason.mutant, reason.counterexample
    return {
        **where_object(mutant.at),
        "source": mutant.source,
        "edit": mutant.edit,
        "breaks": example.invariant if example else None,
        "words": example.words if example else reason.breaks,
        "mechanism": example.mechanism if example else None,
        "host": reason.host or None,
        "assumptions": list(reason.granted),
        "scenario": example.as_data() if example else None,
        "only_costs": mutant.only_costs,
        "never_again": list(reason.lost),
        "incomplete": reason.incomplete,
    }


def _show(found: Why, out: Console) -> None:
    functions = dict.fromkeys(reason.mutant.function for reason in found.reasons)
    out.print(Text(f"{name_of(found.design)}: what breaks without each line", style="bold"))
    for function in functions:
        file = next(r.mutant.at.file for r in found.reasons if r.mutant.function == function)
        out.print(Text.assemble((f"\n{function}()", "bold"), f"  {file}" if file else ""))
        table = make_table()
        table.add_column(justify="right", style="dim")
        table.add_column(overflow="fold", ratio=5)
        table.add_column(overflow="fold", ratio=6)
        for reason in found.reasons:
            if reason.mutant.function == function:
                table.add_row(str(reason.mutant.at.number), _line(reason), _told(reason))
        out.print(table)
    tell_source(found.design, out)


def _line(reason: Reason) -> Text:
    edit = "" if reason.mutant.edit == "removed" else f"  [{reason.mutant.edit}]"
    return Text.assemble(reason.mutant.source, (edit, "dim"))


def _told(reason: Reason) -> Text:
    if reason.counterexample is None:
        return Text(reason_words(reason), style="yellow" if reason.incomplete else "dim")
    return Text.assemble((reason.breaks, "bold red"), f" {reason_words(reason)}")
