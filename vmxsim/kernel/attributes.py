"""The attributes by which a design describes itself, and what each can be."""

from __future__ import annotations

from difflib import get_close_matches
from keyword import iskeyword
from typing import Any

from vmxsim.errors import nearest, printable
from vmxsim.kernel.machine import FIELD_NAMES, Cpu, Task, Value, Vcpu
from vmxsim.kernel.program import MOST


class U64:
    """The type of :data:`u64`."""

    def __repr__(self) -> str:
        return "u64"


#: In ``fields`` and ``cpu_fields``: the field holds a value of the register, at first 0.
u64 = U64()
#: So many fields of a design can hold values.
MOST_VALUES = 2


#: When the guest's RDMSR and WRMSR exit, by a design's own rule.
INTERCEPTION_RULES = ("always", "outside long mode", "never")
_LABELS = ("g", "h", "loaded")

#: Every attribute, and what it must be.
ATTRIBUTES = {
    "id": "a text",
    "title": "a text",
    "commit": "a text or None",
    "commit_title": "a text",
    "release": "a text or None",
    "release_note": "a text",
    "story": "a text",
    "changed": "a text or None",
    "defect": "a text or None",
    "interception": "'always', 'outside long mode' or 'never'",
    "bitmap_passes_at_creation": "True or False",
    "fsgsbase": "True or False",
    "shared_msrs": "two whole numbers from 0 to 16, outside long mode and in it, such as (0, 4)",
    "labels": "a dictionary that names 'g', 'h' and 'loaded', the fields of the vCPU",
    "kvm_x86_ops": "a dictionary of function names",
    "fields": "a dictionary of fields of the vCPU and what each holds at first",
    "cpu_fields": "a dictionary of fields of each CPU and what each holds at first",
}
#: Those that are None where the facts give nothing.
_OPTIONAL = ("commit", "release", "changed", "defect")


def why_wrong(name: str, value: Any, design: Any) -> str:
    """Why the design's attribute cannot have this value; '' if it can."""
    expected = f"expected {ATTRIBUTES[name]}, not {printable(repr(value))}"
    match name:
        case "interception":
            if value in INTERCEPTION_RULES:
                return ""
            return expected + nearest(value, INTERCEPTION_RULES)
        case "bitmap_passes_at_creation" | "fsgsbase":
            return "" if isinstance(value, bool) else expected
        case "shared_msrs":
            fine = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_small, value))
            return "" if fine else expected
        case "labels":
            fine = isinstance(value, dict) and all(isinstance(value.get(key), str) for key in _LABELS)
            return "" if fine else expected
        case "fields" | "cpu_fields":
            return _wrong_fields(value, design) if isinstance(value, dict) else expected
        case "kvm_x86_ops":
            return _wrong_ops(value, design) or ""
    return "" if isinstance(value, str) or (value is None and name in _OPTIONAL) else expected


def _small(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 16


#: Names that a field of a design's own cannot have.
TAKEN = {
    *(a.name for holder in (Vcpu, Cpu, Task) for a in holder.__attrs_attrs__),
    *(part for name in FIELD_NAMES for part in name.split(".")),
    "long_mode", "script", "guest_wrote", "waiting",
}  # fmt: skip


def _wrong_fields(fields: dict[Any, Any], design: Any) -> str:
    for name, first in fields.items():
        shown = printable(repr(name))
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name) or name.startswith("_"):
            return f"{shown} is no name for a field: write letters, digits and underscores, a letter first"
        if name in TAKEN:
            return f"there is a field {shown} already: take another name"
        if not (isinstance(first, (bool, U64)) or (isinstance(first, int) and 0 <= first <= MOST)):
            return (
                f"{shown} starts as {printable(repr(first))}; expected False or True, a number from 0 to"
                f" {MOST}, or u64 for a value of the register"
            )
        for base in design.__mro__[1:]:
            for kind in ("fields", "cpu_fields"):
                inherited = vars(base).get(kind, {}).get(name, first)
                if type(inherited) is not type(first):
                    return f"{shown} starts as {inherited} in {base.__name__}: keep its type"
    both = {**design.own_fields("fields"), **design.own_fields("cpu_fields")}
    if len(both) < len(design.own_fields("fields")) + len(design.own_fields("cpu_fields")):
        return "a field of the vCPU and a field of the CPU have the same name"
    if sum(isinstance(first, U64) for first in both.values()) > MOST_VALUES:
        return f"at most {MOST_VALUES} fields can be u64"
    return ""


def vcpu_fields(design: Any, long_mode: bool) -> dict[str, Any]:
    """What the design's own fields of a vCPU hold when a scenario starts, in or outside long mode: as
    declared, or as :func:`at_first` has it for ``u64``."""
    started = design._fields_at_start.get(long_mode, {})
    return {name: started.get(name, first) for name, first in design.own_fields("fields").items()}


def at_first(first: Any) -> Any:
    """What a field of a design's own holds in a new vCPU or on a CPU where nothing has run."""
    return Value(0, "unknown") if isinstance(first, U64) else first


def _wrong_ops(ops: Any, design: Any) -> str:
    above = (vars(base).get("kvm_x86_ops") for base in design.__mro__[1:])
    inherited: dict[str, str] = next((found for found in above if found), {})
    if not isinstance(ops, dict):
        return f"expected {ATTRIBUTES['kvm_x86_ops']}, not {printable(repr(ops))}"
    functions = design.functions()
    for op, function in ops.items():
        if not isinstance(function, str):
            return f"'{printable(op)}' is {printable(repr(function))}; expected the name of a function"
        if function in functions or inherited.get(op) == function:
            continue
        # a subclass may be meant to define it; else a call of it says that it is missing
        if near := get_close_matches(function, functions, n=1, cutoff=0.85):
            return f"'{printable(op)}' is '{printable(function)}'; did you mean '{near[0]}'?"
    for op in inherited:
        if op not in ops:
            parent = design.__mro__[1].__name__
            return f"'{op}' is missing: write {{**{parent}.kvm_x86_ops, ...}} to keep what you do not change"
    return ""
