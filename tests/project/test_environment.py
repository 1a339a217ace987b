"""environment.yml and pyproject.toml say the same, and conda can read every line."""

import re
import tomllib
from pathlib import Path

import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
#: What conda calls a Python package of another name.
CONDA_NAMES = {"graphviz": "python-graphviz", "jupyter-core": "jupyter_core"}
#: What conda's list needs beyond Python packages; environment.yml says why.
CONDA_ONLY = {"python", "pip", "graphviz"}


def conda_specs() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    return environment["dependencies"]


def test_every_line_is_a_strict_match_specification():
    for line in conda_specs():
        spec = MatchSpec(line, strict=True)
        assert spec.name is not None, line
        assert spec.version, f"{line}: no lower bound"


def test_the_same_list_as_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {}
    for requirement in project["dependencies"]:
        name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)(>=[0-9.]+)(?:;.*)?", requirement).groups()
        wanted[CONDA_NAMES.get(name, name)] = bound
    specs = {line.split()[0]: line.split()[1] for line in conda_specs()}
    assert specs.pop("python") == project["requires-python"]
    assert {name: bound for name, bound in specs.items() if name not in CONDA_ONLY} == wanted
