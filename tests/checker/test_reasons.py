"""Which line is needed for what: every answer is a schedule, or that nothing breaks."""

from functools import cache

import pytest

from tests.checker.replaying import replay
from vmxsim.checker.check import check
from vmxsim.checker.why import mutants, why
from vmxsim.designs import DESIGNS
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *

reasons = cache(why)


class Accessors(NeverTrap):
    """The two accessors alone, as never-trap has them."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data


class SeedAccessor(DedicatedAccessors):
    """One function of the seed patch: the design is violated, whatever stands there."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if is_long_mode(vmx):
            preempt_disable()
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        return vmx.msr_guest_kernel_gs_base


def broken(found):
    return {(r.mutant.function, r.mutant.line): r.breaks for r in found.reasons}


@pytest.mark.parametrize("design", ["array-passthrough", SeedAccessor, Accessors])
def test_each_line_has_an_answer_and_each_counterexample_can_be_run(design):
    found = reasons(design)
    assert len(found.reasons) == len(list(mutants(found.design)))
    for reason in found.reasons:
        example = reason.counterexample
        assert not reason.incomplete
        assert reason.breaks in ("guest-value", "host-value", "no-leak", "contract") or example is None
        if example and not reason.mutant.source.startswith("return "):
            replay(reason.mutant.design, example)


def test_every_line_of_the_accessors_is_needed():
    found = broken(reasons(Accessors))
    assert not [told for told in found.values() if "nothing breaks" in told or "not in the model" in told]
    assert found["vmx_read_guest_kernel_gs_base", 2] == "guest-value", "preempt_disable() with its end"
    assert found["vmx_write_guest_kernel_gs_base", 2] == "host-value", "the write is worse"


def test_without_preempt_disable_a_tick_between_test_and_access_breaks_it():
    one = next(r for r in reasons(Accessors).reasons if "preempt_disable" in r.mutant.source)
    assert "preempt" in str(one.counterexample.scenario.steps)
    assert one.counterexample.mechanism == "preempted between the test and the access"


def test_a_violated_design_is_judged_where_its_own_defect_does_not_show():
    found = reasons(SeedAccessor)
    assert all(names for names in found.granted.values())
    assert broken(found)["vmx_read_guest_kernel_gs_base", 3] == "guest-value"


class NeverRestores(NeverTrap):
    """Wrong whatever is assumed: leave gives the host nothing back."""

    def vmx_prepare_switch_to_host(self, vmx):
        vmx.loaded_cpu_state = False


def test_of_a_design_that_is_violated_anyway_no_line_is_called_needless():
    found = reasons(NeverRestores)
    assert set(found.granted.values()) == {None}
    assert "repair it first" in repr(found)
    assert "nothing breaks in this model" not in repr(found)
    assert "nothing more breaks" in repr(found)


def verdicts(design):
    return [host.invariants for host in check(design).hosts]


def test_lines_that_only_cost_time_break_nothing():
    for design in ("array-passthrough", SeedAccessor):
        for reason in reasons(design).reasons:
            if reason.mutant.only_costs:
                assert reason.counterexample is None, reason.mutant
                assert verdicts(reason.mutant.design) == verdicts(design), "it is not searched for that"
                assert reason.breaks == "not in the model"
            elif reason.counterexample is None:
                assert reason.breaks == "explored: nothing breaks in this model"


@pytest.mark.parametrize("design", DESIGNS)
def test_each_variant_changes_one_line_and_says_which(design):
    for mutant in mutants(DESIGNS[design]):
        function = DESIGNS[design].functions()[mutant.function]
        assert function.source[mutant.line - 1].strip() == mutant.source
        changed = mutant.design.functions()[mutant.function]
        assert len(changed.source) == len(function.source), "no line moves"
        differ = [
            n
            for n, pair in enumerate(zip(function.source, changed.source, strict=True), 1)
            if pair[0] != pair[1]
        ]
        assert differ[0] == mutant.line
