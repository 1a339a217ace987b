"""A change of the C that matters changes the verdict: what breaks follows from what was changed."""

import pytest

from tests.csource.changing import SAFE, changed, sections
from tests.csource.reading import carried, said
from vmxsim.checker.check import check
from vmxsim.csource.design import from_tree

#: The accessor that writes, with a condition on which it does not.
WRITE = """\
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{{
	if ({})
		return;
	preempt_disable();
	if (vmx->loaded_cpu_state)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}}
"""
#: Each title ends with what breaks, and on which host.
CHANGES = sections("changes.c")


@pytest.mark.parametrize("title", CHANGES)
def test_what_breaks_follows_from_the_change(title):
    invariant, _, host = title.partition(": ")[2].partition(", ")
    widths = {"64-bit", "32-bit"} if host == "any host" else {host.removesuffix(" host")}
    found = said(check(from_tree(changed(CHANGES[title]), hint=carried(SAFE).roles).design))
    assert {host for host, result in found.items() if invariant in result} == widths


@pytest.mark.parametrize(
    "condition", ["data == 0xdead", "vmx->msr_guest_kernel_gs_base == 0xdead", "data & 0x1000000"]
)
def test_numbers_in_the_c_say_which_values_to_try(condition):
    """The accessor loses a write where the condition holds, and no two usual values make it hold."""
    result = check(from_tree(changed(WRITE.format(condition), "never-trap")).design, host="64-bit")
    assert result.verdict == "violated", condition
    assert "guest-value" in {v.invariant for v in result.counterexample.trace.violations}
