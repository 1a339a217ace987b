"""Designs that fail: each does one thing that the kernel must not, or that the checker cannot follow."""

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class CountsWithoutEnd(NeverTrap):
    def vmx_get_msr(self, vmx):
        vmx.save_nmsrs = vmx.save_nmsrs + 1
        if vmx.save_nmsrs == 0:
            return vmx.msr_host_kernel_gs_base
        return self.vmx_read_guest_kernel_gs_base(vmx)


class LoopsForEver(NeverTrap):
    def vmx_get_msr(self, vmx):
        again = True
        while again:
            vmcs_write("A")
        return self.vmx_read_guest_kernel_gs_base(vmx)


class LoopsWithPreemptionDisabled(NeverTrap):
    def vmx_get_msr(self, vmx):
        preempt_disable()
        again = True
        while again:
            vmcs_write("A")
        preempt_enable()
        return self.vmx_read_guest_kernel_gs_base(vmx)


class LoopsIfValuesAreEqual(NeverTrap):
    """Ends, unless what is to be written is the value there already."""

    def vmx_set_msr(self, vmx, data):
        while vmx.msr_guest_kernel_gs_base == data:
            vmcs_write("A")
        self.vmx_write_guest_kernel_gs_base(vmx, data)


class Recurses(NeverTrap):
    def vmx_get_msr(self, vmx):
        return self.vmx_get_msr(vmx)


class BreaksAContract(NeverTrap):
    def vmx_get_msr(self, vmx):
        self.vmx_prepare_switch_to_host(vmx)
        return vmx.msr_guest_kernel_gs_base


class KeepsPreemptionDisabled(NeverTrap):
    def vmx_set_msr(self, vmx, data):
        preempt_disable()
        self.vmx_write_guest_kernel_gs_base(vmx, data)


class LeavesWithPreemptionDisabled(NeverTrap):
    def kvm_vcpu_ioctl_get_msrs(self, vcpu):
        self.vcpu_load(vcpu)
        data = self.kvm_x86_ops.get_msr(vcpu)
        copy_to_user(vcpu, data)
        self.vcpu_put(vcpu)
        preempt_disable()


class EnablesTooOften(NeverTrap):
    def vmx_set_msr(self, vmx, data):
        preempt_enable()
        self.vmx_write_guest_kernel_gs_base(vmx, data)


class LooksAtTheRegister(NeverTrap):
    """Right on every schedule: where the values are equal there is nothing to do."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        if vmx.loaded_cpu_state:
            if not vmx.msr_guest_kernel_gs_base == vmx.msr_host_kernel_gs_base:
                wrmsr(MSR_KERNEL_GS_BASE, data)
            else:
                wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vmx.msr_guest_kernel_gs_base = data


class TakesEqualForDone(NeverTrap):
    """Wrong where the saved copy is stale and equals what is written."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.msr_guest_kernel_gs_base == data:
            return
        super().vmx_write_guest_kernel_gs_base(vmx, data)


class ReadsTheCpu(NeverTrap):
    def vmx_get_msr(self, vmx):
        if current.cpu:
            vmcs_write("A")
        return self.vmx_read_guest_kernel_gs_base(vmx)


class ReturnsNothing(NeverTrap):
    def vmx_get_msr(self, vmx):
        vmcs_write("A")


class WithoutPreemptDisable(NeverTrap):
    """The accessors as the seed patch would be without preempt_disable()."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class SwitchesNothing(NeverTrap):
    """Scheduled out, guest state stays in the register."""

    def kvm_sched_out(self, vcpu):
        vmcs_write("A")


class WrongAtTheSecondPoll(NeverTrap):
    """Wrong only if a tick comes between two looks for it, with preemption disabled."""

    def vmx_get_msr(self, vmx):
        preempt_disable()
        first = need_resched()
        vmcs_write("A")
        second = need_resched()
        preempt_enable()
        data = self.vmx_read_guest_kernel_gs_base(vmx)
        if second:
            if not first:
                return vmx.msr_host_kernel_gs_base
        return data


class ReloadsOnEntry(DedicatedAccessors):
    """The seed patch, mended another way: state is left before LMA is set."""

    def enter_lmode(self, vmx):
        preempt_disable()
        self.__vmx_load_host_state(vmx)
        preempt_enable()
        super().enter_lmode(vmx)


class BreaksAContractIn64BitTasks(NeverTrap):
    def vmx_get_msr(self, vmx):
        if current.bits == 64:
            self.vmx_prepare_switch_to_host(vmx)
        return self.vmx_read_guest_kernel_gs_base(vmx)
