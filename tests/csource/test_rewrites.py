"""The same design written another way has the same verdict."""

import pytest

from tests.csource.changing import SAFE, changed, everywhere, sections
from tests.csource.reading import judged, verdict, verdicts

REWRITES = sections("rewrites")
G, H = "msr_guest_kernel_gs_base", "msr_host_kernel_gs_base"
RENAMES = {
    "the flag": {"guest_state_loaded": "switched_in"},
    "g": {G: "shadow_gs"},
    "h": {H: "saved_gs"},
    "g and h, to each other's": {G: H, H: G},
    "g, to a word of Python": {G: "lambda"},
    "the accessors": {"guest_kernel_gs_base(": "inactive_base("},
    "enter, where the table says so": {"vmx_prepare_switch_to_guest": "vmx_bring_the_guest_in"},
    "leave": {"vmx_prepare_switch_to_host": "vmx_bring_the_host_back"},
    "where g and h stand": {"vmx->msr_": "vmx->gs.msr_"},
    "where the flag stands": {"vmx->guest_state_loaded": "vmx->vcpu.arch.switched.in"},
    "the flag's values": {
        "_loaded = true": "_loaded = vmx->loaded_vmcs",
        "_loaded = false": "_loaded = NULL",
    },
    "all lines": {"\n": "\n\n"},
    "the indentation": {"\t": "  "},
}


@pytest.mark.parametrize("name", REWRITES)
def test_the_verdict_stays(name):
    assert verdicts(judged(changed(REWRITES[name]))) == verdicts(verdict(SAFE))


@pytest.mark.parametrize("name", RENAMES)
def test_the_verdict_stays_with_other_names(name):
    assert verdicts(judged(everywhere(RENAMES[name]))) == verdicts(verdict(SAFE))
