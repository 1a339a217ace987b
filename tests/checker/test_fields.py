"""Fields of a design's own are part of what is explored; where they cannot be, no verdict is *safe*."""

import pytest

import vmxsim
from vmxsim.checker.difference import shortest_difference
from vmxsim.checker.why import why
from vmxsim.designs import NeverTrap
from vmxsim.errors import InputError
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run


class Dirty(NeverTrap):
    """The write is put off until the next entry; a read sees it."""

    fields = {"dirty": False}

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = data
            vmx.dirty = True
        else:
            vmx.msr_guest_kernel_gs_base = data
        preempt_enable()

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state and not vmx.dirty:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base

    def vmx_prepare_switch_to_guest(self, vmx):
        super().vmx_prepare_switch_to_guest(vmx)
        if vmx.dirty:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            vmx.dirty = False

    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.dirty and vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        vmx.dirty = False
        super().vmx_prepare_switch_to_host(vmx)


class DirtyTooLate(Dirty):
    """The flag is set where the thread may have been preempted: leave takes the old value for the new one."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        vmx.msr_guest_kernel_gs_base = data
        if vmx.loaded_cpu_state:
            vmx.dirty = True


class NeverWritten(Dirty):
    """The flag is forgotten on entry."""

    def vmx_prepare_switch_to_guest(self, vmx):
        NOTHING = 0
        vmx.dirty = NOTHING
        super().vmx_prepare_switch_to_guest(vmx)


class Copy(NeverTrap):
    """The host's value is kept in a field of its own."""

    fields = {"mine": u64}

    def vmx_prepare_switch_to_guest(self, vmx):
        if not vmx.loaded_cpu_state:
            vmx.mine = rdmsr(MSR_KERNEL_GS_BASE)
        super().vmx_prepare_switch_to_guest(vmx)

    def vmx_prepare_switch_to_host(self, vmx):
        loaded = vmx.loaded_cpu_state
        super().vmx_prepare_switch_to_host(vmx)
        if loaded:
            wrmsr(MSR_KERNEL_GS_BASE, vmx.mine)


class StaleCopy(Copy):
    """The copy is made by whoever comes first, and that is the plain task's or nobody's."""

    def vmx_prepare_switch_to_guest(self, vmx):
        super().vmx_prepare_switch_to_guest(vmx)
        vmx.mine = rdmsr(MSR_KERNEL_GS_BASE)


class Third(NeverTrap):
    """Wrong at the third read only."""

    fields = {"reads": 0}

    def vmx_get_msr(self, vmx):
        if vmx.reads < 3:
            vmx.reads += 1
        if vmx.reads == 3:
            return vmx.msr_host_kernel_gs_base
        return super().vmx_get_msr(vmx)


@pytest.mark.parametrize("design", [Dirty, Copy])
def test_right_designs_with_fields_are_safe(design):
    assert vmxsim.check(design).verdict == "safe"


@pytest.mark.parametrize(
    ("design", "invariant"),
    [
        (DirtyTooLate, "guest-value"),
        (NeverWritten, "guest-value"),
        (StaleCopy, "host-value"),
        (Third, "guest-value"),
    ],
)
def test_wrong_designs_with_fields_are_violated_and_the_schedule_shows_it(design, invariant):
    result = vmxsim.check(design, host="64-bit")
    example = result.hosts[0].counterexamples[invariant]
    assert invariant in {v.invariant for v in run(example.scenario, design).violations}
    assert example.words


def test_the_shortest_counterexample_counts_up_a_field():
    example = vmxsim.check(Third, host="64-bit").counterexample
    assert example.actions == 4, "three reads, and a KVM_RUN that stores the host's value or a write"
    assert sum("rdmsr" in step or step == "get-msr" for step in example.scenario.steps) == 3


def test_compare_and_why_know_the_fields():

    assert shortest_difference(Dirty, NeverTrap, "64-bit").complete
    assert shortest_difference(Dirty, NeverTrap, "64-bit").scenario is None
    assert shortest_difference(Third, NeverTrap, "64-bit").scenario is not None
    broken = {(r.mutant.function, r.mutant.source): r.breaks for r in why(Dirty, hosts="64-bit").reasons}
    set_flag = "vmx_write_guest_kernel_gs_base", "vmx.dirty = True"
    assert broken[set_flag] == "guest-value", "nobody writes the new value into the register"


class PerCpu(NeverTrap):
    """The CPU remembers that guest state was loaded on it."""

    cpu_fields = {"loads": False}

    def vmx_prepare_switch_to_guest(self, vmx):
        this_cpu_write("loads", True)
        super().vmx_prepare_switch_to_guest(vmx)


class WrongOnAnother(NeverTrap):
    """Right unless the thread comes to a CPU on which it has loaded guest state before."""

    cpu_fields = {"been": 0}
    fields = {"here": False}

    def vmx_vcpu_load(self, vmx):
        vmx.here = this_cpu_read("been") == 1

    def kvm_sched_out(self, vcpu):
        super().kvm_sched_out(vcpu)
        this_cpu_write("been", 1)

    def vmx_get_msr(self, vmx):
        if not vmx.here and vmx.smm:
            return vmx.msr_host_kernel_gs_base
        return super().vmx_get_msr(vmx)


def test_fields_of_the_cpu_are_followed_to_another_cpu():
    result = vmxsim.check(PerCpu, host="64-bit")
    assert result.verdict == "safe" and "(loads)" in repr(result)
    assert set(result.hosts[0].invariants.values()) == {"holds"}


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"cpus": 1}, "safe"),
        ({"cpus": 2, "assume": "no-migration"}, "safe"),
        ({"cpus": 2, "assume": "no-preemption"}, "safe"),
        ({"cpus": 1, "vcpus": 2, "max_states": 10_000_000}, "safe"),
    ],
)
def test_fields_of_the_cpu_are_explored_where_one_thread_keeps_its_cpu(options, verdict):
    assert vmxsim.check(PerCpu, host="64-bit", **options).verdict == verdict


def test_a_violation_found_all_the_same_is_a_run():
    result = vmxsim.check(WrongOnAnother, host="64-bit")
    assert result.verdict == "violated"
    for example in result.hosts[0].counterexamples.values():
        assert example.invariant in {v.invariant for v in run(example.scenario, WrongOnAnother).violations}


def test_why_does_not_judge_what_cannot_be_explored():
    with pytest.raises(InputError, match="no-migration"):
        why(PerCpu, hosts="64-bit")
    assert why(PerCpu, hosts="64-bit", assume="no-migration").reasons
