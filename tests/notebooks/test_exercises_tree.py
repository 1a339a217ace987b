"""Notebooks 10 and 10b: their patches come out as the text promises, on our own C and on any tree with that
accessor."""

from pathlib import Path

import pytest

import vmxsim
from tests.csource.retell import retold
from vmxsim.csource.edit import diff_of, edited, function_text
from vmxsim.csource.tree import read_tree

FILE = Path(__file__).parents[2] / "notebooks/vmx-in-our-words.c"
WRITE, READ = "vmx_write_guest_kernel_gs_base", "vmx_read_guest_kernel_gs_base"
OFF, ON, COPY = "\tpreempt_disable();\n", "\tpreempt_enable();\n", "\tvmx->msr_guest_kernel_gs_base = data;\n"
GUARD = "\tguard(preempt)();\n\n"


@pytest.fixture(params=["in our words", "never-trap"], scope="module")
def tree(request):
    return read_tree(FILE) if request.param == "in our words" else retold(request.param)


def reviewed(tree, name, *replacements):
    """The review of a change in one function."""
    old = new = function_text(tree, name)
    assert old == "\n".join(vmxsim.from_source(tree).functions()[name].source) + "\n"
    for a, b in replacements:
        assert a in new
        new = new.replace(a, b)
    return vmxsim.review(diff_of(tree, edited(tree, old, new)), tree)


def test_without_the_pair_the_write_hurts_the_host(tree):
    found = reviewed(tree, WRITE, (OFF, ""), (ON, ""))
    assert (found.before.verdict, found.verdict) == ("safe", "violated")
    assert "host-value" in found.after.counterexample.invariant
    assert "tick before wrmsr" in found.after.counterexample.schedule


def test_the_copy_may_be_written_with_preemption_disabled(tree):
    assert reviewed(tree, WRITE, (ON + COPY, COPY + ON)).verdict == "safe"


def test_the_copy_may_not_be_written_before(tree):
    found = reviewed(tree, WRITE, (COPY, ""), (OFF, COPY + OFF))
    assert (
        found.after.counterexample.schedule
        == f"run; emulate wrmsr 0xA000 (tick before preempt_disable in {WRITE})"
    )
    assert found.after.counterexample.invariant == "guest-value"


def test_without_the_pair_the_read_returns_the_hosts_value(tree):
    found = reviewed(tree, READ, (OFF, ""), (ON, ""))
    assert {"guest-value", "no-leak"} <= set(found.after.hosts[0].counterexamples)


@pytest.mark.parametrize("name", [WRITE, READ])
def test_a_guard_takes_the_place_of_both_calls(tree, name):
    assert reviewed(tree, name, (OFF, GUARD)).verdict == "violated"
    assert reviewed(tree, name, (OFF, GUARD), (ON, "")).verdict == "safe"


def test_a_value_in_two_halves_is_refused():
    found = reviewed(
        read_tree(FILE),
        WRITE,
        ("wrmsrl(MSR_KERNEL_GS_BASE, data);", "wrmsr(MSR_KERNEL_GS_BASE, (u32)data, data >> 32);"),
    )
    assert found.verdict == "not understood"
    assert f"{WRITE}(): wrmsr() on the register is not understood" in repr(found)


def test_nothing_tells_our_own_c_from_the_design_of_its_release():
    from vmxsim.checker.difference import shortest_difference

    assert shortest_difference("guest-state-loaded", vmxsim.from_source(FILE)).scenario is None
