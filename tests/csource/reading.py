"""Designs read back from C, each once, and what a verdict says, for comparison."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.csource.retell import retold
from vmxsim.checker.check import check
from vmxsim.checker.result import CheckResult
from vmxsim.csource.design import Carried, from_tree
from vmxsim.csource.tree import Tree
from vmxsim.designs import find_design
from vmxsim.kernel.kvm import Kvm


@cache
def carried(name: str) -> Carried:
    """A built-in design, printed as C and read back."""
    return from_tree(retold(name))


@cache
def verdict(name: str) -> dict[str, Any]:
    """What the checker says about a built-in design: see :func:`said`."""
    return said(check(find_design(name)))


@cache
def verdict_on_c(name: str) -> dict[str, Any]:
    """What the checker says about the same design read back from C."""
    return said(check(carried(name).design))


def judged(tree: Tree) -> dict[str, Any]:
    """What the checker says about a tree."""
    return said(check(from_tree(tree).design))


def said(result: CheckResult) -> dict[str, Any]:
    """Per width of the host: the verdict, and for each broken invariant the start mode and the schedule."""
    return {
        host.host: {
            "verdict": host.verdict,
            **{name: (c.scenario.long_mode, c.schedule) for name, c in host.counterexamples.items()},
        }
        for host in result.hosts
    }


def verdicts(result: dict[str, Any]) -> dict[str, Any]:
    """Per width of the host only which invariants break."""
    return {host: (found["verdict"], sorted(found)) for host, found in result.items()}


def verdicts_of(design: type[Kvm]) -> dict[str, Any]:
    """The same for a design."""
    return verdicts(said(check(design)))


def write(tree: Tree, folder: Path) -> Path:
    """A tree as files in a folder, which is returned."""
    for path, text in tree.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder
