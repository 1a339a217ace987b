"""Kernel code that looks at a value sees its number, in the simulator and in the checker."""

import pytest

import vmxsim
from tests.checker.replaying import replay
from vmxsim.designs import NeverTrap
from vmxsim.kernel.language import *


class DropsFirst(NeverTrap):
    """Writes of 0xa000 are lost."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data == 0xA000:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class TakesZeroForNothing(NeverTrap):
    """A guest whose value is 0 gets the host's."""

    def vmx_prepare_switch_to_host(self, vmx):
        super().vmx_prepare_switch_to_host(vmx)
        if not vmx.msr_guest_kernel_gs_base:
            vmx.msr_guest_kernel_gs_base = vmx.msr_host_kernel_gs_base


class SkipsWhatIsSaved(NeverTrap):
    """A write of what the saved copy holds is skipped, though the register may hold something else."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data == vmx.msr_guest_kernel_gs_base:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


@pytest.mark.parametrize("design", [DropsFirst, TakesZeroForNothing, SkipsWhatIsSaved])
def test_what_is_wrong_for_some_values_only_is_found_and_replays(design):
    result = vmxsim.check(design, host="64-bit")
    assert result.verdict == "violated"
    replay(design, result.counterexample)


def test_zero_of_any_owner_is_zero():
    """The saved copy starts as the guest's 0; the host's field as nobody's. The numbers are equal."""

    class Equal(NeverTrap):
        def vmx_get_msr(self, vmx):
            if vmx.msr_guest_kernel_gs_base == vmx.msr_host_kernel_gs_base:
                return vmx.msr_guest_kernel_gs_base
            return current.thread.gsbase

    assert vmxsim.run(["get-msr"], Equal).results[0]["returned"] == "0x0"
