"""Kernel code that looks at a value sees its number, in the simulator and in the checker."""

from html import unescape

import pytest

import vmxsim
from tests.checker.replaying import replay
from vmxsim.checker.result import explored_line, explored_with
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


class SkipsTheSecondBase(NeverTrap):
    """Enter leaves the register alone where the host's base is the one that user space changes to."""

    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.msr_host_kernel_gs_base != 0x7F0000005000:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class SkipsWhatIsThere(NeverTrap):
    """Enter leaves the register alone where it already holds the number that the guest's value is."""

    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.msr_host_kernel_gs_base != vmx.msr_guest_kernel_gs_base:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


def test_to_a_design_that_looks_at_values_the_hosts_two_bases_are_different():
    found = vmxsim.check(SkipsTheSecondBase, host="64-bit", assume="no-smm")
    assert found.verdict == "violated"
    assert "user gs-base 0x7F0000005000" in found.counterexample.schedule
    replay(SkipsTheSecondBase, found.counterexample)
    assert vmxsim.check(SkipsTheSecondBase, host="64-bit", assume="no-smm,no-user-gs-base").verdict == "safe"
    assert vmxsim.check(SkipsWhatIsThere, host="64-bit", assume="no-smm").verdict == "safe"


def test_zero_of_any_owner_is_zero():
    """The saved copy starts as the guest's 0; the host's field as nobody's. The numbers are equal."""

    class Equal(NeverTrap):
        def vmx_get_msr(self, vmx):
            if vmx.msr_guest_kernel_gs_base == vmx.msr_host_kernel_gs_base:
                return vmx.msr_guest_kernel_gs_base
            return current.thread.gsbase

    assert vmxsim.run(["get-msr"], Equal).results[0]["returned"] == "0x0"


def test_a_verdict_says_for_which_bases_and_values_it_holds():
    line = explored_line(vmxsim.check("never-trap"))
    assert line == (
        "Explored on a 64-bit host: user GS bases from the MSR (own or all 0)"
        " and writes of 0xa000 and 0xb000; on a 32-bit host: user GS bases from a descriptor"
        " (own) and writes of 0xa000 and 0xb000."
    )


def test_a_verdict_on_one_value_names_one():
    (host,) = vmxsim.check("never-trap", host="64-bit", assume="one-value,no-smm,no-swapgs").hosts
    assert explored_with(host, NeverTrap).endswith("(own or all 0) and writes of 0xa000")


def test_it_says_what_a_design_that_looks_at_values_was_explored_with():
    class Looks(NeverTrap):
        def vmx_get_msr(self, vmx):
            if vmx.msr_guest_kernel_gs_base == 0xC0DE:
                sldt()
            return super().vmx_get_msr(vmx)

    (host,) = vmxsim.check(Looks, host="64-bit", gs_base_from="descriptor", fsgsbase=True).hosts
    told = explored_with(host, Looks)
    assert told.startswith("user GS bases from a descriptor (own, FSGSBASE) and writes of 0x0, ")
    assert "0xc0de" in told and told.endswith(", one or two at a time")


@pytest.mark.parametrize("form", ["mail", "markdown", "html"])
def test_texts_say_so_beside_the_verdict(form):
    result = vmxsim.check("dedicated-accessors", host="64-bit")
    text = " ".join(unescape(vmxsim.export(result, form)).split())
    assert "of a 64-bit host, user GS bases from the MSR (own or all 0)" in text
    assert "user GS bases from the MSR" in result._repr_html_() and "user GS bases from the MSR" in repr(
        result
    )


def is_odd(number):
    return number & 1


class OnlyWhatIsOdd(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data & 1:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnlyWhatAHelperCallsOdd(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if is_odd(data):
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnlyOnePage(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data >> 12 == 0x77:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnlyWhatMakesASum(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data + 8 == 0x5560:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnlyWhatIsLarge(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data > 0x7FFFFFFFFFF0:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class Mixin:
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if data == 0x1234000:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class OnlyWhatAMixinNames(Mixin, NeverTrap):
    pass


@pytest.mark.parametrize(
    ("design", "lost"),
    [
        (OnlyWhatIsOdd, lambda n: n & 1),
        (OnlyWhatAHelperCallsOdd, lambda n: n & 1),
        (OnlyOnePage, lambda n: n >> 12 == 0x77),
        (OnlyWhatMakesASum, lambda n: n == 0x5558),
        (OnlyWhatIsLarge, lambda n: n > 0x7FFFFFFFFFF0),
        (OnlyWhatAMixinNames, lambda n: n == 0x1234000),
    ],
)
def test_the_numbers_in_the_code_say_which_values_to_try(design, lost):
    example = vmxsim.check(design, host="64-bit").counterexample
    replay(design, example)
    (written,) = [a.value for a in example.scenario.actions if a.value is not None]
    assert lost(written)


class OnlyWhatHashesToThat(NeverTrap):
    """No number in the code leads to a value that is lost, 0x5A5A5A7000 for one."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if ((data >> 3) ^ (data << 9) ^ (data >> 17)) & 0xFFFFFFFF == 0xFF86632D:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


def test_a_computation_that_never_came_out_otherwise_is_not_called_safe():
    lost = vmxsim.run(["set-msr 0x5A5A5A7000", "get-msr"], OnlyWhatHashesToThat)
    assert lost.violations, "it is wrong"
    result = vmxsim.check(OnlyWhatHashesToThat, host="64-bit")
    assert result.verdict == "incomplete"
    assert set(result.hosts[0].invariants.values()) == {"unknown"}
    assert "line 2 of vmx_write_guest_kernel_gs_base() computes with a value" in str(result.hosts[0].cut_by)


class LooksAtTheLowBits(NeverTrap):
    """Both branches do the same."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        low = data & 0xFFF
        if low == 0x123:
            super().vmx_write_guest_kernel_gs_base(vmx, data)
        else:
            super().vmx_write_guest_kernel_gs_base(vmx, data)


def test_a_computation_that_came_out_both_ways_may_be_safe():
    (host,) = vmxsim.check(LooksAtTheLowBits, host="64-bit").hosts
    assert host.verdict == "safe" and 0x123 in host.written
