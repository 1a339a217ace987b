"""``vmxsim export``: a counterexample, a run or a recording for somebody else; a design for Spin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import check
from vmxsim.checker.result import SAFE, VIOLATED
from vmxsim.commands.common import (
    ASSUME_OPTION,
    FINE,
    FORCE_OPTION,
    FSGSBASE_OPTION,
    GS_BASE_OPTION,
    INCONCLUSIVE,
    TREE_OPTION,
    input_files,
    named_design,
    one_design,
    remark,
    tree_design,
)
from vmxsim.csource.in_short import files_read
from vmxsim.designs import DESIGNS
from vmxsim.errors import (
    InputError,
    NoSuchPointError,
    nearest,
    printable,
    refuse_overwriting,
    unknown,
    write_file,
)
from vmxsim.exports.subject import nothing_found
from vmxsim.ftrace.recording import EXAMPLES, read
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.promela import promela, restricted
from vmxsim.simulation.compare import run_together
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import HOSTS, Scenario, read_scenarios

_SCENARIOS = (".yaml", ".yml")
#: What to answer if an option of the check is used for something else.
_NO_CHECK = {
    "scenario": "a scenario says itself what it runs on",
    "recording": "a recording says itself what happened",
}


def kind_of(what: str) -> str:
    """What ``vmxsim export WHAT`` names: a ``design``, ``scenario``, ``recording`` or ``folder``."""
    path = Path(what)
    if path.suffix in _SCENARIOS:
        return "scenario"
    if path.is_dir():
        return "folder"
    return "recording" if what in EXAMPLES or (path.is_file() and not what.endswith(".py")) else "design"


def source(what: str, design: str | None, number: int | None, asked: Mapping[str, Any]) -> Any:
    """The run, recording or check that ``what`` names; None if a search was cut short, so that nothing can
    be concluded.

    ``design`` and ``number`` are for a scenario file, ``asked`` (options of the check) for a design.
    Raises InputError, also if a design is safe: it has no counterexample.
    """
    kind = kind_of(what)
    if kind == "folder":
        raise InputError(
            "is a folder; expected a design, a recorded trace or a scenario file (.yaml)",
            printable(what, 200),
        )
    if kind != "scenario" and number is not None:
        raise InputError("is for a scenario file (.yaml)", "--number")
    if kind != "scenario" and design is not None:
        raise InputError("is for a scenario file (.yaml); a design is named as WHAT", "--design")
    if kind != "design" and asked:
        raise InputError(f"is for a design: {_NO_CHECK[kind]}", _flag(next(iter(asked))))
    if kind == "scenario":
        return run_on(_scenario(Path(what), number), named_design(design) if design else None)
    return read(what) if kind == "recording" else _counterexample(_design(what), asked)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def run_on(scenario: Scenario, design: type[Kvm] | None) -> RunTrace:
    """The scenario, run. Where it names a line that this design does not have, the error says whose it is
    and how to name the point instead."""
    try:
        return run(scenario, design)
    except NoSuchPointError as error:
        made_for = scenario.design
        if design is None or made_for in (None, design.id):
            raise
        raise InputError(
            f"{name_of(design)} lacks this point: {error.message}. The schedule was made for"
            f" {printable(made_for)}; name the point by a primitive that both have (before: rdmsr, wrmsr,"
            " preempt_disable, preempt_enable, local_irq_disable, ...), without a line, and without 'in'"
            " where the function is missing",
            error.where,
        ) from None


def _scenario(path: Path, number: int | None) -> Scenario:
    scenarios = read_scenarios(path)
    if len(scenarios) > 1 and number is None:
        raise InputError(
            f"holds {len(scenarios)} scenarios: say which one, --number 1 to {len(scenarios)}",
            printable(path, 200),
        )
    if number is not None and number > len(scenarios):
        raise InputError(f"there is no scenario {number}: the file holds {len(scenarios)}", "--number")
    return scenarios[(number or 1) - 1]


def _design(what: str) -> Any:
    try:
        return named_design(what)
    except InputError:
        if ".py" in what or any(name.startswith(what) for name in DESIGNS):
            raise  # it names the mistake in the file, or the designs to choose from
        meant = nearest(what, [*DESIGNS, *EXAMPLES]) or ";"  # a question ends with its own mark
        raise InputError(
            f"no design, recorded trace or scenario file (.yaml) '{printable(what)}'{meant}"
            f" 'vmxsim designs' lists the designs, the recordings are {', '.join(EXAMPLES)}"
        ) from None


def _counterexample(design: Any, asked: Mapping[str, Any]) -> Any:
    result = check(design, **asked)
    if result.verdict == VIOLATED:
        return result
    if result.verdict == SAFE:
        raise InputError(nothing_found(result))
    remark(nothing_found(result))
    return None


_FORMATS = ("promela", "html", "markdown", "mail", "storyboard", "svg", "png")

#: Options that apply to some formats only.
_FOR = {
    "theme": ("html", "storyboard", "svg", "png"),
    "steps": ("markdown", "mail", "storyboard", "svg", "png"),
    "scale": ("png",),
    "per_page": ("storyboard",),
    "glossary": ("mail",),
    "beside": ("html",),
    "design": _FORMATS[1:],
    "number": _FORMATS[1:],
}


class _Format(click.Choice[str]):
    """A format; the error for an unknown one suggests the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in _FORMATS:
            raise unknown("format", value, _FORMATS, "--to")
        return value


@click.command("export")
@click.argument("what", required=False)
@click.option("--to", "form", type=_Format(_FORMATS), required=True, help="What to make of it.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file; for svg and png the folder.")
@FORCE_OPTION
@TREE_OPTION
@click.option("--design", "-d", help="Of a scenario file: run it on this design (or FILE.py:NAME) instead.")
@click.option("--number", type=click.IntRange(1), help="Of a scenario file with several: which one, from 1.")
@click.option("--beside", help="html: the same schedule on this design (or FILE.py:NAME) beside it.")
@click.option("--theme", type=click.Choice(["auto", "light", "dark"]), help="Colors (auto: the reader's).")
@click.option("--steps", type=click.Choice(["telling", "all"]), help="Texts: telling; pictures: all.")
@click.option("--scale", type=click.FloatRange(0.1, 8), help="png: how much larger (1).")
@click.option("--per-page", type=click.Choice(["2", "4"]), help="storyboard: pictures on a sheet (2).")
@click.option("--glossary", is_flag=True, default=None, help="mail: explain its words at the end.")
@click.option("--host", type=click.Choice([*HOSTS, "both"]), help="promela: 64-bit; counterexamples: both.")
@click.option("--cpus", type=click.IntRange(1, 16), help="Of a design (2).")
@click.option("--vcpus", type=click.IntRange(1, 2), help="Of a design (1).")
@click.option("--interception", type=click.Choice(["rule", "bitmap"]), help="When the guest's access exits.")
@click.option("--non-canonical", is_flag=True, help="The guest also writes a non-canonical address.")
@GS_BASE_OPTION
@FSGSBASE_OPTION
@ASSUME_OPTION
def export_command(
    what: str | None,
    form: str,
    output: Path | None,
    tree: str | None,
    design: str | None,
    number: int | None,
    force: bool,
    **options: Any,
) -> int:
    """Write WHAT in another form: for a mailing list, a review, a page, paper, slides, or Spin.

    WHAT is a design (its shortest counterexample is exported; for promela the whole model):
    an id, a commit, or FILE.py:NAME for one of your own; or a scenario file (.yaml); or a
    recorded trace: a file, or the name of a shipped example. With --tree, the kernel's own C is
    the design: leave WHAT out, or name a scenario file to run on it.
    """
    _check(form, {"design": design, "number": number, **options})
    if what is None and tree is None:
        raise InputError(
            "name a design, a scenario file, a recording, or a kernel tree with --tree", "export"
        )
    if tree is not None and (design is not None or (what is not None and kind_of(what) != "scenario")):
        raise InputError(
            "already names the design: leave out any other; WHAT can be a scenario file", "--tree"
        )
    if output is not None and form not in ("svg", "png"):
        refuse_overwriting(output, force, input_files(what, tree, design, options["beside"]))
    asked = {name: options[name] for name in ("host", "cpus", "vcpus", "interception") if options[name]}
    asked |= {name: options[name] for name in ("gs_base_from", "fsgsbase") if options[name] is not None}
    asked |= {name: options[name] for name in ("non_canonical", "assume") if options[name]}
    if form == "promela":
        return _model(what, tree, output, force, asked)
    if form in ("svg", "png") and output is None:
        raise InputError(f"{form} is a sequence of files: name a folder with -o FOLDER", "--output")
    if tree is None:
        found = source(str(what), design, number, asked)
    else:
        found = _of_tree(what, tree, number, asked)
    if found is None:
        return INCONCLUSIVE
    return _export(found, form, output, force, options)


def _of_tree(what: str | None, tree: str, number: int | None, asked: Mapping[str, Any]) -> Any:
    """The check of the kernel's own C, or the run of a scenario file on it."""
    if what is None:
        if number is not None:
            raise InputError("is for a scenario file (.yaml)", "--number")
        return _counterexample(tree_design(tree), asked)
    if asked:
        raise InputError(f"is for a design: {_NO_CHECK['scenario']}", _flag(next(iter(asked))))
    return run_on(_scenario(Path(what), number), tree_design(tree))


def _check(form: str, options: dict[str, Any]) -> None:
    """Raise InputError for an option that does not apply to this format."""
    for name, forms in _FOR.items():
        if options[name] is not None and form not in forms:
            raise InputError(f"does not apply to '--to {form}'; it is for {', '.join(forms)}", _flag(name))


def _export(found: Any, form: str, output: Path | None, force: bool, options: dict[str, Any]) -> int:
    from vmxsim.exports.export import export
    from vmxsim.exports.subject import subject

    chosen = {
        name: options[name] for name in ("theme", "steps", "scale", "glossary") if options[name] is not None
    }
    if options["per_page"]:
        chosen["per_page"] = int(options["per_page"])
    if options["beside"]:
        about = subject(found)
        if about.scenario is None or about.design is None:
            raise InputError("a recording has no schedule to run on another design", "--beside")
        designs = [about.design, named_design(options["beside"])]
        found, _ = run_together(about.scenario, designs)
    made = export(found, form, output, overwrite=force, **chosen)
    if isinstance(made, str):
        click.echo(made, nl=False)
    elif isinstance(made, list):
        remark(f"{len(made)} pictures in {output}")
    else:
        remark(f"written: {output}")
    return FINE


def _model(
    name: str | None, tree: str | None, output: Path | None, force: bool, asked: dict[str, Any]
) -> int:
    """Write a design as a Promela model for Spin, line by line from its kernel code. The head of the model
    says how to run it."""
    kind = kind_of(name) if name else "design"
    if kind == "folder":
        raise InputError("is a folder; expected a design", printable(name, 200))
    if kind != "design":
        raise InputError(f"promela takes a design, not a {kind}", printable(name, 200))
    host = asked.get("host", HOSTS[0])
    if host not in HOSTS:
        raise InputError(f"a model is of one host width: choose {' or '.join(HOSTS)}", "--host")
    assumed = restriction(asked.get("assume", ()))
    design = one_design(name, tree, "export")
    model = promela(
        design,
        bits=int(host[:2]),
        gs_base_from=asked.get("gs_base_from"),
        fsgsbase=asked.get("fsgsbase"),
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
    write_file(output, model, overwrite=force, inputs=files_read(design))
    remark(f"{len(model.splitlines())} lines in {output}")
    return FINE
