"""What the tests export: every counterexample of the history, every shipped recording, odd ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import vmxsim
from tests.checker import failing
from tests.views.traces import Hostile, crowded
from vmxsim.checker.result import CheckResult
from vmxsim.ftrace.recording import EXAMPLES, read

#: (design, host) of every violated pair.
VIOLATED = (
    ("msr-array", "64-bit"),
    ("msr-array", "32-bit"),
    ("array-passthrough", "64-bit"),
    ("array-passthrough", "32-bit"),
    ("lazy-long-mode", "64-bit"),
    ("lazy-long-mode", "32-bit"),
    ("load-gs-index", "32-bit"),
    ("dedicated-accessors", "64-bit"),
    ("dedicated-accessors", "32-bit"),
)

#: What is wrong at the step to blame.
BLAMED = {
    (design, host): "a restore goes wrong"
    if design in ("msr-array", "array-passthrough", "load-gs-index")
    else "the right value is lost"
    for design, host in VIOLATED
}


@cache
def checked(design: Any, host: str) -> CheckResult:
    """A check, done once for all tests."""
    return vmxsim.check(design, host=host)


@cache
def named(name: str) -> Any:
    """What is exported under a name of :func:`names`."""
    if name in EXAMPLES:
        return read(name)
    if name == "crowded":
        return crowded()
    if name == "hostile":
        return Hostile()
    if name == "preempted":
        return checked(failing.WithoutPreemptDisable, "64-bit")
    if name == "failing":
        return checked(failing.EnablesTooOften, "64-bit")
    if name == "every invariant of one":
        return next(iter(checked("dedicated-accessors", "64-bit").hosts)).counterexamples["no-leak"]
    design, _, host = name.partition(" ")
    return checked(design, host)


def names() -> list[str]:
    """Everything that a text must be able to tell."""
    return [
        *(f"{design} {host}" for design, host in VIOLATED),
        *EXAMPLES,
        "crowded",
        "hostile",
        "preempted",
        "failing",
        "every invariant of one",
    ]
