"""KVM_RUN: enter the guest, handle its exit, enter again."""

from vmxsim.kernel.language import *
from vmxsim.program.source import KernelSource


class RunLoop(KernelSource, part=True):
    """arch/x86/kvm/x86.c: the loop around VM entry, and arch/x86/kvm/vmx.c: its exits."""

    def kvm_arch_vcpu_ioctl_run(self, vcpu):
        self.vcpu_load(vcpu)
        again = True
        while again:
            again = self.vcpu_enter_guest(vcpu)
        self.vcpu_put(vcpu)

    def vcpu_enter_guest(self, vcpu):
        preempt_disable()
        self.kvm_x86_ops.prepare_guest_switch(vcpu)
        local_irq_disable()
        if signal_pending() or need_resched():
            local_irq_enable()
            preempt_enable()
            return not signal_pending()
        vm_entry(vcpu)
        local_irq_enable()
        preempt_enable()
        return self.vmx_handle_exit(vcpu)

    def vmx_handle_exit(self, vcpu):
        match vcpu.exit_reason:
            case "MSR_READ":
                self.handle_rdmsr(vcpu)
            case "MSR_WRITE":
                self.handle_wrmsr(vcpu)
            case "MSR_WRITE of EFER":
                self.set_efer(vcpu)
            case "CR_ACCESS":
                self.handle_set_cr0(vcpu)
            case "emulated RDMSR":
                self.em_rdmsr(vcpu)
            case "emulated WRMSR":
                self.em_wrmsr(vcpu)
            case "SMI":
                self.enter_smm(vcpu)
            case "RSM":
                self.em_rsm(vcpu)
            case "IO_INSTRUCTION":
                return False
        return True
