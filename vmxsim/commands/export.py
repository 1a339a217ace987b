"""``vmxsim export``: a counterexample, a run or a recording for somebody else; a design for Spin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from vmxsim.checker.assumptions import ASSUMPTIONS, restriction
from vmxsim.checker.promela import promela, restricted
from vmxsim.commands.designs import named_design
from vmxsim.commands.export_source import no_scenario, run_on, source
from vmxsim.commands.output import FINE, INCONCLUSIVE, console, remark
from vmxsim.errors import InputError, nearest, printable
from vmxsim.scenario import HOSTS

_FORMATS = ("promela", "html", "markdown", "mail", "storyboard", "svg", "png")

#: Options that say something of some formats only.
_FOR = {
    "theme": ("html", "storyboard", "svg", "png"),
    "steps": ("markdown", "mail", "storyboard", "svg", "png"),
    "scale": ("png",),
    "per_page": ("storyboard",),
    "beside": ("html",),
    "design": _FORMATS[1:],
    "number": _FORMATS[1:],
}


class _Format(click.Choice[str]):
    """A format; what is none is answered with the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in _FORMATS:
            raise InputError(
                f"'{printable(value)}' is none; choose {', '.join(_FORMATS)}{nearest(str(value), _FORMATS)}",
                "--to",
            )
        return value


def _assumptions(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """``--assume help`` lists them, whatever else is said."""
    if any("help" in text.split(",") for text in given):
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, assumption in ASSUMPTIONS.items():
            table.add_row(Text(name, style="bold"), assumption.words)
        console().print(table)
        ctx.exit(FINE)
    return given


@click.command("export")
@click.argument("what")
@click.option("--to", "form", type=_Format(_FORMATS), required=True, help="What to make of it.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file; for svg and png the folder.")
@click.option("--design", "-d", help="Of a scenario file: run it on this design (or FILE.py:NAME) instead.")
@click.option("--number", type=click.IntRange(1), help="Of a scenario file with several: which one, from 1.")
@click.option("--beside", help="html: the same schedule on this design (or FILE.py:NAME) beside it.")
@click.option("--theme", type=click.Choice(["auto", "light", "dark"]), help="Colours (auto: the reader's).")
@click.option("--steps", type=click.Choice(["telling", "all"]), help="Texts: telling; pictures: all.")
@click.option("--scale", type=click.FloatRange(0.1, 8), help="png: how much larger (1).")
@click.option("--per-page", type=click.Choice(["2", "4"]), help="storyboard: pictures on a sheet (2).")
@click.option("--host", type=click.Choice([*HOSTS, "both"]), help="promela: 64-bit; counterexamples: both.")
@click.option("--cpus", type=click.IntRange(1, 16), help="Of a design (2).")
@click.option("--vcpus", type=click.IntRange(1, 2), help="Of a design (1).")
@click.option("--interception", type=click.Choice(["rule", "bitmap"]), help="When the guest's access exits.")
@click.option("--non-canonical", is_flag=True, help="The guest also writes a non-canonical address.")
@click.option(
    "--assume",
    multiple=True,
    is_eager=True,
    callback=_assumptions,
    help="Of a design: what to take for granted; '--assume help' lists it.",
)
def export_command(
    what: str, form: str, output: Path | None, design: str | None, number: int | None, **options: Any
) -> int:
    """Write WHAT in another form: for a mailing list, a review, a page, paper, slides, or Spin.

    WHAT is a design (its shortest counterexample is exported; for promela the whole model):
    an id, a commit, or FILE.py:NAME for one of your own; or a scenario file (.yaml); or a
    recorded trace: a file, or the name of a shipped example.
    """
    _check(form, {"design": design, "number": number, **options})
    asked = {name: options[name] for name in ("host", "cpus", "vcpus", "interception") if options[name]}
    asked |= {name: options[name] for name in ("non_canonical", "assume") if options[name]}
    if form == "promela":
        no_scenario(what)
        return _model(what, output, asked)
    if form in ("svg", "png") and output is None:
        raise InputError(f"{form} is a sequence of files: name a folder with -o FOLDER", "--output")
    found = source(what, design, number, asked)
    if found is None:
        return INCONCLUSIVE
    return _export(found, form, output, options)


def _check(form: str, options: dict[str, Any]) -> None:
    """Options must have something to say of this format."""
    for name, forms in _FOR.items():
        if options[name] is not None and form not in forms:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"says nothing of '--to {form}'; it is for {', '.join(forms)}", flag)


def _export(found: Any, form: str, output: Path | None, options: dict[str, Any]) -> int:
    from vmxsim.exports.export import export
    from vmxsim.exports.subject import subject

    chosen = {name: options[name] for name in ("theme", "steps", "scale") if options[name] is not None}
    if options["per_page"]:
        chosen["per_page"] = int(options["per_page"])
    if options["beside"]:
        about = subject(found)
        if about.scenario is None:
            raise InputError("a recording has no schedule to run on another design", "--beside")
        found = (about.shown, run_on(about.scenario, named_design(options["beside"])))
    made = export(found, form, output, **chosen)
    if isinstance(made, str):
        click.echo(made, nl=False)
    elif isinstance(made, list):
        remark(f"{len(made)} pictures in {output}")
    else:
        remark(f"written: {output}")
    return FINE


def _model(name: str, output: Path | None, asked: dict[str, Any]) -> int:
    """A design as a Promela model for Spin, written from its kernel code line by line. Its head says how to
    run it."""
    host = asked.get("host", HOSTS[0])
    if host not in HOSTS:
        raise InputError(f"a model is of one host width: choose {' or '.join(HOSTS)}", "--host")
    assumed = restriction(asked.get("assume", ()))
    model = promela(
        named_design(name),
        bits=int(host[:2]),
        cpus=asked.get("cpus", 2),
        vcpus=asked.get("vcpus", 1),
        long_modes=assumed.long_modes,
        interception=asked.get("interception", "rule"),
        non_canonical=asked.get("non_canonical", False),
        environment=restricted(assumed),
    )
    if output is None:
        click.echo(model, nl=False)
        return FINE
    try:
        output.write_text(model, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(output, 200)) from None
    remark(f"{len(model.splitlines())} lines in {output}")
    return FINE
