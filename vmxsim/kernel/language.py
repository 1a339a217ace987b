"""The names that kernel functions may use: ``from vmxsim.kernel.language import *``.

Primitives, register numbers, ``@requires``, and ``u64``, ``this_cpu_read()`` and ``this_cpu_write()`` for
fields of one's own. Besides these, a kernel function may use its variables, fields of the vCPU, ``current``,
and other kernel functions.
"""

from vmxsim.kernel.attributes import u64
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.machine import (
    EFER_LMA,
    EFER_LME,
    EFER_NX,
    EFER_SCE,
    MSR_EFER,
    MSR_FS_BASE,
    MSR_GS_BASE,
    MSR_KERNEL_GS_BASE,
    X86_CR0_PG,
)
from vmxsim.kernel.program import interrupt, requires, this_cpu_read, this_cpu_write

globals().update(PRIMITIVES)

__all__ = [
    "EFER_LMA",
    "EFER_LME",
    "EFER_NX",
    "EFER_SCE",
    "MSR_EFER",
    "MSR_FS_BASE",
    "MSR_GS_BASE",
    "MSR_KERNEL_GS_BASE",
    "X86_CR0_PG",
    "interrupt",
    "requires",
    "this_cpu_read",
    "this_cpu_write",
    "u64",
    *PRIMITIVES,
]
