"""Scenarios: what happens, as YAML, one action a list item.

Every error names the file, the line and the field, says what was expected and the
nearest valid choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import evolve, field, frozen

from vmxsim.action_syntax import parse_action
from vmxsim.errors import InputError, nearest, printable
from vmxsim.kernel.actions import Action

MAX_BYTES = 1_000_000
MAX_STEPS = 10_000
MAX_CPUS = 64
HOSTS = ("64-bit", "32-bit")
INTERCEPTIONS = ("rule", "bitmap")
FIELDS = ("title", "design", "cpus", "vcpus", "host", "long_mode", "interception", "steps")


@frozen
class Scenario:
    """What to do. ``steps`` is how the actions were written, ``actions`` what they mean.

    ``host`` is the width of the vCPU thread's user space; ``interception`` is ``rule``
    (the design's rule, the default) or ``bitmap`` (what the real MSR bitmaps were left
    at). ``lines`` are the actions' lines in ``file`` and ``design_line`` that of the
    design, empty and 0 where it was not read from there.
    """

    title: str = ""
    design: str | None = None
    cpus: int = 2
    vcpus: int = 1
    host: str = "64-bit"
    long_mode: bool = False
    interception: str = "rule"
    steps: tuple[Any, ...] = ()
    actions: tuple[Action, ...] = ()
    file: str = ""
    lines: tuple[int, ...] = field(default=(), repr=False)
    design_line: int = 0

    def where_design(self) -> str:
        """Where the design was named."""
        return f"{self.file}:{self.design_line}" if self.design_line else ""

    def where(self, index: int) -> str:
        """Where action ``index`` (from 0) was written."""
        step = f"steps[{index}]"
        return f"{self.file}:{self.lines[index]}, {step}" if self.lines else step


def read_scenarios(source: str | Path) -> list[Scenario]:
    """All scenarios of a file, or of YAML text (recognised by its line breaks).

    Raises InputError for anything that is no scenario.
    """
    text = str(source)
    if isinstance(source, Path) or "\n" not in text:
        return _parse(_read(Path(text)), printable(text, 200))
    return _parse(text, "scenario")


def make_scenario(source: Scenario | str | Path | Sequence[Any], **fields: Any) -> Scenario:
    """One scenario from a Scenario, a path, YAML text or a list of actions.

    ``fields`` (design, host, long_mode, cpus, vcpus, interception, title) replace what the
    source says. Raises InputError.
    """
    fields = {name: value for name, value in fields.items() if value is not None}
    if isinstance(source, Scenario):
        scenario = source
    elif isinstance(source, (str, Path)):
        found = read_scenarios(source)
        if len(found) != 1:
            raise InputError(
                f"holds {len(found)} scenarios, one was expected: read_scenarios() gives them all"
            )
        scenario = found[0]
    elif isinstance(source, Sequence):
        return _build(
            {"steps": list(source), **fields}, lambda key, index: f"steps[{index}]" if index >= 0 else key
        )
    else:
        raise InputError(
            f"a scenario is a path, YAML text or a list of actions, not {type(source).__name__}", "scenario"
        )
    _check_fields(fields, lambda key: key)
    if "design" in fields:
        fields["design_line"] = 0
    scenario = evolve(scenario, **fields)
    _check_vcpus(scenario, lambda index: scenario.where(index))
    return scenario


# -- YAML to plain data, with the line of everything


def _read(path: Path) -> str:
    name = printable(path, 200)
    try:
        if path.is_dir():
            raise InputError("is a directory, a scenario file was expected", name)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", name) from None
    except ValueError:
        raise InputError("is no file name", name) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES:,} bytes: no scenario is", name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not text: byte {error.start} is not UTF-8", name) from None
    if "\0" in text:
        raise InputError("is a binary file, YAML text was expected", name)
    return text


def _parse(text: str, name: str) -> list[Scenario]:
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(
            f"is not YAML: {printable(error.problem or error.context)}", f"{name}:{line}"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"is not YAML: {printable(str(error).splitlines()[0])}", name) from None
    if not documents:
        raise InputError("is empty; a scenario needs at least 'steps:'", name)
    return [_document(node, name) for node in documents]


def _document(node: yaml.Node, name: str) -> Scenario:
    def line(of: yaml.Node) -> int:
        return int(of.start_mark.line) + 1

    if not isinstance(node, yaml.MappingNode):
        raise InputError("is no scenario: a mapping with 'steps:' was expected", f"{name}:{line(node)}")
    data: dict[str, Any] = {}
    lines: dict[str, int] = {}
    items: list[int] = []
    reader = _Plain(name)
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        lines[key] = line(key_node)
        if key not in FIELDS:
            raise _unknown_field(key, f"{name}:{lines[key]}, {printable(key)}")
        if key in data:
            raise InputError("is given twice", f"{name}:{lines[key]}, {printable(key)}")
        data[key] = reader.value(value_node, key)
        if key == "steps" and isinstance(value_node, yaml.SequenceNode):
            items = [line(item) for item in value_node.value]

    def where(key: str, index: int) -> str:
        if index >= 0:
            return f"{name}:{items[index]}, steps[{index}]"
        return f"{name}:{lines.get(key, line(node))}, {printable(key)}"

    return evolve(_build(data, where), file=name, lines=tuple(items), design_line=lines.get("design", 0))


class _Plain:
    """YAML nodes to plain values. A document has a budget of nodes, aliases counted each time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = 20 * MAX_STEPS

    def value(self, node: yaml.Node, field: str, depth: int = 0) -> Any:
        """The value of a node; InputError names its line and the field."""
        where = f"{self.name}:{node.start_mark.line + 1}, {printable(field)}"
        self.left -= 1
        if depth > 6 or self.left < 0:
            raise InputError("is nested too deeply or too large: no scenario is", where)
        if isinstance(node, yaml.SequenceNode):
            if len(node.value) > MAX_STEPS:
                raise InputError(f"has {len(node.value):,} items; {MAX_STEPS:,} is the most", where)
            return [
                self.value(item, f"steps[{n}]" if field == "steps" else field, depth + 1)
                for n, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode):
            found: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    raise InputError("a list or mapping cannot be a key here", where)
                key = self.value(key_node, field, depth + 1)
                if key in found:
                    raise InputError(f"'{printable(key)}' is given twice", where)
                found[key] = self.value(value_node, field, depth + 1)
            return found
        try:
            return yaml.SafeLoader("").construct_object(node)
        except Exception:  # PyYAML raises many kinds for a tag that does not fit its text
            raise InputError(f"'{printable(node.value)}' is not a value a scenario can hold", where) from None


def _unknown_field(key: str, where: str) -> InputError:
    return InputError(f"no such field; the fields are {', '.join(FIELDS)}{nearest(key, FIELDS)}", where)


# -- plain data to a Scenario


def _build(data: Mapping[str, Any], where: Any) -> Scenario:
    for key in data:
        if key not in FIELDS:
            raise _unknown_field(str(key), where(str(key), -1))
    _check_fields(data, lambda key: where(key, -1))
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError("a list of actions was expected, such as '- run'", where("steps", -1))
    actions = []
    for index, step in enumerate(steps):
        try:
            actions.append(parse_action(step))
        except InputError as error:
            raise error.at(where("steps", index)) from None
    fields = {key: data[key] for key in FIELDS if key in data and key != "steps"}
    scenario = Scenario(**fields, steps=tuple(steps), actions=tuple(actions))
    _check_vcpus(scenario, lambda index: where("steps", index))
    return scenario


def _check_fields(data: Mapping[str, Any], where: Any) -> None:
    def check(key: str, good: bool, expected: str) -> None:
        if not good:
            raise InputError(f"{printable(repr(data[key]))} where {expected} was expected", where(key))

    for key, value in data.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if key in ("title", "design"):
            check(key, isinstance(value, str) or (key == "design" and isinstance(value, type)), "text")
        elif key == "cpus":
            check(key, whole and 1 <= value <= MAX_CPUS, f"a whole number from 1 to {MAX_CPUS}")
        elif key == "vcpus":
            check(key, whole and 1 <= value <= 2, "1 or 2")
        elif key == "long_mode":
            check(key, isinstance(value, bool), "true or false")
        elif key == "host":
            check(key, value in HOSTS, "64-bit or 32-bit")
        elif key == "interception":
            check(key, value in INTERCEPTIONS, "rule or bitmap")


def _check_vcpus(scenario: Scenario, where: Any) -> None:
    for index, action in enumerate(scenario.actions):
        if action.vcpu >= scenario.vcpus:
            raise InputError(
                f"there is no vCPU {action.vcpu}: the scenario has {scenario.vcpus}; write 'vcpus: 2'",
                where(index),
            )
