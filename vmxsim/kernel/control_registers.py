"""CR0.PG, the switch that turns EFER.LME into EFER.LMA."""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class ControlRegisters(KernelSource, part=True):
    """arch/x86/kvm/vmx.c: the guest flips CR0.PG."""

    def handle_set_cr0(self, vcpu):
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 ^ X86_CR0_PG)

    def vmx_set_cr0(self, vcpu, cr0):
        if vcpu.efer & EFER_LME:
            if not vcpu.cr0 & X86_CR0_PG and cr0 & X86_CR0_PG:
                self.enter_lmode(vcpu)
            if vcpu.cr0 & X86_CR0_PG and not cr0 & X86_CR0_PG:
                self.exit_lmode(vcpu)
        vmcs_write("CR0_READ_SHADOW", cr0)
        vmcs_write("GUEST_CR0", cr0)
        vcpu.cr0 = cr0
