"""What a reader's own design changes: the functions that it overrides, as a unified diff."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from difflib import unified_diff
from pprint import pformat
from textwrap import dedent
from types import FunctionType

from vmxsim.exports.naming import base_of, shipped
from vmxsim.kernel.kvm import Kvm

#: What else a design may say of the code.
_FIELDS = ("interception", "bitmap_passes_at_creation", "shared_msrs", "kvm_x86_ops")


def change(design: type[Kvm]) -> tuple[str, ...]:
    """Lines of a unified diff against the design of the history on which this one stands; a function that
    is new is shown whole. Empty for a design of the history."""
    if shipped(design):
        return ()
    base = base_of(design)
    here, there = _sources(design), _sources(base)
    lines: list[str] = []
    for name, source in _own(design, base):
        lines += _diff(there.get(name, []), here.get(name, source), base, design, name)
    for name in _FIELDS:
        old, new = getattr(base, name), getattr(design, name)
        if old != new:
            lines += _diff(_field(name, old), _field(name, new), base, design, name)
    return tuple(lines)


def _own(design: type[Kvm], base: type[Kvm]) -> Iterator[tuple[str, list[str]]]:
    """The functions of the classes between the design and its base, each once."""
    between = design.__mro__[: design.__mro__.index(base)]
    names = dict.fromkeys(name for cls in reversed(between) for name in _sources_of(cls))
    found = _sources(design)
    for name in names:
        yield name, found[name]


def _sources(design: type[Kvm]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for cls in reversed(design.__mro__):
        found |= _sources_of(cls)
    return found


def _sources_of(cls: type) -> dict[str, list[str]]:
    """The kernel functions of a class, and what else of the model it overrides."""
    found = {f.name: list(f.source) for f in vars(cls).get("_own", {}).values()}
    marked = {f.name: f.requires for f in vars(cls).get("_own", {}).values() if f.requires}
    for name, conditions in marked.items():
        quoted = ", ".join(f'"{condition}"' for condition in conditions)
        found[name] = [f"@requires({quoted})", *found[name]]
    helper = vars(cls).get("_in_register")
    if isinstance(helper, staticmethod) and isinstance(helper.__func__, FunctionType):
        with suppress(OSError, TypeError):  # a class without a file
            found["_in_register"] = dedent(inspect.getsource(helper.__func__)).splitlines()
    return found


def _diff(old: list[str], new: list[str], base: type[Kvm], design: type[Kvm], name: str) -> list[str]:
    was = f"{base._name()}: {name}" if old else "(new)"
    made = unified_diff(old, new, was, f"{design._name()}: {name}", lineterm="")
    return [line.rstrip() for line in made]


def _field(name: str, value: object) -> list[str]:
    return f"{name} = {pformat(value, width=60)}".splitlines()
