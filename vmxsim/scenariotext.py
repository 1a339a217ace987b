"""Scenarios as YAML text that people read and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from vmxsim.scenario import Scenario


def scenario_yaml(scenario: Scenario | Mapping[str, Any]) -> str:
    """A scenario, or its fields as plain data, as YAML; a field at its default is left out,
    but for the host and the guest's mode."""
    if isinstance(scenario, Scenario):
        names = ("title", "design", "cpus", "vcpus", "interception")
        fields: dict[str, Any] = {name: getattr(scenario, name) for name in names}
        fields = {name: value for name, value in fields.items() if value != getattr(Scenario(), name)}
        fields |= {"host": scenario.host, "long_mode": scenario.long_mode, "steps": list(scenario.steps)}
    else:
        fields = dict(scenario)
    steps = fields.pop("steps")
    head = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, width=1000)
    items = "".join(f"  - {_item(step)}\n" for step in steps)
    return f"{head}steps:\n{items}"


def _item(step: Any) -> str:
    """An action on one line: a preemption point in braces behind it, as the design shows them."""
    if isinstance(step, Mapping) and len(step) == 1:
        ((key, value),) = step.items()
        if isinstance(value, str):
            return f"{key}: {value}"
        if isinstance(value, Mapping) and set(value) == {"preempt"}:
            return f"{key}: {_flow(value)}"
    return _flow(step)


def _flow(value: Any) -> str:
    return yaml.dump(value, default_flow_style=True, sort_keys=False, width=10_000).split("\n")[0]


class _Dumper(yaml.SafeDumper):
    """Items stand indented under their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
