"""What ``vmxsim export WHAT`` names: a design, a scenario file or a recorded trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmxsim.checker.result import SAFE, VIOLATED
from vmxsim.checker.verdict import check
from vmxsim.commands.designs import named_design
from vmxsim.commands.output import remark
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError, nearest, printable
from vmxsim.exports.subject import nothing_found
from vmxsim.ftrace.examples import EXAMPLES
from vmxsim.ftrace.recording import read
from vmxsim.kernel.kvm import Kvm
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario, read_scenarios
from vmxsim.simulation import run

_SCENARIOS = (".yaml", ".yml")


def source(what: str, design: str | None, number: int | None, asked: Mapping[str, Any]) -> Any:
    """The run, recording or check that ``what`` names. None where a search was cut short: nothing can be
    concluded.

    ``design`` and ``number`` are for a scenario file, ``asked`` (options of the check) for a design.
    Raises InputError, also where a design is safe, for then it has no counterexample.
    """
    path = Path(what)
    if path.suffix in _SCENARIOS:
        _only("a design", asked, "a scenario says itself what it runs on")
        return run_on(_scenario(path, number), named_design(design) if design else None)
    if number is not None:
        raise InputError("is for a scenario file (.yaml)", "--number")
    if design is not None:
        raise InputError("is for a scenario file (.yaml); a design is named as WHAT", "--design")
    if path.is_dir():
        raise InputError(
            "is a folder; a design, a recorded trace or a scenario file (.yaml) was expected",
            printable(path, 200),
        )
    if what in EXAMPLES or (path.is_file() and not what.endswith(".py")):
        _only("a design", asked, "a recording says itself what happened")
        return read(what)
    return _counterexample(_design(what), asked)


def run_on(scenario: Scenario, design: type[Kvm] | None) -> RunTrace:
    """The scenario, run. Where it names a line that this design does not have, the error says whose it is
    and how to name the point instead."""
    try:
        return run(scenario, design)
    except InputError as error:
        made_for = scenario.design
        if (
            design is None
            or made_for in (None, design.id)
            or not error.where.endswith(("preempt, before", "preempt, in"))
        ):
            raise
        raise InputError(
            f"{design._name()} lacks this point: {error.message}. The schedule was made for"
            f" {printable(made_for)}; name the point by a primitive that both have (before: rdmsr, wrmsr,"
            " preempt_disable, preempt_enable, local_irq_disable, ...), without a line, and without 'in'"
            " where the function is missing",
            error.where,
        ) from None


def no_scenario(what: str) -> None:
    """For what takes a design only. Raises InputError for a scenario, a recording or a folder."""
    path = Path(what)
    if path.is_dir():
        raise InputError("is a folder; a design was expected", printable(path, 200))
    if path.suffix in _SCENARIOS:
        raise InputError("promela takes a design, not a scenario", printable(path, 200))
    if what in EXAMPLES or (path.is_file() and not what.endswith(".py")):
        raise InputError("promela takes a design, not a recording", printable(path, 200))


def _only(kind: str, asked: Mapping[str, Any], why: str) -> None:
    for name in asked:
        raise InputError(f"is for {kind}: {why}", f"--{name.replace('_', '-')}")


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
    except InputError as error:
        if ".py" in what or "could be" in str(error):  # it says better what is wrong
            raise
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
