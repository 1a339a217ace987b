"""Patches to be reviewed in notebook 07.

No commit of the kernel stands behind them: they were written for the course, on top of ``never-trap``.
What is right or wrong with them is in tests/notebooks/test_exercises_review.py, and not here.
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-calls=False
# mypy: check-untyped-defs=False
# ruff: noqa: F403, F405

from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class PatchTwo(NeverTrap):
    """Read and write the saved value directly when an MSR is got or set."""

    def vmx_get_msr(self, vmx):
        return vmx.msr_guest_kernel_gs_base

    def vmx_set_msr(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data


class PatchThree(NeverTrap):
    """Access the guest's value in the one place that counts."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        data = vmx.msr_guest_kernel_gs_base
        if vmx.loaded_cpu_state:
            data = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return data

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        else:
            vmx.msr_guest_kernel_gs_base = data
        preempt_enable()
