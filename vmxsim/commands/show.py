"""``vmxsim show``: a design's functions, fields and primitives; a function through the years."""

from __future__ import annotations

from difflib import unified_diff
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from vmxsim.commands.common import (
    FINE,
    TREE_OPTION,
    console,
    make_table,
    named_design,
    print_json,
    tree_design,
)
from vmxsim.commands.show_tree import show_tree
from vmxsim.designs.history import (
    Version,
    changed_last,
    history,
    own_fields,
    primitives,
    reached,
    source_lines,
    vcpu_fields,
)
from vmxsim.designs.in_the_kernel import place_of
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import HOOKS, Kvm, name_of, release_of


@click.command("show")
@click.argument("design", required=False)
@click.argument("function", required=False)
@TREE_OPTION
@click.option("--history", "through", metavar="FUNCTION", help="Show FUNCTION through the designs, as diffs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_command(
    design: str | None, function: str | None, tree: str | None, through: str | None, as_json: bool
) -> int:
    """Show a design's functions, fields and primitives, or the source of one FUNCTION.

    DESIGN is an id, a commit, a prefix, or FILE.py:NAME. Functions marked with * are the design's own;
    the others are inherited from the design that changed them last, or are KVM's common code.

    'show --tree DIR [FUNCTION]' shows what was followed of the kernel's own C, and why: of a
    FUNCTION each line, marked with - and a reason where it was left out.
    """
    if through:
        if design or tree is not None:
            raise InputError("takes a function and no design", "--history")
        return _show_history(history(through), as_json)
    if tree is not None:
        if function:
            raise InputError(f"already names the design: leave out '{printable(design)}'", "--tree")
        return show_tree(tree_design(tree), design, as_json)
    if not design:
        raise InputError("name a design, or --history FUNCTION; 'vmxsim designs' lists the designs", "show")
    chosen = named_design(design)
    if function:
        return _show_function(chosen, function, as_json)
    if as_json:
        print_json(as_object(chosen))
    else:
        _show_design(chosen, console())
    return FINE


def _origin(cls: type[Kvm]) -> dict[str, Any]:
    """The design that a version comes from; no design for KVM's common code."""
    if cls is Kvm:
        return {"design": None, "commit": None, "release": None}
    return {"design": name_of(cls), "commit": cls.commit, "release": release_of(cls)}


def _origin_words(cls: type[Kvm]) -> str:
    if cls is Kvm:
        return "KVM's common code"
    known = ", ".join(filter(None, (cls.commit, release_of(cls))))
    return name_of(cls) + (f" ({known})" if known else "")


def as_object(design: type[Kvm]) -> dict[str, Any]:
    """What ``show DESIGN --json`` prints."""
    return {
        "design": name_of(design),
        "functions": [
            {
                "name": name,
                "own": changed_last(design, name) is design,
                "changed_last": _origin(changed_last(design, name)),
                "requires": list(function.requires),
                "primitives": primitives(function),
            }
            for name, function in reached(design).items()
        ],
        "fields": vcpu_fields(design),
        "declared": own_fields(design),
    }


def _show_design(design: type[Kvm], out: Console) -> None:
    out.print(Text.assemble((name_of(design), "bold"), f"  {design.title}"))
    functions = reached(design)
    out.print(Text("\nFunctions (* its own), and which design changed them last", style="bold"))
    table = make_table()
    origins = {name: changed_last(design, name) for name in functions}
    for name in sorted(functions, key=lambda name: origins[name] is not design):
        own = origins[name] is design
        if origins[name] is not Kvm:
            table.add_row(
                Text(f"{'*' if own else ' '} {name}", style="bold" if own else ""),
                _origin_words(origins[name]),
            )
    out.print(table)
    common = [name for name, origin in origins.items() if origin is Kvm]
    out.print(Text("\nKVM's common code", style="bold"))
    out.print(Padding(", ".join(common), (0, 0, 0, 2)))
    idle = [name for name in HOOKS if name not in functions]
    if idle:
        out.print(Text("\nHooks that do nothing yet", style="bold"))
        out.print(Padding(", ".join(idle), (0, 0, 0, 2)))
    out.print(Text("\nFields of the vCPU", style="bold"))
    table = make_table()
    for field, names in vcpu_fields(design).items():
        table.add_row(f"  {', '.join(names)}", Text("" if names == [field] else field, style="dim"))
    out.print(table)
    declared = own_fields(design)
    if any(declared.values()):
        out.print(Text("\nFields that it declares, and what they hold at first", style="bold"))
        for field, first in declared["fields"].items():
            out.print(f"  vmx.{field}: {first}")
        for field, first in declared["cpu_fields"].items():
            out.print(f'  this_cpu_read("{field}"), on each CPU: {first}')
    called = sorted({name for function in functions.values() for name in primitives(function)})
    out.print(Text("\nPrimitives", style="bold"))
    out.print(Padding(", ".join(called), (0, 0, 0, 2)))


def _show_function(design: type[Kvm], name: str, as_json: bool) -> int:
    functions = design.functions()
    if name not in functions:
        raise unknown("function", name, functions, name_of(design))
    function, origin = functions[name], changed_last(design, name)
    if as_json:
        print_json(
            {"design": name_of(design), "name": name, "changed_last": _origin(origin)}
            | {"source": source_lines(function), "called": name in reached(design)}
        )
        return FINE
    out = console()
    out.print(Text(f"# {name_of(design)}: changed last by {_origin_words(origin)}", style="dim"))
    files = place_of(design, name).files
    if files:
        out.print(Text(f"# in the kernel: {' or '.join(files)}", style="dim"))
    if name not in reached(design):
        out.print(Text("# nothing in this design calls it anymore", style="dim"))
    out.print(Text("\n".join(source_lines(function))))
    return FINE


def _show_history(versions: list[Version], as_json: bool) -> int:
    if as_json:
        print_json(
            [
                _origin(changed_last(one.design, one.function.name))
                | {"name": one.function.name, "source": source_lines(one.function)}
                for one in versions
            ]
        )
        return FINE
    out, before = console(), []  # type: ignore[var-annotated]
    for one in versions:
        lines = source_lines(one.function)
        out.print(Text(_origin_words(changed_last(one.design, one.function.name)), style="bold"))
        diff = list(unified_diff(before, lines, n=max(len(before), len(lines)), lineterm=""))[3:]
        for line in diff if before else lines:
            style = {"+": "green", "-": "red"}.get(line[:1], "") if before else ""
            out.print(Text(f"  {line.rstrip()}", style=style))
        out.print()
        before = lines
    return FINE
