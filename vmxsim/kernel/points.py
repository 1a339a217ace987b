"""Points in kernel code, as scenarios name them: before a primitive, or before a line."""

from __future__ import annotations

from vmxsim.model.registers import MSR_KERNEL_GS_BASE
from vmxsim.program.ir import Const, Expr, Instruction, Operation, Primitive

_REGISTER = ("rdmsr", "wrmsr")


def is_before(i: Instruction, before: str) -> bool:
    """Whether the point ``before`` (a primitive's name or ``line N``) is the one before ``i``."""
    if before.startswith("line "):
        return i.line == int(before[5:])
    return (i.callee is not None and i.callee.name == before) or uses(i.expr, before)


def uses(e: Expr | None, name: str) -> bool:
    """Whether an expression calls the primitive; RDMSR and WRMSR only of KERNEL_GS_BASE."""
    if isinstance(e, Operation):
        return any(uses(arg, name) for arg in e.args)
    if not isinstance(e, Primitive):
        return False
    if e.name == name and (name not in _REGISTER or e.args[0] == Const(MSR_KERNEL_GS_BASE)):
        return True
    return any(uses(arg, name) for arg in e.args)
