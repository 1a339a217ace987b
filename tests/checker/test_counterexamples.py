"""Every counterexample is a scenario that anybody can run: it breaks the same invariant."""

import pytest

from tests.checker.failing import ReturnsNothing
from tests.checker.odd import CallsItsParent, PollsInALoop
from tests.checker.replaying import checked, replay
from vmxsim.checker.check import check
from vmxsim.checker.why import mutants
from vmxsim.designs import DESIGNS
from vmxsim.kernel.language import *

ASSUMED = [
    "",
    "guest-wrote-first,no-mode-switch",
    "starts-in-long-mode,no-exit,no-preemption,no-set-efer,no-smm",
    "no-kernel-preemption,no-set-efer,one-value",
    "starts-outside-long-mode,no-mode-switch,no-swapgs",
    "guest-wrote-first,no-exit,no-emulation",
]


@pytest.mark.parametrize("assume", ASSUMED)
@pytest.mark.parametrize("design", ["dedicated-accessors", "load-gs-index"])
def test_they_replay_on_every_host_under_every_assumption(design, assume):
    for host in checked(design, assume=assume).hosts:
        for example in host.counterexamples.values():
            replay(DESIGNS[design], example)


@pytest.mark.parametrize("assume", ["", "no-smm,no-swapgs,one-value,guest-wrote-first"])
def test_they_replay_where_every_invariant_is_broken(assume):
    result = checked("lazy-long-mode", assume=assume)
    assert {name for host in result.hosts for name in host.counterexamples} >= {"guest-value", "host-value"}
    for host in result.hosts:
        for example in host.counterexamples.values():
            replay(result.design, example)


@pytest.mark.parametrize("design", ["host-from-thread", "lma-fix"])
def test_they_replay_with_what_the_real_bitmaps_were_left_at(design):
    result = check(design, interception="bitmap")
    for host in result.hosts:
        for example in host.counterexamples.values():
            assert example.scenario.interception == "bitmap"
            replay(result.design, example)
    assert (result.verdict == "violated") == (design == "host-from-thread")


def test_a_non_canonical_address_reaches_a_wrmsr_of_the_host_before_kvm_checked():
    result = check("host-always", host="64-bit", non_canonical=True)
    assert "no-host-fault" in result.hosts[0].counterexamples
    for example in result.hosts[0].counterexamples.values():
        replay(result.design, example)
        assert "0x8000000000000000" in str(example.scenario.steps)
    assert check("host-from-thread", host="64-bit", non_canonical=True).verdict == "safe"


#: A value that a function no longer returns stops the simulator: see the test below.
SAMPLE = [
    mutant
    for number, design in enumerate(DESIGNS.values())
    for mutant in [
        m
        for m in mutants(design)
        if not (m.only_costs or m.source.startswith("return ")) or m.edit == "negated"
    ][number % 4 :: 9]
]


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda m: m.design.__name__)
def test_they_replay_for_designs_with_one_line_changed(mutant):
    host = check(mutant.design, host="32-bit", assume="one-value,no-swapgs").hosts[0]
    for example in host.counterexamples.values():
        replay(mutant.design, example)


class UnlessTwiceInterrupted(CallsItsParent):
    """Wrong only if two ticks come in one action, one of them in a function called by super()."""

    def vmx_set_msr(self, vmx, data):
        super().vmx_set_msr(vmx, data)
        preempt_disable()
        if vmx.loaded_cpu_state:
            if need_resched():
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        preempt_enable()


@pytest.mark.parametrize("design", [UnlessTwiceInterrupted, PollsInALoop])
def test_they_replay_where_ticks_come_at_points_that_are_hard_to_name(design):
    for example in check(design, host="64-bit").hosts[0].counterexamples.values():
        replay(design, example)


def test_a_design_that_returns_no_value_fails_in_the_simulator_with_words():
    example = check(ReturnsNothing, host="64-bit").counterexample
    assert example.invariant == "contract"
    replay(ReturnsNothing, example)
