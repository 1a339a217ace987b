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


def test_it_says_what_a_design_that_looks_at_values_was_explored_with():
    class Looks(NeverTrap):
        def vmx_get_msr(self, vmx):
            if vmx.msr_guest_kernel_gs_base == 0xC0DE:
                sldt()
            return super().vmx_get_msr(vmx)

    (host,) = vmxsim.check(Looks, host="64-bit", gs_base_from="descriptor", fsgsbase=True).hosts
    told = explored_with(host, Looks)
    assert told.startswith("user GS bases from a descriptor (own, FSGSBASE) and writes of 0x0, ")
    assert "0xc0de" in told and told.endswith(", two at a time")


@pytest.mark.parametrize("form", ["mail", "markdown", "html"])
def test_texts_say_so_beside_the_verdict(form):
    result = vmxsim.check("dedicated-accessors", host="64-bit")
    text = " ".join(unescape(vmxsim.export(result, form)).split())
    assert "of a 64-bit host, user GS bases from the MSR (own or all 0)" in text
    assert "user GS bases from the MSR" in result._repr_html_() and "user GS bases from the MSR" in repr(
        result
    )
