"""Points in kernel code, as scenarios name them: before a primitive, or before a line of a function."""

from __future__ import annotations

from collections.abc import Mapping

from vmxsim.kernel.machine import MSR_KERNEL_GS_BASE
from vmxsim.kernel.program import Const, Expr, Function, Instruction, Operation, Primitive

#: Renamed functions: a point may name a function by its old or its new name.
RENAMED = {
    "vmx_save_host_state": "vmx_prepare_switch_to_guest",
    "__vmx_load_host_state": "vmx_prepare_switch_to_host",
    "vmx_prepare_switch_to_guest": "vmx_save_host_state",
    "vmx_prepare_switch_to_host": "__vmx_load_host_state",
}

_REGISTER = ("rdmsr", "wrmsr", "wrmsrns")


def is_before(function: Function, i: Instruction, before: str) -> bool:
    """Whether ``before`` (a primitive's name or ``line N``, as people count the function's lines) names the
    point before its instruction ``i``."""
    if before.startswith("line "):
        return function.at(i.line).number == int(before[5:])
    return (i.callee is not None and i.callee.name == before) or uses(i.expr, before)


def uses(e: Expr | None, name: str) -> bool:
    """Whether an expression calls the primitive. RDMSR and WRMSR count only for KERNEL_GS_BASE."""
    if isinstance(e, Operation):
        return any(uses(arg, name) for arg in e.args)
    if not isinstance(e, Primitive):
        return False
    if e.name == name and (name not in _REGISTER or e.args[0] == Const(MSR_KERNEL_GS_BASE)):
        return True
    return any(uses(arg, name) for arg in e.args)


def named_function(functions: Mapping[str, Function], name: str | None) -> str:
    """The name in these functions of the one that a scenario names; '' if it is missing."""
    return next((found for found in (name, RENAMED.get(name or "")) if found in functions), None) or ""
