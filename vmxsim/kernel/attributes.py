"""The attributes by which a design describes itself, and what each can be."""

from __future__ import annotations

from typing import Any

from vmxsim.errors import nearest, printable

#: When the guest's RDMSR and WRMSR exit.
INTERCEPTIONS = ("always", "outside long mode", "never")
_LABELS = ("g", "h", "loaded")

#: Every attribute, and what it must be.
ATTRIBUTES = {
    "id": "a text",
    "title": "a text",
    "commit": "a text or None",
    "release": "a text or None",
    "release_note": "a text",
    "story": "a text",
    "changed": "a text or None",
    "defect": "a text or None",
    "interception": "'always', 'outside long mode' or 'never'",
    "bitmap_passes_at_creation": "True or False",
    "shared_msrs": "two whole numbers from 0 to 16, outside long mode and in it, such as (0, 4)",
    "labels": "a dictionary that names 'g', 'h' and 'loaded', the fields of the vCPU",
    "kvm_x86_ops": "a dictionary of function names",
}


def why_wrong(name: str, value: Any, design: Any) -> str:
    """Why the design's attribute cannot have this value; '' if it can."""
    expected = f"expected {ATTRIBUTES[name]}, not {printable(repr(value))}"
    match name:
        case "interception":
            if value in INTERCEPTIONS:
                return ""
            return expected + nearest(value, INTERCEPTIONS)
        case "bitmap_passes_at_creation":
            return "" if isinstance(value, bool) else expected
        case "shared_msrs":
            fine = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_small, value))
            return "" if fine else expected
        case "labels":
            fine = isinstance(value, dict) and all(isinstance(value.get(key), str) for key in _LABELS)
            return "" if fine else expected
        case "kvm_x86_ops":
            return _wrong_ops(value, design) or ""
    optional = ATTRIBUTES[name].endswith("None")
    return "" if isinstance(value, str) or (optional and value is None) else expected


def _small(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 16


def _wrong_ops(ops: Any, design: Any) -> str:
    above = (vars(base).get("kvm_x86_ops") for base in design.__mro__[1:])
    inherited: dict[str, str] = next((found for found in above if found), {})
    if not isinstance(ops, dict):
        return f"expected {ATTRIBUTES['kvm_x86_ops']}, not {printable(repr(ops))}"
    functions = design.functions()
    for op, function in ops.items():
        if inherited.get(op) != function and function not in functions:
            near = nearest(function, functions)
            return (
                f"'{printable(op)}' is {printable(repr(function))}, and the design has no such function{near}"
            )
    for op in inherited:
        if op not in ops:
            parent = design.__mro__[1].__name__
            return f"'{op}' is missing: write {{**{parent}.kvm_x86_ops, ...}} to keep what you do not change"
    return ""
