"""System management mode: KVM emulates SMI and RSM while guest state may be loaded.

SMRAM holds EFER and CR0 among others, but not KERNEL_GS_BASE: neither SMI nor RSM
reads or writes the register.
"""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class SystemManagement(KernelSource, part=True):
    """arch/x86/kvm/x86.c and emulate.c, since Linux 4.2 (not looked up)."""

    def enter_smm(self, vcpu):
        vcpu.smram_efer = vcpu.efer
        vcpu.smram_cr0 = vcpu.cr0
        vcpu.smm = True
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 & ~X86_CR0_PG)
        self.kvm_x86_ops.set_efer(vcpu, 0)

    def em_rsm(self, vcpu):
        vcpu.smm = False
        if vcpu.cr0 & X86_CR0_PG:
            self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 & ~X86_CR0_PG)
        self.kvm_x86_ops.set_efer(vcpu, 0)
        self.kvm_x86_ops.set_efer(vcpu, vcpu.smram_efer & ~EFER_LMA)
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.smram_cr0)
