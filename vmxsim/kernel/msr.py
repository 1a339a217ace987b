"""The guest's RDMSR and WRMSR in KVM's hands: intercepted, or met by the emulator."""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class MsrAccess(KernelSource, part=True):
    """arch/x86/kvm/vmx.c (handle_*), arch/x86/kvm/emulate.c (em_*), arch/x86/kvm/x86.c."""

    def handle_rdmsr(self, vcpu):
        data = self.kvm_x86_ops.get_msr(vcpu)
        complete_rdmsr(vcpu, data)

    def handle_wrmsr(self, vcpu):
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            kvm_inject_gp(vcpu)
        else:
            complete_wrmsr(vcpu)

    def em_rdmsr(self, vcpu):
        data = self.kvm_x86_ops.get_msr(vcpu)
        complete_rdmsr(vcpu, data)

    def em_wrmsr(self, vcpu):
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            kvm_inject_gp(vcpu)
        else:
            complete_wrmsr(vcpu)

    def kvm_set_msr(self, vcpu, data):
        self.kvm_x86_ops.set_msr(vcpu, data)
        return 0

    def set_efer(self, vcpu):
        # the guest sets EFER.LME, with paging off: LMA stays clear
        self.kvm_x86_ops.set_efer(vcpu, vcpu.efer | EFER_LME)
