"""The names that kernel functions may use: ``from vmxsim.kernel.language import *``.

Primitives, register numbers and ``@requires``. Besides these, a kernel function may use its variables,
fields of the vCPU, ``current``, and other kernel functions.
"""

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
from vmxsim.kernel.program import interrupt, requires

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
    *PRIMITIVES,
]
