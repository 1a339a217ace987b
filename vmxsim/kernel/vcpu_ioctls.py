"""vCPU ioctls: vcpu_load() and vcpu_put() bracket every one of them. Only KVM_RUN ever
enters the guest, so guest state is never loaded in the others."""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class VcpuIoctls(KernelSource, part=True):
    """virt/kvm/kvm_main.c and arch/x86/kvm/x86.c: loading a vCPU, reading and setting it."""

    @requires("preemption enabled")
    def vcpu_load(self, vcpu):
        preempt_disable()
        preempt_notifier_register()
        self.kvm_x86_ops.vcpu_load(vcpu)
        preempt_enable()

    @requires("preemption enabled", "vCPU loaded")
    def vcpu_put(self, vcpu):
        preempt_disable()
        self.kvm_x86_ops.vcpu_put(vcpu)
        preempt_notifier_unregister()
        preempt_enable()

    def kvm_vcpu_ioctl_get_msrs(self, vcpu):
        self.vcpu_load(vcpu)
        data = self.kvm_x86_ops.get_msr(vcpu)
        copy_to_user(vcpu, data)
        self.vcpu_put(vcpu)

    def kvm_vcpu_ioctl_set_msrs(self, vcpu):
        self.vcpu_load(vcpu)
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            refuse_msr(vcpu)
        else:
            complete_wrmsr(vcpu)
        self.vcpu_put(vcpu)

    def kvm_vcpu_ioctl_set_sregs(self, vcpu, efer, cr0):
        self.vcpu_load(vcpu)
        self.kvm_x86_ops.set_efer(vcpu, efer)
        self.kvm_x86_ops.set_cr0(vcpu, cr0)
        self.vcpu_put(vcpu)
