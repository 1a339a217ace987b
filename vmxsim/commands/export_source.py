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
        return run(_scenario(path, number), design and named_design(design))
    if number is not None:
        raise InputError("is for a scenario file (.yaml)", "--number")
    if design is not None:
        raise InputError("is for a scenario file (.yaml); a design is named as WHAT", "--design")
    if what in EXAMPLES or (path.is_file() and not what.endswith(".py")):
        _only("a design", asked, "a recording says itself what happened")
        return read(what)
    return _counterexample(_design(what), asked)


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
        raise InputError(
            f"no design, recorded trace or scenario file (.yaml) '{printable(what)}'"
            f"{nearest(what, [*DESIGNS, *EXAMPLES])}; 'vmxsim designs' lists the designs, the recordings are"
            f" {', '.join(EXAMPLES)}"
        ) from None


def _counterexample(design: Any, asked: Mapping[str, Any]) -> Any:
    result = check(design, **asked)
    if result.verdict == VIOLATED:
        return result
    if result.verdict == SAFE:
        raise InputError(nothing_found(result))
    remark(nothing_found(result))
    return None
