"""Threads are followed one at a time: whatever one leaves on a CPU for another to find must be noticed."""

import pytest

import vmxsim
from tests.checker.walks import table
from vmxsim.checker import symbolic
from vmxsim.checker.check import check
from vmxsim.checker.left_behind import left_behind
from vmxsim.checker.reach import reachable
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs import DESIGNS
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.errors import InputError
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import make_host

QUICK = "one-value,no-smm,no-swapgs,no-emulation"


class NoticesAnother(NeverTrap):
    """Goes wrong on a CPU that another thread has been on since."""

    cpu_fields = {"turn": 0}
    fields = {"mine": 0, "disturbed": False}

    def kvm_sched_out(self, vcpu):
        super().kvm_sched_out(vcpu)
        vcpu.mine = 1 - this_cpu_read("turn")
        this_cpu_write("turn", vcpu.mine)

    def kvm_sched_in(self, vcpu):
        super().kvm_sched_in(vcpu)
        vcpu.disturbed = this_cpu_read("turn") != vcpu.mine

    def vmx_get_msr(self, vmx):
        if vmx.disturbed:
            return vmx.msr_host_kernel_gs_base
        return super().vmx_get_msr(vmx)


def test_what_two_threads_break_together_is_not_called_safe():
    steps = [{"vcpu0": "run"}, {"vcpu1": "run"}, {"vcpu0": "exit"}, {"vcpu0": "get-msr"}]
    beside = run(steps, NoticesAnother, cpus=1, vcpus=2, long_mode=True)
    assert {violation.invariant for violation in beside.violations} >= {"guest-value", "no-leak"}
    assert check(NoticesAnother, host="64-bit", cpus=1, assume=QUICK).verdict == "safe"
    two = check(NoticesAnother, host="64-bit", cpus=1, vcpus=2, assume=QUICK)
    assert two.verdict == "violated" and two.scenario.vcpus == 2
    assert "joint states were visited one by one" in repr(two) and "(turn)" in repr(two)
    apart = check(NoticesAnother, host="64-bit", vcpus=2, assume=f"{QUICK},no-migration")
    assert apart.verdict == "safe" and apart.hosts[0].states > 10**6


class LeavesInterruptsOff(NeverTrap):
    def prepare_task_switch(self, vcpu):
        if is_long_mode(vcpu):
            local_irq_disable()

    def finish_task_switch(self, vcpu):
        local_irq_enable()


class AlwaysLeavesInterruptsOff(NeverTrap):
    """As a kernel does that switches with interrupts off: but a thread that is switched in first does not."""

    def prepare_task_switch(self, vcpu):
        local_irq_disable()

    def finish_task_switch(self, vcpu):
        local_irq_enable()


class UsesAFlagWhileItRuns(NeverTrap):
    """The CPU's flag is set only where nobody else can see it."""

    cpu_fields = {"inside": False}

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        this_cpu_write("inside", True)
        data = super().vmx_read_guest_kernel_gs_base(vmx)
        this_cpu_write("inside", False)
        preempt_enable()
        return data


class RemembersAValue(NeverTrap):
    cpu_fields = {"last": u64}

    def vmx_vcpu_put(self, vmx):
        super().vmx_vcpu_put(vmx)
        this_cpu_write("last", vmx.msr_guest_kernel_gs_base)


@pytest.mark.parametrize(
    ("design", "left"),
    [
        (NoticesAnother, ("turn",)), (AlwaysLeavesInterruptsOff, ("irqs_disabled",)),
        (UsesAFlagWhileItRuns, ()), (RemembersAValue, ("last",)),
    ],
)  # fmt: skip
def test_what_is_left_behind_is_named(design, left):
    assert left_behind(reachable(table(design, assume=QUICK))) == left
    verdict = "violated" if design is NoticesAnother else "safe"
    results = [check(design, host="64-bit", vcpus=n, assume=f"{QUICK},no-user-gs-base") for n in (1, 2)]
    assert [result.verdict for result in results] == [verdict, verdict]
    assert all(("any thread may leave" in repr(r)) == (bool(left) and verdict == "safe") for r in results)


def test_interrupts_that_are_off_only_sometimes_are_noticed():
    assert left_behind(reachable(table(LeavesInterruptsOff, assume=QUICK))) == ("irqs_disabled",)
    result = check(LeavesInterruptsOff, host="64-bit", vcpus=2, assume=QUICK)
    assert result.verdict == "safe"
    with pytest.raises(InputError, match="not counted: What was left on a CPU can be told"):
        vmxsim.who_holds(result)


def test_a_breach_that_no_scenario_can_tell_is_neither_safe_nor_violated():
    """A thread that is switched in for the first time finds interrupts off, which the simulator lets pass."""
    result = check(AlwaysLeavesInterruptsOff, host="64-bit", cpus=1, vcpus=2, assume=QUICK)
    assert result.verdict == "incomplete"
    assert "a schedule of 2 transitions breaks contract" in result.hosts[0].cut


ENVIRONMENTS = [
    {},
    {"gs_base_from": "msr", "fsgsbase": False, "bases": "zero"},
    {"gs_base_from": "descriptor"},
    {"fsgsbase": True},
]


@pytest.mark.parametrize("options", ENVIRONMENTS)
@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_no_design_of_the_kernel_leaves_anything_behind(host, options):
    for design in list(DESIGNS.values())[::2]:
        assert left_behind(reachable(table(design, host, QUICK, **options))) == (), design


def fresh(options):
    """A table that nobody keeps: the model under it is broken on purpose."""
    return left_behind(reachable(TransitionTable(NeverTrap, make_host("64-bit", NeverTrap, **options))))


def test_a_context_switch_that_does_not_write_the_register_is_noticed(monkeypatch):
    assert fresh({}) == ()
    monkeypatch.setattr(symbolic, "base_to_load", lambda m, task: m.cpu.kernel_gs_base)
    assert fresh({}) == ("kernel_gs_base",)


def test_a_register_that_is_left_alone_between_tasks_without_a_base_must_be_known_to_be_0(monkeypatch):
    zero = {"bases": "zero"}
    assert fresh(zero) == ()
    check_one = symbolic._Section.check

    def unchecked(self, kind, found, right):
        if not (kind == symbolic.HOST_CHECK and self.end.where == "waiting"):
            check_one(self, kind, found, right)

    monkeypatch.setattr(symbolic._Section, "check", unchecked)
    assert fresh(zero) == ("kernel_gs_base",)
    assert fresh({}) == ()


class LeavesItAtASwitch(NeverTrap):
    """A context switch finds the guest's value in the register, and where all bases are 0 leaves it there."""

    def kvm_sched_out(self, vcpu):
        if vcpu.loaded_cpu_state:
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            vcpu.loaded_cpu_state = False


def test_what_a_task_does_with_a_value_that_was_left_to_it_is_not_said_to_be_known():
    result = check(LeavesItAtASwitch, host="64-bit")
    assert result.hosts[0].invariants == {
        "guest-value": "unknown", "host-value": "violated", "no-leak": "violated",
    }  # fmt: skip
    assert result.hosts[0].bases == ("own", "zero")
    assert "Not decided: where all bases are 0" in repr(result)


@pytest.mark.parametrize("options", [{}, {"fsgsbase": True}])
def test_at_rest_in_user_space_a_thread_has_nothing_of_its_own_but_its_base(options):
    """So two threads that run one vCPU in turn, which KVM lets in one at a time, are to KVM one thread whose
    user space changes its GS base in between: the checker's action ``user gs-base``."""
    for design in list(DESIGNS.values())[1::3]:
        control = table(design, assume=QUICK, **options)
        own = [
            n for n, (holder, name) in enumerate(control.fields, 1) if holder != "vcpu0" or name == "loaded"
        ]
        rests = {
            tuple(state[n] for n in own)
            for state in control.states
            if control.get(state, "thread0", "mode") == "user"
            and not control.get(state, "thread0", "waiting")
        }
        assert len(rests) == 1 and not control.get(control.states[0], "vcpu0", "loaded")
