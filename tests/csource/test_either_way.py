"""Conditions that the model does not know: what is safe, is safe whichever way each of them comes out, each
time."""

from __future__ import annotations

import pytest

import vmxsim
from tests.csource.changing import changed
from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.check import check, kept_table
from vmxsim.checker.counterexample import scenario_of
from vmxsim.checker.search import shortest_path
from vmxsim.checker.transition_table import EITHER_WAY
from vmxsim.csource.design import from_tree
from vmxsim.designs import NeverTrap
from vmxsim.errors import InputError, NotUnderstoodError
from vmxsim.kernel.language import *
from vmxsim.kernel.machine import Host

ENTER = """\
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	{first}
	if (vmx->loaded_cpu_state)
		return;
	{loading}
	vmx->loaded_cpu_state = vmx->loaded_vmcs;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
}}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{{
	if (!vmx->loaded_cpu_state)
		return;
	vmx->loaded_cpu_state = NULL;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	{leaving}
}}
"""
RESTORE = "wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);"


def judged(first="", loading="", leaving=RESTORE):
    """What is said of a design in C with these lines in enter and leave."""
    text = ENTER.format(first=first, loading=loading, leaving=leaving)
    return check(from_tree(changed(text, "never-trap")).design)


def test_a_condition_that_changes_nothing_that_matters_either_way_leaves_a_design_safe():
    result = judged(leaving=f"if (kvm_is_quiet(vmx))\n\t\t{RESTORE}\n\telse\n\t\t{RESTORE}")
    assert result.verdict == "safe"
    assert list(result.otherwise.values()) == ["safe"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        # it comes out differently in two places: the host's value is never restored
        (
            {"leaving": f"if (is_fast(vmx))\n\t\t{RESTORE}\n\tif (!is_fast(vmx))\n\t\t{RESTORE}"},
            "if 'is_fast(vmx)' changes between two tests",
        ),
        # it comes out differently from one entry to the next, in one place
        (
            {
                "first": "if (is_fast(vmx))\n\t\tvmx->now = 1;\n\telse\n\t\tvmx->now = 0;",
                "loading": "vmx->then = vmx->now;",
                "leaving": f"if (vmx->then == vmx->now)\n\t\t{RESTORE}",
            },
            "if 'is_fast(vmx)' changes between two tests",
        ),
    ],
    ids=["two places", "two times"],
)
def test_a_condition_that_breaks_a_design_only_if_it_changes_is_named(how, words):
    """Always true and always false, each alone, are safe: the two values of the lines are the same then."""
    result = judged(**how)
    assert result.verdict == "incomplete"
    assert "depends on what is not modeled" in repr(result) and words in repr(result)
    assert any("host-value" in told for told in result.otherwise.values())
    for fixed in ("1", "0"):
        alone = {name: text.replace("is_fast(vmx)", fixed) for name, text in how.items()}
        assert judged(**alone).verdict == "safe"


def test_what_breaks_whatever_a_condition_says_is_violated_and_says_so():
    """The way into the guest comes to the condition only after what breaks."""
    result = judged(leaving="if (is_fast(vmx))\n\t\tvmx->then = 1;")
    assert result.verdict == "violated" and "incomplete" not in result.otherwise.values()


TWICE = "{}\n\tif (quiet)\n\t\t{restore}\n\t{}\n\tif (!quiet)\n\t\t{restore}"


def twice(sets, between=""):
    """Leave, which restores the host's value if a variable is true, and if it is false."""
    return TWICE.format(sets, between, restore=RESTORE)


@pytest.mark.parametrize(
    "leaving",
    [
        twice("bool quiet = kvm_is_quiet(vmx);"),
        twice("struct mood *quiet = kvm_mood(vmx);"),
        twice("bool quiet;\n\tquiet = !kvm_is_loud(vmx);"),
        twice("bool quiet = vmx->noise > 3;"),
        twice("int quiet = 0;\n\tif (kvm_may_ask(vmx))\n\t\tquiet = kvm_is_quiet(vmx);"),
        twice("guard(preempt)();\n\tbool quiet = kvm_is_quiet(vmx);", "vmx_note(unlikely(quiet));"),
        twice("bool quiet = kvm_is_quiet(vmx);", "vmx->then = 1;").replace("(quiet)", "(quiet && 1)"),
        twice("bool quiet = kvm_is_quiet(vmx);").replace("if (!quiet)", "if (!quiet || kvm_is_old(vmx))"),
    ],
)
def test_two_tests_of_a_local_variable_are_one_choice(leaving):
    result = judged(leaving=leaving)
    assert result.verdict == "safe" and set(result.otherwise.values()) == {"safe"}
    assert all(
        "quiet" not in one.text or "(" in one.text for one in result.design._carried.report.assumptions
    )


ASKED = "bool quiet = kvm_is_quiet(vmx);"


@pytest.mark.parametrize(
    "leaving",
    [
        twice(ASKED, "quiet = kvm_is_quiet(vmx);"),
        twice(ASKED, "quiet |= kvm_is_quiet(vmx);"),
        twice(ASKED, "if (kvm_has_changed(vmx))\n\t\tquiet = 1;"),
        twice(ASKED, "ask_again(&quiet);"),
        twice(ASKED, "ASK_AGAIN(vmx, quiet);"),
        twice(ASKED, "if (vmx->old && (quiet = kvm_is_quiet(vmx)))\n\t\tvmx->now = 1;"),
        twice(ASKED, 'asm("ask %0" : "=r"(quiet));'),
        twice("#define ASK_THIS do { quiet = ask(); go_on(); } while (0)\n\t" + ASKED, "ASK_THIS;"),
        twice("bool quiet;\n\tif (kvm_may_ask(vmx))\n\t\tquiet = kvm_is_quiet(vmx);"),
        twice("bool quiet;\n\tif (kvm_is_old(vmx))\n\t\tgoto out;\n\tquiet = kvm_is_quiet(vmx);\nout:"),
        twice("static " + ASKED),
    ],
)
def test_tests_of_a_variable_that_may_change_in_between_are_not(leaving):
    assert judged(leaving=leaving).verdict == "incomplete"


SPOILS = """\
static int vmx_spoil(struct vcpu_vmx *vmx)
{
	vmx->msr_guest_kernel_gs_base = vmx->msr_host_kernel_gs_base;
	return kvm_is_quiet(vmx);
}

static int vmx_is_so(struct vcpu_vmx *vmx, int so)
{
	vmx->msr_guest_kernel_gs_base = vmx->msr_guest_kernel_gs_base;
	return so;
}

"""


def spoiling(leaving):
    """What is said of a design whose leave calls a function that spoils the guest's value and returns nobody
    knows what."""
    text = ENTER.format(first="", loading="", leaving=f"bool quiet;\n\n\t{leaving}\n\t{RESTORE}")
    enter, leave = text.split("static void vmx_prepare_switch_to_host")
    return check(
        from_tree(
            changed(f"{enter}{SPOILS}static void vmx_prepare_switch_to_host{leave}", "never-trap")
        ).design
    )


@pytest.mark.parametrize(
    "calling",
    [
        "vmx_spoil(vmx);",
        "!vmx_spoil(vmx);",
        "WARN_ON(vmx_spoil(vmx));",
        "quiet = vmx_spoil(vmx);",
        "quiet = !vmx_spoil(vmx);",
        "quiet = vmx_spoil(vmx) + 1 > vmx->noise;",
        "quiet = vmx_spoil(vmx) && kvm_is_old(vmx);",
        "quiet = vmx_spoil(vmx);\n\tif (quiet)\n\t\tpreempt_disable();\n\tif (quiet)\n\t\tpreempt_enable();",
        "kvm_is_old(vmx) && vmx_spoil(vmx);",
        "if (vmx_spoil(vmx))\n\t\tvmx->then = 1;",
        "if (!vmx_spoil(vmx) || vmx->then)\n\t\tvmx->now = 1;",
        "if (kvm_is_old(vmx) || !vmx_spoil(vmx))\n\t\tvmx->now = 1;",
        "if (vmx_spoil(vmx) && IS_ENABLED(CONFIG_NOT_SET))\n\t\tvmx->now = 1;",
        "if (vmx_spoil(vmx) > 3 && kvm_is_old(vmx))\n\t\tgoto out;\nout:",
        "vmx->then = !vmx_spoil(vmx);",
        "quiet = !vmx_is_so(vmx, vmx_spoil(vmx));",
    ],
)
def test_a_call_does_what_it_does_whatever_it_returns(calling):
    assert spoiling(calling).hosts[0].invariants["guest-value"] != "holds"


@pytest.mark.parametrize(
    "calling",
    [
        "while (vmx_spoil(vmx))\n\t\t;",
        "switch (vmx_spoil(vmx)) {\n\tcase 1:\n\t\tbreak;\n\t}",
        "quiet = kvm_is_quiet(vmx) == (vmx->then && vmx_spoil(vmx));",
        "quiet = kvm_is_old(vmx) | wrmsrl_safe(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);",
    ],
)
def test_a_call_that_may_or_may_not_be_made_for_a_value_that_is_not_known_is_refused(calling):
    with pytest.raises(NotUnderstoodError, match="not known"):
        spoiling(calling)


class Moody(NeverTrap):
    """Never-trap, whose accessor disables preemption only if a condition holds."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if not_modeled("the mood", True):
            preempt_disable()
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        elif vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


def test_the_schedule_found_breaks_the_invariant_when_it_runs_and_not_without_otherwise():
    table = kept_table(Moody, Host(64), Restriction(), unknowns=EITHER_WAY)
    path = shortest_path(table, "guest-value")
    found = scenario_of(path, table, Moody, cpus=2, vcpus=1)
    assert any(action.otherwise for action in found.actions)
    assert "guest-value" in {v.invariant for v in vmxsim.run(found, Moody).violations}
    for step in found.steps:
        if isinstance(step, dict):
            (options,) = step.values()
            options.pop("otherwise", None)
    calm = vmxsim.run(list(found.steps), Moody, long_mode=found.long_mode)
    assert not calm.violations
    assert check(Moody).verdict == "incomplete"


class LeavesItDisabled(NeverTrap):
    """Never-trap, whose accessor enables preemption again only if a condition holds."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if not_modeled("the mood", True):
            preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class Unnamed(Moody):
    """The same condition as Moody's, under a name that only the run knows."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        name = "the mood"
        if not_modeled(name, True):
            preempt_disable()
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        elif vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


def test_a_condition_that_would_make_the_design_do_what_the_kernel_must_not_is_named():
    result = check(LeavesItDisabled, host="64-bit")
    assert result.verdict == "incomplete"
    assert "contract depends on what is not modeled: if 'the mood' is false" in repr(result)
    assert result.otherwise["if 'the mood' is false"] == "violated (64-bit: contract)"


def test_a_condition_without_a_fixed_name_is_tried_both_ways_too():
    result = check(Unnamed, host="64-bit")
    assert result.verdict == "incomplete" and "if 'the mood' is false" in repr(result)


def test_a_scenario_says_which_tests_come_out_the_other_way():
    read = vmxsim.run(["run", {"emulate rdmsr": {"otherwise": 1}}], Moody)
    assert any("'the mood' is not modeled: here it is false" in n for s in read.steps for n in s.notes)
    more = vmxsim.run(["run", {"emulate rdmsr": {"otherwise": [2]}}], Moody)
    assert any("there is no test 2" in note for step in more.steps for note in step.notes)
    for wrong in (0, True, "1", [1, "x"], []):
        with pytest.raises(InputError, match="otherwise"):
            vmxsim.run(["run", {"emulate rdmsr": {"otherwise": wrong}}], Moody)
