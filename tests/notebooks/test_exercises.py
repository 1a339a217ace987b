"""The notebooks' exercises come out as their text promises."""

import pytest

import vmxsim
from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.designs import DedicatedAccessors, NeverTrap
from vmxsim.kernel.language import *


class LoadsOnEntry(DedicatedAccessors):
    """02b, Make, and 03: the patch repaired without giving up its condition, as one would write it."""

    def vmx_set_efer(self, vmx, efer):
        entering = efer & EFER_LMA and not is_long_mode(vmx)
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)
        if entering:
            preempt_disable()
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            preempt_enable()


class SetsTogether(LoadsOnEntry):
    """03b, Make: one line moved, so that EFER and the register change together."""

    def vmx_set_efer(self, vmx, efer):
        entering = efer & EFER_LMA and not is_long_mode(vmx)
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        self.setup_msrs(vmx)
        if entering:
            preempt_disable()
            vmx.efer = efer
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            preempt_enable()
        vmx.efer = efer


class OneSection(DedicatedAccessors):
    """03b, Make, as the folded answer has it."""

    def vmx_set_efer(self, vmx, efer):
        entering = efer & EFER_LMA and not is_long_mode(vmx)
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        preempt_disable()
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)
        if entering:
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        preempt_enable()


class LoadsBefore(DedicatedAccessors):
    """02b, Make, and 03b, section 1: the register is loaded before EFER is stored."""

    def vmx_set_efer(self, vmx, efer):
        entering = efer & EFER_LMA and not is_long_mode(vmx)
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        if entering:
            preempt_disable()
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            preempt_enable()
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)


class Bare(NeverTrap):
    """01b, Modify, as it is given: enter and leave, for a 64-bit host."""

    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        save_fsgs_for_kvm()
        vmx.msr_host_kernel_gs_base = current.thread.gsbase
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)

    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class NeverSet(Bare):
    """01b, Modify: enter without the line that sets L."""

    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        save_fsgs_for_kvm()
        vmx.msr_host_kernel_gs_base = current.thread.gsbase
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


class NeverCleared(Bare):
    """01b, Modify: leave without the line that clears L."""

    def vmx_prepare_switch_to_host(self, vmx):
        if not vmx.loaded_cpu_state:
            return
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class NeverTested(Bare):
    """01b, Modify: leave without the test of L."""

    def vmx_prepare_switch_to_host(self, vmx):
        vmx.loaded_cpu_state = False
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


class CarelessWrite(NeverTrap):
    """04, section 3: the write without its preempt_disable()."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        vmx.msr_guest_kernel_gs_base = data


class NeverSwitched(NeverTrap):
    """01b, Make: the register stays the host's, every guest access exits."""

    interception = "always"

    def vmx_prepare_switch_to_guest(self, vmx):
        return

    def vmx_prepare_switch_to_host(self, vmx):
        return


def broken(trace):
    return {violation.invariant for violation in trace.violations}


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_the_patch_can_be_repaired_in_set_efer(host):
    fourth = ["run", "guest long-mode on", "guest rdmsr -> 0x0"]
    reported = ["set-msr 0xA000", "run", "guest smi", "exit", "run", "guest rsm", "guest rdmsr -> 0xA000"]
    assert not broken(vmxsim.run(fourth, LoadsOnEntry, host=host))
    assert not broken(vmxsim.run(reported, LoadsOnEntry, long_mode=True, host=host))


def test_a_tick_before_efer_is_stored_makes_the_shortest_schedule_come_out_right():
    """03, section 2."""
    seed = vmxsim.check("dedicated-accessors")
    assert seed.scenario.steps == ("run", "guest long-mode on")
    ticked = ["run", {"guest long-mode on": {"preempt": {"before": "line 4", "in": "vmx_set_efer"}}}]
    assert not broken(vmxsim.run(ticked, "dedicated-accessors"))


def test_one_assumption_alone_makes_the_patch_safe():
    """03, section 3."""
    safe = [n for n in ASSUMPTIONS if vmxsim.check("dedicated-accessors", assume=[n]).verdict == "safe"]
    assert safe == ["no-long-mode-entry"]


def test_the_obvious_repair_is_refuted_by_a_tick():
    result = vmxsim.check(LoadsOnEntry)
    assert result.verdict == "violated"
    (run, entering) = result.scenario.steps
    assert run == "run"
    assert entering["guest long-mode on"]["preempt"]["in"] == "vmx_set_efer"


@pytest.mark.parametrize("design", [SetsTogether, OneSection])
def test_efer_and_the_register_must_change_together(design):
    assert vmxsim.check(design).verdict == "safe"


def test_a_repair_is_safe_too_if_it_loads_the_register_before_it_stores_efer():
    """A tick in between makes the next enter load."""
    assert vmxsim.check(LoadsBefore).verdict == "safe"
    ticked = {"guest long-mode on": {"preempt": {"before": "line 10", "in": "vmx_set_efer"}}}
    trace = vmxsim.run(["set-msr 0xA000", "run", ticked], LoadsBefore)
    assert trace.results[-1]["registers"][0] == "0xa000"


def test_a_value_written_outside_long_mode_never_reaches_the_register():
    """02b, Modify: it waits in g, and the next leave overwrites it."""
    actions = ["run", "guest wrmsr 0xA000", "guest long-mode on", "guest rdmsr", "exit"]
    trace = vmxsim.run(actions, "dedicated-accessors")
    assert trace.results[3]["returned"] != "0xa000"
    assert [trace.results[action]["guest_saved"] == "0xa000" for action in (3, 4)] == [True, False]


@pytest.mark.parametrize(
    ("design", "harmed", "first"),
    [
        (Bare, set(), None),
        (NeverSet, {"host-value", "no-leak"}, "exit"),
        (NeverCleared, {"guest-value", "no-leak"}, "run"),
        (NeverTested, {"guest-value", "host-value", "no-leak"}, "set-msr 0xA000"),
    ],
)
def test_each_of_the_lines_that_keep_the_flag_protects_somebody_else(design, harmed, first):
    twice = ["set-msr 0xA000", "run", "exit", "run", "guest rdmsr", "exit", "get-msr"]
    trace = vmxsim.run(twice, design, long_mode=True)
    assert broken(trace) == harmed
    assert [trace.actions[v.action] for v in trace.violations[:1]] == ([first] if first else [])


@pytest.mark.parametrize(("host", "harmed"), [("64-bit", set()), ("32-bit", {"host-value", "no-leak"})])
def test_a_careless_write_shows_where_enter_reads_the_register(host, harmed):
    tick = {"before": "wrmsr", "in": "vmx_write_guest_kernel_gs_base", "cpu": 1}
    actions = ["run", {"emulate wrmsr 0xB000": {"preempt": tick}}, "exit"]
    assert broken(vmxsim.run(actions, CarelessWrite, long_mode=True, host=host)) == harmed
    assert not broken(vmxsim.run(actions, "never-trap", long_mode=True, host=host))


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_after_a_signal_the_careless_write_shows_on_both_hosts(host):
    tick = {"before": "wrmsr", "in": "vmx_write_guest_kernel_gs_base", "cpu": 1}
    actions = ["run", {"emulate wrmsr 0xB000": {"preempt": tick, "signal": True}}]
    assert broken(vmxsim.run(actions, CarelessWrite, long_mode=True, host=host)) == {"host-value", "no-leak"}
    assert not broken(vmxsim.run(actions, "never-trap", long_mode=True, host=host))


def test_why_tells_of_every_tick_and_signal_in_a_schedule():
    """03b, section 2: what the reader is asked about stands in the schedule."""
    (wide,) = vmxsim.check(CarelessWrite, host="64-bit").hosts
    (narrow,) = vmxsim.check(CarelessWrite, host="32-bit").hosts
    assert wide.counterexample.schedule.count("tick before") == 2
    assert narrow.counterexample.schedule == (
        "run; emulate wrmsr 0xA000 (tick before wrmsr in vmx_write_guest_kernel_gs_base, then a signal)"
    )


def test_interception_alone_forgets_swapgs():
    ordinary = [
        "set-msr 0xA000",
        "run",
        "guest rdmsr -> 0xA000",
        "guest wrmsr 0xB000",
        "preempt cpu1",
        "exit",
    ]
    assert not broken(vmxsim.run(ordinary, NeverSwitched, long_mode=True))
    swapped = ["set-msr 0xA000", "run", "guest swapgs", "exit"]
    assert "host-value" in broken(vmxsim.run(swapped, NeverSwitched, long_mode=True))
