"""Preemption: out through the notifier, in again through the notifier, maybe elsewhere.

The next enter loads guest state again; being scheduled in does not.
"""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class Scheduler(KernelSource, part=True):
    """kernel/sched/core.c and KVM's preempt notifiers (virt/kvm/kvm_main.c)."""

    @interrupt
    @requires("preemption enabled")
    def preempt_schedule_irq(self, vcpu):
        preempt_disable()
        if preempt_notifier_registered():
            self.kvm_sched_out(vcpu)
        context_switch()
        if preempt_notifier_registered():
            self.kvm_sched_in(vcpu)
        preempt_enable()

    @requires("preemption disabled")
    def kvm_sched_out(self, vcpu):
        self.kvm_x86_ops.vcpu_put(vcpu)

    @requires("preemption disabled")
    def kvm_sched_in(self, vcpu):
        self.kvm_x86_ops.vcpu_load(vcpu)
