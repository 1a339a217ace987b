"""The exercises of notebooks 04 and 04b, and what its text says of its runs."""

import pytest

import vmxsim
from vmxsim.designs import DedicatedAccessors, NeverTrap
from vmxsim.kernel.language import *
from vmxsim.teaching.game.game import Game


class Careless(NeverTrap):
    """04, section 2, and 04b: the read without its preempt_disable()."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


class CarelessWrite(NeverTrap):
    """04, section 3, and 04b: the write without its preempt_disable()."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class TooLate(NeverTrap):
    """Modify (a) as it is given: preemption is disabled after the test only."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            preempt_disable()
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class InTime(NeverTrap):
    """Modify (a) solved: the test is inside."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class ReadFirst(NeverTrap):
    """Modify (b): read, then ask whether what was read counts. L falls and never rises in between, and the
    register changes only where it falls."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        data = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = data
        return vmx.msr_guest_kernel_gs_base


class Exchange(DedicatedAccessors):
    """Make as it is given: right only where no tick comes in the kernel."""

    def vmx_set_efer(self, vmx, efer):
        if vmx.loaded_cpu_state and (efer ^ vmx.efer) & EFER_LMA:
            if efer & EFER_LMA:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            else:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)


class StoreOutside(Exchange):
    """Make, almost right: LMA is stored after preempt_enable()."""

    def vmx_set_efer(self, vmx, efer):
        preempt_disable()
        if vmx.loaded_cpu_state and (efer ^ vmx.efer) & EFER_LMA:
            if efer & EFER_LMA:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            else:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        preempt_enable()
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)


class TestOutside(Exchange):
    """Make, almost right: L is tested before preempt_disable()."""

    __test__ = False

    def vmx_set_efer(self, vmx, efer):
        if vmx.loaded_cpu_state and (efer ^ vmx.efer) & EFER_LMA:
            preempt_disable()
            if efer & EFER_LMA:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            else:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
            vmx.efer = efer
            preempt_enable()
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)


class Together(Exchange):
    """Make solved: the test, the exchange and the store of LMA are one."""

    def vmx_set_efer(self, vmx, efer):
        preempt_disable()
        if vmx.loaded_cpu_state and (efer ^ vmx.efer) & EFER_LMA:
            if efer & EFER_LMA:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            else:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        vmx.efer = efer
        preempt_enable()
        self.setup_msrs(vmx)


QUIET = ["no-kernel-preemption"]


@pytest.mark.parametrize("design", [TooLate, Exchange, StoreOutside, TestOutside])
def test_almost_right_is_right_only_without_ticks_in_the_kernel(design):
    assert vmxsim.check(design).verdict == "violated"
    assert vmxsim.check(design, assume=QUIET).verdict == "safe"


@pytest.mark.parametrize("design", [InTime, ReadFirst, Together])
def test_the_solutions_need_no_assumption(design):
    assert vmxsim.check(design).verdict == "safe"


def test_reading_first_costs_an_rdmsr_that_nobody_uses():
    """L is 0 in every ioctl but KVM_RUN."""
    kinds = [
        [kind for kind, _, _ in vmxsim.run(["get-msr"], design).results[0]["accesses"]]
        for design in ("never-trap", ReadFirst)
    ]
    assert kinds == [[], ["rdmsr"]]


@pytest.mark.parametrize("design", ["lazy-long-mode", "load-gs-index", "dedicated-accessors"])
def test_no_defect_of_the_history_needs_a_tick_in_the_kernel(design):
    assert vmxsim.check(design, assume=QUIET, host="32-bit").verdict == "violated"


@pytest.mark.parametrize("design", [Careless, CarelessWrite])
def test_the_careless_accessors_need_a_tick_in_the_kernel_but_no_migration(design):
    assert vmxsim.check(design, assume=QUIET).verdict == "safe"
    assert vmxsim.check(design, assume=["no-migration"]).verdict == "violated"


def test_one_of_the_five_needs_a_32_bit_host():
    five = ("lazy-long-mode", "load-gs-index", "dedicated-accessors", Careless, CarelessWrite)
    safe = [design for design in five if vmxsim.check(design, host="64-bit").verdict == "safe"]
    assert safe == ["load-gs-index"]


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_the_careless_write_takes_one_move_more_than_the_read(host):
    """04b, section 3: it is seen only once user space or another task runs."""
    assert Game(CarelessWrite, host=host).par == Game(Careless, host=host).par + 1


@pytest.mark.parametrize("last", ["signal", "exit"])
def test_a_signal_shows_the_careless_write_everywhere_and_an_exit_on_a_32_bit_host(last):
    tick = {"before": "wrmsr", "in": "vmx_write_guest_kernel_gs_base"}
    write = {"emulate wrmsr 0xA000": {"preempt": tick} | ({"signal": True} if last == "signal" else {})}
    steps = ["run", write] + (["exit"] if last == "exit" else [])
    wide, narrow = (vmxsim.run(steps, CarelessWrite, host=host).violations for host in ("64-bit", "32-bit"))
    assert narrow
    assert bool(wide) == (last == "signal")


def test_a_tick_during_enter_gives_the_entry_up():
    """What the question about it says is what the run with the tick does."""
    plain = vmxsim.run(["run"], "never-trap", long_mode=True)
    at = next(s.index + 1 for s in plain.steps if "wrmsr(MSR_KERNEL_GS_BASE" in s.source)
    asked = vmxsim.predict(plain, "preempt", step=at).gates[0]["options"]
    said = next(option["text"] for option in asked if option["right"])
    ticked = vmxsim.run(["run"], "never-trap", long_mode=True, ticks=[(at, 1)])
    out = next(s.index for s in ticked.steps if s.function == "preempt_schedule_irq")
    before = ticked.steps[out - 1]
    assert said == f"after line {before.line} of {before.function}, “{before.source}”"


def test_preempt_disable_nests():
    class Nested(NeverTrap):
        def vmx_get_msr(self, vmx):
            preempt_disable()
            data = self.vmx_read_guest_kernel_gs_base(vmx)
            preempt_enable()
            return data

    plain = vmxsim.run(["run", "emulate rdmsr"], Nested, long_mode=True)
    at = next(s.index + 1 for s in plain.steps if s.action == 1 and "= rdmsr(MSR_KERNEL" in s.source)
    options = vmxsim.predict(plain, "preempt", step=at).gates[0]["options"]
    inner = next(o for o in options if "vmx_read_guest_kernel_gs_base" in o["text"])
    right = next(o for o in options if o["right"])
    assert "nests" in inner["reason"]
    assert "vmx_get_msr" in right["text"]
