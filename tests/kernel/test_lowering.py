"""The kernel language: ordinary Python, one statement a step, and clear refusals."""

import pytest

from vmxsim.designs import DedicatedAccessors, NeverTrap
from vmxsim.errors import InputError, SimulationError
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run


def test_a_patch_is_a_subclass_and_is_found_by_inherited_callers():
    class NoPreemptDisable(DedicatedAccessors):
        def vmx_read_guest_kernel_gs_base(self, vmx):
            if is_long_mode(vmx):
                if vmx.host_state.loaded:
                    vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            return vmx.msr_guest_kernel_gs_base

    steps = ["run", "guest wrmsr 0xA000", {"emulate rdmsr": {"preempt": {"before": "rdmsr", "cpu": 1}}}]
    assert not run(steps, DedicatedAccessors, long_mode=True).violations
    trace = run(steps, NoPreemptDisable, long_mode=True)
    assert "guest-value" in {v.invariant for v in trace.violations}, "the RDMSR reads a host value on CPU 1"


def test_super_calls_the_function_that_is_overridden():
    class Reloads(DedicatedAccessors):
        def vmx_set_efer(self, vmx, efer):
            self.vmx_load_host_state(vmx)
            super().vmx_set_efer(vmx, efer)

    assert not run(["run", "guest long-mode on", "guest rdmsr"], Reloads).violations


def test_a_step_is_a_line_and_its_number_counts_from_def():
    trace = run(["run", "emulate rdmsr"], "dedicated-accessors", long_mode=True)
    lines = [(s.line, s.source) for s in trace.steps if s.function == "vmx_read_guest_kernel_gs_base"]
    assert lines == [
        (2, "if is_long_mode(vmx):"),
        (3, "preempt_disable()"),
        (4, "if vmx.loaded_cpu_state:"),
        (5, "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)"),
        (6, "preempt_enable()"),
        (7, "return vmx.msr_guest_kernel_gs_base"),
    ]
    listing = trace.listing("vmx_read_guest_kernel_gs_base")
    assert listing[0].startswith("def vmx_read_guest_kernel_gs_base") and listing[4].strip() == lines[3][1]


def test_while_match_and_nested_ifs_run_as_python_does():
    class Counts(NeverTrap):
        def vmx_get_msr(self, vmx):
            n = 0
            while n < 3:
                n = n + 1
            match n:
                case 2:
                    vmx.smram_efer = 2
                case 3:
                    if n == 3 and not n == 4:
                        vmx.smram_efer = 30 + n
                    else:
                        vmx.smram_efer = 1
                case _:
                    vmx.smram_efer = 0
            return self.vmx_read_guest_kernel_gs_base(vmx)

    trace = run(["get-msr"], Counts)
    assert trace.simulator.m.vcpus[0].smram_efer == 33
    assert [s.source for s in trace.steps].count("while n < 3:") == 4


def refused(body, error="InputError"):
    namespace = {"NeverTrap": NeverTrap}
    import linecache

    source = "class Mine(NeverTrap):\n    def vmx_get_msr(self, vmx):\n" + "".join(
        f"        {line}\n" for line in body.splitlines()
    )
    name = f"<cell {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    with pytest.raises(InputError) as caught:
        exec(compile(source, name, "exec"), namespace)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("for i in range(3):\n    pass", 3, "while loop"),
        ("return 1\ntry:\n    pass\nfinally:\n    pass", 4, "no exceptions"),
        ("x = [i for i in ()]", 3, "while loop"),
        ("print(vmx)", 3, "unknown primitive 'print'"),
        ("return rdmssr(MSR_KERNEL_GS_BASE)", 3, "did you mean 'rdmsr'"),
        ("return rdmsr()", 3, "rdmsr(msr) does not take 0 arguments"),
        ("return vmx.msr_guest_kernel_gs_bse", 3, "did you mean 'msr_guest_kernel_gs_base'"),
        ("return vmx.true_guest_value", 3, "no field 'true_guest_value'"),
        ("self.vmx_red(vmx)", 3, "no kernel function 'vmx_red'"),
        ("return MSR_KERNEL_GS", 3, "did you mean 'MSR_KERNEL_GS_BASE'"),
        ("return 1 + self.vmx_read_guest_kernel_gs_base(vmx)", 3, "a statement by itself"),
        ("vmx.g", 3, "does nothing"),
        ("yield vmx", 3, "every statement is a step"),
        ("return 1 if vmx.smm else 2", 3, "if and else"),
        ("with x:\n    pass", 3, "preempt_disable"),
        ("a, b = 1, 2", 3, "one at a time"),
        ("assert vmx", 3, "@requires"),
    ],
)
def test_outside_the_subset_is_refused_with_the_line_and_what_to_write(body, line, says):
    message = refused(body)
    assert f":{line}, vmx_get_msr" in message and says in message, message


def test_a_design_that_loops_forever_is_stopped_and_named():
    class Loops(NeverTrap):
        def vmx_get_msr(self, vmx):
            while True:
                preempt_disable()
                preempt_enable()

    with pytest.raises(SimulationError, match="vmx_get_msr.*loops forever"):
        run(["get-msr"], Loops)


def test_a_broken_contract_is_named():
    class NoBracket(DedicatedAccessors):
        def vmx_get_msr(self, vmx):
            self.__vmx_load_host_state(vmx)
            return vmx.msr_guest_kernel_gs_base

    with pytest.raises(
        SimulationError, match="__vmx_load_host_state.. requires preemption disabled, called by vmx_get_msr"
    ):
        run(["get-msr"], NoBracket)


def test_unbalanced_preempt_enable_is_named():
    class Unbalanced(NeverTrap):
        def vmx_get_msr(self, vmx):
            preempt_enable()
            return vmx.msr_guest_kernel_gs_base

    with pytest.raises(SimulationError, match="line 2.*without preempt_disable"):
        run(["get-msr"], Unbalanced)


def test_a_patch_of_ones_own_does_not_go_by_its_parents_name():
    class Mine(NeverTrap):
        pass

    assert (Mine.id, Mine.title, Mine.release, Mine.defect) == ("", "Mine", None, None)
    assert run(["run"], Mine).subtitle == "Mine, 64-bit host"
    assert Mine.interception == "never", "how it works is inherited"


def test_swapgs_reaches_the_register_where_rdmsr_and_wrmsr_exit():
    class NeverSwitched(NeverTrap):
        interception = "always"

        def vmx_prepare_switch_to_guest(self, vmx):
            vmx.loaded_cpu_state = True

        def vmx_prepare_switch_to_host(self, vmx):
            vmx.loaded_cpu_state = False

        def vmx_read_guest_kernel_gs_base(self, vmx):
            return vmx.msr_guest_kernel_gs_base

        def vmx_write_guest_kernel_gs_base(self, vmx, data):
            vmx.msr_guest_kernel_gs_base = data

    assert not run(["run", "guest wrmsr 0xA000", "guest rdmsr"], NeverSwitched, long_mode=True).violations
    trace = run(["run", "guest swapgs"], NeverSwitched, long_mode=True)
    assert {v.invariant for v in trace.violations} == {"guest-value", "no-leak"}


def test_a_misspelt_override_is_not_silently_ignored():
    with pytest.raises(InputError, match="did you mean 'vmx_read_guest_kernel_gs_base'"):

        class Mine(NeverTrap):
            def vmx_raed_guest_kernel_gs_base(self, vmx):
                return vmx.msr_guest_kernel_gs_base
