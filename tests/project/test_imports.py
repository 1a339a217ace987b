"""Who may import whom, and what ``import vmxsim`` may cost."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vmxsim"

#: Each room of the house, and the rooms right below it; what those may import, it may too.
BELOW = {
    "errors": [],
    "kernel": ["errors"],
    "designs": ["kernel"],
    "simulation": ["designs"],
    "views": ["simulation"],
    "checker": ["simulation"],
    "ftrace": ["simulation"],
    "promela": ["checker"],
    "web": ["views"],
    "teaching": ["views", "checker", "ftrace"],
    "widgets": ["web", "teaching"],
    "exports": ["web", "teaching"],
    "commands": ["widgets", "exports", "promela"],
    "cli": ["commands"],
    "__init__": [],
}


@cache
def allowed(part: str) -> frozenset[str]:
    """The parts that ``part`` may import, itself included."""
    return frozenset({part}.union(*(allowed(below) for below in BELOW[part])))


def imported_parts(source: str) -> set[str]:
    """The parts of vmxsim that a module imports, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("vmxsim.")}
    return found


def fresh(code: str) -> list[str]:
    """The words that the code prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    # a command may live beside what it runs; it belongs to the command line all the same
    part = "commands" if path.name == "command.py" else path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in BELOW, f"vmxsim.{part} is new: say in BELOW what it stands on"
    above = imported_parts(path.read_text()) - allowed(part)
    assert not above, f"vmxsim.{part} may not import {', '.join(sorted(above))}"


def test_no_module_bears_a_public_name():
    """``vmxsim.run`` must be the function, whatever was imported before."""
    public = set(fresh("import vmxsim; print(*vmxsim.__all__)"))
    assert {"run", "compare", "explore", "replay", "picture", "cost", "Scenario"} <= public
    assert not public & {path.stem for path in PACKAGE.iterdir()}


def test_every_public_name_is_there():
    fresh("import vmxsim; [getattr(vmxsim, name) for name in vmxsim.__all__]")


def test_importing_vmxsim_loads_nothing_heavy():
    heavy = {"ipywidgets", "anywidget", "attr", "graphviz", "pygraphviz", "yaml", "rich", "click"}
    loaded = fresh("import sys, vmxsim; print(*{name.split('.')[0] for name in sys.modules})")
    assert not heavy & set(loaded)
