"""Notebooks 08 and 08b: their exercises and claims come out as their text promises."""

import pytest

import vmxsim
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.language import *

# 08: another register


class Blank(Kvm):
    """08: what is about modes, and nothing about the register."""

    interception = "never"
    kvm_x86_ops = Kvm.kvm_x86_ops | {
        "prepare_guest_switch": "enter",
        "vcpu_put": "leave",
        "get_msr": "read",
        "set_msr": "write",
    }
    labels = Kvm.labels | {"loaded": "loaded_cpu_state"}

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded

    def vmx_set_efer(self, vcpu, efer):
        vcpu.efer = efer

    def enter_lmode(self, vcpu):
        vcpu.efer = vcpu.efer | EFER_LMA

    def exit_lmode(self, vcpu):
        vcpu.efer = vcpu.efer & ~EFER_LMA


class Eager(Blank):
    """08, section 3: exchanged around every entry."""

    def enter(self, vcpu):
        vcpu.loaded_cpu_state = True
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def give_back(self, vcpu):
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)
        vcpu.loaded_cpu_state = False

    def vcpu_enter_guest(self, vcpu):
        preempt_disable()
        self.enter(vcpu)
        local_irq_disable()
        if signal_pending() or need_resched():
            self.give_back(vcpu)
            local_irq_enable()
            preempt_enable()
            return not signal_pending()
        vm_entry(vcpu)
        self.give_back(vcpu)
        local_irq_enable()
        preempt_enable()
        return self.vmx_handle_exit(vcpu)

    def leave(self, vcpu):
        return

    def read(self, vcpu):
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        vcpu.msr_guest_kernel_gs_base = data


class Finished(Blank):
    """08, section 4: the lazy design with its end."""

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, vcpu):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data


class Unfinished(Finished):
    """08, section 4, as the reader finds it."""

    def leave(self, vcpu):
        vcpu.loaded_cpu_state = False


class Svm(Blank):
    """08b, section 1: from scratch, with VMLOAD and VMSAVE."""

    def vmload(self, svm):
        wrmsr(MSR_KERNEL_GS_BASE, svm.msr_guest_kernel_gs_base)

    def vmsave(self, svm):
        svm.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)

    def enter(self, svm):
        if svm.loaded_cpu_state:
            return
        svm.loaded_cpu_state = True
        self.vmload(svm)

    def leave(self, svm):
        if svm.loaded_cpu_state:
            svm.loaded_cpu_state = False
            self.vmsave(svm)
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, svm):
        preempt_disable()
        if svm.loaded_cpu_state:
            self.vmsave(svm)
        preempt_enable()
        return svm.msr_guest_kernel_gs_base

    def write(self, svm, data):
        preempt_disable()
        svm.msr_guest_kernel_gs_base = data
        if svm.loaded_cpu_state:
            self.vmload(svm)
        preempt_enable()


class CopyFirst(Svm):
    """08b, section 1, "does the order matter?": the copy written before the protected part."""

    def write(self, svm, data):
        svm.msr_guest_kernel_gs_base = data
        preempt_disable()
        if svm.loaded_cpu_state:
            self.vmload(svm)
        preempt_enable()


class BothModes(Finished):
    """08b, section 2: not loaded outside long mode, and everything given back before the mode changes."""

    interception = "outside long mode"

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded and vcpu.long_mode

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        if is_long_mode(vcpu):
            wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        if is_long_mode(vcpu):
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, vcpu):
        preempt_disable()
        if vcpu.loaded_cpu_state and is_long_mode(vcpu):
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state and is_long_mode(vcpu):
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data

    def vmx_set_efer(self, vcpu, efer):
        preempt_disable()
        self.leave(vcpu)
        vcpu.efer = efer
        preempt_enable()

    def enter_lmode(self, vcpu):
        self.vmx_set_efer(vcpu, vcpu.efer | EFER_LMA)

    def exit_lmode(self, vcpu):
        self.vmx_set_efer(vcpu, vcpu.efer & ~EFER_LMA)


class TellsNobody(BothModes):
    """08b, section 2, with Blank's three functions: the old friends."""

    def vmx_set_efer(self, vcpu, efer):
        vcpu.efer = efer

    def enter_lmode(self, vcpu):
        vcpu.efer = vcpu.efer | EFER_LMA

    def exit_lmode(self, vcpu):
        vcpu.efer = vcpu.efer & ~EFER_LMA


class Wordy(Finished):
    """08, section 5."""

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        vcpu.msr_host_kernel_gs_base = current.thread.gsbase
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data


class UnprotectedWrite(Wordy):
    """08, section 5: Wordy without the pair in write."""

    def write(self, vcpu, data):
        if vcpu.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vcpu.msr_guest_kernel_gs_base = data


class ReadsTheHosts(Wordy):
    """08, section 5, Modify: the copy is what the register held, and leave restores it."""

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        vcpu.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_host_kernel_gs_base)


class SavesOnly(Finished):
    """08b, section 3: scheduled out, only the guest's value is saved."""

    def save(self, vcpu):
        if vcpu.loaded_cpu_state:
            vcpu.loaded_cpu_state = False
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)

    def kvm_sched_out(self, vcpu):
        self.save(vcpu)


@pytest.mark.parametrize("assume", [[], ["no-swapgs"]])
@pytest.mark.parametrize("design", [Eager, Finished, Svm, Wordy], ids=lambda d: d.__name__)
def test_these_designs_are_safe_with_and_without_swapgs(design, assume):
    assert vmxsim.check(design, host="64-bit", assume=assume).verdict == "safe"
    assert vmxsim.check(design, host="32-bit", gs_base_from="msr", assume=assume).verdict == "safe"


@pytest.mark.parametrize("design", [Eager, Finished, Svm, Wordy], ids=lambda d: d.__name__)
def test_thread_gsbase_is_the_hosts_value_on_one_kind_of_host_only(design):
    assert set(vmxsim.check(design, host="32-bit").hosts[0].counterexamples) == {"host-value"}
    assert set(vmxsim.check(design, host="64-bit", fsgsbase=True).hosts[0].counterexamples) == {"host-value"}


def test_a_copy_of_what_the_register_held_is_right_on_every_host():
    assert vmxsim.check(ReadsTheHosts).verdict == "safe"
    assert vmxsim.check(ReadsTheHosts, host="64-bit", fsgsbase=True).verdict == "safe"


@pytest.mark.parametrize("fsgsbase", [False, True])
def test_the_context_switch_does_not_make_up_for_a_leave_that_only_saves(fsgsbase):
    found = vmxsim.check(SavesOnly, host="64-bit", fsgsbase=fsgsbase).hosts[0].counterexamples
    assert "host-value" in found


def test_the_unprotected_write_needs_a_signal_or_a_second_tick():
    found = vmxsim.check(UnprotectedWrite, host="64-bit").hosts[0].counterexamples["host-value"]
    assert found.schedule.startswith("run; emulate wrmsr 0xA000 (tick before wrmsr in write, ")
    tick = {"before": "wrmsr", "in": "write"}
    signaled = ["run", {"emulate wrmsr 0xA000": {"preempt": tick, "signal": True}}]
    assert vmxsim.run(signaled, UnprotectedWrite).violations
    assert not vmxsim.run(signaled, Wordy).violations


def test_the_missing_end_breaks_everything_and_the_shortest_way_is_one_action():
    result = vmxsim.check(Unfinished, assume=["no-swapgs"])
    assert result.verdict == "violated"
    assert len(result.scenario.steps) == 1


def test_the_copy_may_not_be_written_before_preemption_is_disabled():
    assert vmxsim.check(CopyFirst, host="64-bit").verdict == "violated"
    assert vmxsim.check(CopyFirst, host="64-bit", assume=["no-preemption"]).verdict == "safe"


def test_a_mode_in_the_condition_makes_the_mode_changes_part_of_the_design():
    assert vmxsim.check(TellsNobody, host="64-bit", assume=["no-swapgs"]).verdict == "violated"
    assert vmxsim.check(BothModes, host="64-bit", assume=["no-swapgs"]).verdict == "safe"


def test_lazy_saves_the_exchanges_of_an_exit_and_nothing_else():
    table = vmxsim.cost([Eager, Finished]).only("run", "emulate rdmsr", "exit", long_mode=True)
    found = {(row.design, row.path): dict(row.operations) for row in table}
    read, write = "rdmsr_kernel_gs_base", "wrmsr_kernel_gs_base"
    assert found["Eager", "emulate rdmsr"] == {read: 1, write: 2}
    assert found["Finished", "emulate rdmsr"] == {read: 1}
    for path in ("run", "exit"):
        assert found["Eager", path] == found["Finished", path]


def test_one_line_of_the_wordy_design_is_not_needed():
    reasons = vmxsim.why(Wordy, hosts="64-bit", assume=["no-swapgs"]).reasons
    idle = {(r.mutant.function, r.mutant.line) for r in reasons if r.counterexample is None}
    assert idle == {("enter", 5)}
