"""Who may import whom, and what ``import vmxsim`` may cost."""

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vmxsim"

#: Each room of the house, and the rooms right below it; what those may import, it may too.
BELOW = {
    "errors": [],
    "progress": ["errors"],
    "kernel": ["errors", "progress"],
    "designs": ["kernel"],
    "simulation": ["designs"],
    "views": ["simulation"],
    "checker": ["simulation"],
    "ftrace": ["simulation"],
    "csource": ["checker"],
    "promela": ["checker"],
    "web": ["views"],
    "teaching": ["views", "checker", "ftrace"],
    "widgets": ["web", "teaching", "csource"],
    "exports": ["web", "teaching", "csource"],
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
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in BELOW, f"vmxsim.{part} is new: say in BELOW what it stands on"
    above = imported_parts(path.read_text()) - allowed(part)
    assert not above, f"vmxsim.{part} may not import {', '.join(sorted(above))}"


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return {
        ".".join(("vmxsim", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """The package's modules that a module imports, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vmxsim"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in known else node.module)
    return found


def test_no_two_modules_import_each_other():
    known = modules()
    imports = {name: imported_modules(path, set(known)) for name, path in known.items()}
    waiting = set(known)
    while ready := {name for name in waiting if not imports[name] & waiting - {name}}:
        waiting -= ready
    assert not waiting, f"these import each other in a circle: {sorted(waiting)}"


def test_a_file_name_means_one_thing():
    """A command is named after what it runs; no other name stands twice."""
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.parent.name != "commands")
    assert {name for name, count in names.items() if count > 1} == {"__init__.py"}


def test_views_take_only_the_trace_from_the_simulation():
    known = modules()
    taken = {
        name
        for module, path in known.items()
        if module.startswith("vmxsim.views")
        for name in imported_modules(path, set(known))
        if name.startswith("vmxsim.simulation")
    }
    assert taken == {"vmxsim.simulation.trace"}


def test_the_explorer_opens_without_the_checker_and_submissions_are_found_without_nbgrader():
    code = "import sys, vmxsim; vmxsim.explore(); print(*sys.modules)"
    assert not [name for name in fresh(code) if name.startswith("vmxsim.checker.")]
    code = "import sys, vmxsim.teaching.classroom.submissions; print(*sys.modules)"
    assert not {"nbgrader", "nbformat"} & set(fresh(code))


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
