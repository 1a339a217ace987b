"""The text that a learner starts from: the functions to change, or the schedule to complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from vmxsim.kernel.kvm import Kvm


def design_source(start: type[Kvm], functions: Iterable[str]) -> str:
    """A subclass of ``ex.start`` that repeats these functions as they are."""
    known = start.functions()
    return "class Mine(ex.start):\n" + "\n".join(_method(known[name]) for name in functions)


def _method(function: Any) -> str:
    contract = ", ".join(f'"{condition}"' for condition in function.requires)
    lines = [f"@requires({contract})"] if contract else []
    lines += function.source
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


def schedule_source(steps: Sequence[Any]) -> str:
    """A list of actions, one a line."""
    items = "".join(f"    {json.dumps(step)},\n" for step in steps)
    return f"schedule = [\n{items}]\n"
