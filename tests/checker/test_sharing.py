"""Threads that can tell what was left on a CPU: every joint state is visited, or everything is found."""

from itertools import product

import pytest

import vmxsim
from tests.checker.test_left_behind import QUICK, NoticesAnother
from tests.checker.test_together import SEVERAL_HOSTS, SMALL, TINY, both
from tests.checker.walks import table
from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import check
from vmxsim.checker.lengths import kinds_of
from vmxsim.checker.one_by_one import Threads
from vmxsim.checker.sharing import Sharing
from vmxsim.checker.together import together
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs import DESIGNS
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.errors import InputError
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run

FEW = f"{SMALL},no-mode-switch,no-set-msr,no-user-gs-base,no-kernel-preemption,starts-in-long-mode"


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("moves", [True, False])
@SEVERAL_HOSTS
def test_where_nothing_is_left_a_visit_finds_what_is_computed(design, host, options, moves, cpus):
    assume = TINY + ",no-migration" * (not moves)
    found = together(*map(kinds_of, both(design, host, assume, cpus, **options)), 2, cpus, moves=moves)
    kept = table(DESIGNS[design], host, assume, **options)
    sharing = Sharing(TransitionTable(DESIGNS[design], kept.host, restriction(assume)), (), 1)
    threads = Threads(sharing, 2, cpus, moves)
    visited = threads.visit(threads.starts(), 0, 10**6, False, None)
    assert (tuple(visited.layers), visited.transitions) == (found.layers, found.transitions)


#: A scenario's actions for each of two vCPUs, without ticks: what assumptions below leave over.
ACTIONS = [{f"vcpu{n}": verb} for n in (0, 1) for verb in ("run", "exit", "get-msr", "guest wrmsr 0xA000")]


def shortest_in_the_simulator(design, most, **options):
    """The fewest actions after which a run breaks an invariant, each action a whole one."""
    for length in range(1, most + 1):
        for steps in product(ACTIONS, repeat=length):
            try:
                if run(list(steps), design, **options).violations:
                    return length
            except InputError:  # not possible here
                continue
    return None


def test_a_counterexample_is_as_short_as_trying_every_scenario_finds():
    assume = (
        f"{QUICK},no-kernel-preemption,no-mode-switch,no-cancelled-run,no-set-msr,no-set-efer,no-user-gs-base"
    )
    for mode in (True, False):
        starts = f"starts-{'in' if mode else 'outside'}-long-mode"
        result = check(NoticesAnother, host="64-bit", cpus=1, vcpus=2, assume=f"{assume},{starts}")
        found = shortest_in_the_simulator(NoticesAnother, 4, cpus=1, vcpus=2, long_mode=mode)
        assert result.verdict == "violated" and result.counterexample.actions == found == 4


def test_what_is_found_is_a_scenario_of_both_that_breaks_it_when_run():
    for cpus, vcpus in [(1, 2), (2, 2), (2, 1), (2, 3)]:
        result = check(NoticesAnother, host="64-bit", cpus=cpus, vcpus=vcpus, assume=QUICK)
        assert result.verdict == "violated", (cpus, vcpus)
        example = result.counterexample
        assert example.invariant in {v.invariant for v in run(example.scenario, NoticesAnother).violations}
        assert example.actions == len(example.scenario.steps) and example.schedule


class WrongOnAFreshCpu(NeverTrap):
    """Wrong where nobody has been switched out yet: on one CPU nobody is ever switched in there."""

    cpu_fields = {"used": False}
    fields = {"fresh": False}

    def kvm_sched_out(self, vcpu):
        super().kvm_sched_out(vcpu)
        this_cpu_write("used", True)

    def kvm_sched_in(self, vcpu):
        super().kvm_sched_in(vcpu)
        vcpu.fresh = not this_cpu_read("used")

    def vmx_get_msr(self, vmx):
        if vmx.fresh:
            return vmx.msr_host_kernel_gs_base
        return super().vmx_get_msr(vmx)


def test_what_is_never_found_is_not_held_against_a_design():
    one = check(WrongOnAFreshCpu, host="64-bit", cpus=1, vcpus=2, assume=FEW)
    assert one.verdict == "safe" and "joint states were visited" in repr(one)
    assert check(WrongOnAFreshCpu, host="64-bit", cpus=2, assume=QUICK).verdict == "violated"


class ReadsALeftValue(NeverTrap):
    """A register's value is left on the CPU, and whoever comes next gives it to its guest."""

    cpu_fields = {"last": u64}

    def vmx_vcpu_put(self, vmx):
        super().vmx_vcpu_put(vmx)
        this_cpu_write("last", vmx.msr_guest_kernel_gs_base)

    def vmx_get_msr(self, vmx):
        if vmx.smm:
            return this_cpu_read("last")
        return super().vmx_get_msr(vmx)


def test_a_value_that_another_guest_left_is_told_from_ones_own():
    assume = "no-swapgs,no-emulation,no-mode-switch,no-user-gs-base,starts-in-long-mode,no-kernel-preemption"
    result = check(ReadsALeftValue, host="64-bit", cpus=1, vcpus=2, assume=assume)
    assert result.verdict == "violated"
    assert "guest-value" in {v.invariant for v in run(result.scenario, ReadsALeftValue).violations}


class LeavesItsBase(NeverTrap):
    """Right as long as the thread finds its own base on the CPU, or none was ever needed."""

    cpu_fields = {"base": u64}

    def kvm_sched_out(self, vcpu):
        super().kvm_sched_out(vcpu)
        this_cpu_write("base", rdmsr(MSR_KERNEL_GS_BASE))

    def kvm_sched_in(self, vcpu):
        super().kvm_sched_in(vcpu)
        wrmsr(MSR_KERNEL_GS_BASE, this_cpu_read("base"))


def test_another_threads_base_is_not_ones_own():
    """On one CPU a scenario cannot have another thread act while this one waits inside the kernel."""
    assume = FEW.replace(",no-kernel-preemption", "")
    one, two = (check(LeavesItsBase, host="64-bit", cpus=1, vcpus=n, assume=assume) for n in (1, 2))
    assert (one.verdict, two.verdict) == ("safe", "incomplete")
    assert "breaks host-value, but no scenario" in two.hosts[0].cut


def test_limits_and_interruption_end_the_visit_of_joint_states():
    options = {"host": "64-bit", "cpus": 1, "vcpus": 2, "assume": FEW}
    cut = check(WrongOnAFreshCpu, max_states=300, **options)
    assert cut.verdict == "incomplete" and cut.hosts[0].states == 300
    assert "limit of 300 joint states" in cut.hosts[0].cut and "--max-states" in cut.hosts[0].cut
    asked = []
    stopped = check(
        NoticesAnother, host="64-bit", vcpus=2, assume=QUICK, cpus=1,
        progress=lambda states, seconds: asked.append(states), stopped=lambda: asked[-1:] > [4000],
    )  # fmt: skip
    assert stopped.interrupted and stopped.verdict == "incomplete" and stopped.hosts[0].states > 3000


def test_more_threads_than_two_are_not_said_to_be_explored_one_by_one():
    three = check(WrongOnAFreshCpu, host="64-bit", cpus=1, vcpus=3, assume=FEW)
    assert three.verdict == "incomplete" and "two vCPUs break nothing, but more" in three.hosts[0].cut
    assert vmxsim.check(NoticesAnother, host="64-bit", vcpus=3, assume=QUICK).verdict == "violated"
