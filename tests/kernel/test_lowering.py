"""The kernel language: ordinary Python, one statement a step, and clear refusals."""

import linecache

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
        ("with x:\n    pass", 3, "preempt_disable"),
        ("a, b = vmx.smm", 3, "one by one"),
        ("a, b = 1, 2, 3", 3, "one by one"),
        ("a, *b = 1, 2", 3, "as many variables"),
        ("a = b = 1", 3, "cannot use 'a = b = 1'"),
        ("for i in (1, vmx.efer):\n    vmx.efer = i", 3, "must be a constant"),
        ("for i in (1, 2):\n    i = 3", 4, "the variable of a for loop"),
        ("for i in (1, 2):\n    pass\nelse:\n    pass", 3, "while loop"),
        ("x = self.vmx_get_msr(vmx) if vmx.smm else 0", 3, "a statement by itself"),
        ("x = helper(vmx) + 1", 3, "unknown primitive 'helper'"),
        ("vmx.efer |= self.vmx_get_msr(vmx)", 3, "a statement by itself"),
        ("vmx.dirty = True", 3, "no field 'dirty'; the fields of a vCPU are id, g, h,"),
        ("vmx.msr_guest_kernel_gs_bse = 0", 3, "loaded_cpu_state"),
        ("x = current.gs", 3, "the fields of current are"),
        ("x = this_cpu_read('n')", 3, "a CPU has no field 'n': declare it in cpu_fields"),
        ("this_cpu_write('n', 1)", 3, "a CPU has no field 'n': declare it in cpu_fields"),
        ("this_cpu_write('n')", 3, "takes 2 arguments"),
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


def efer_after(body):
    """What a function of this body leaves in smram_efer, run as kernel code and as Python."""

    class Names:
        smram_efer, smm, efer, smram_cr0 = 0, True, 0x500, 7

    plain = Names()
    exec(body, dict(HELPERS), {"vmx": plain})
    made = {"NeverTrap": NeverTrap, **HELPERS}
    lines = ["class Mine(NeverTrap):", "    def vmx_get_msr(self, vmx):"]
    lines += ["        vmx.smm, vmx.efer, vmx.smram_cr0 = True, 0x500, 7"]
    lines += [f"        {line}" for line in body.splitlines()] + [
        "        return vmx.msr_guest_kernel_gs_base"
    ]
    source = "\n".join(lines) + "\n"
    name = f"<body {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), made)
    trace = run(["get-msr"], made["Mine"], long_mode=True)
    return trace.simulator.m.vcpus[0].smram_efer, plain.smram_efer


def twice(x):
    return x + x


def four_times(x):
    y = twice(x)
    return twice(y)


HELPERS = {"twice": twice, "four_times": four_times}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("vmx.smram_efer |= 4\nvmx.smram_efer |= 3", 7),
        ("vmx.smram_efer += 9\nvmx.smram_efer &= 12", 8),
        ("x = 1\nx <<= 5\nx ^= 1\nx -= 3\nx >>= 1\nvmx.smram_efer = x", 15),
        ("a, b = 1, 2\na, b = b, a\nvmx.smram_efer = (a << 4) + b", 0x21),
        ("vmx.smram_efer, vmx.smram_cr0 = vmx.smram_cr0, 5\nvmx.smram_efer += vmx.smram_cr0", 12),
        ("a, b, c = 1, 2, 3\nb, c, a = a, b, c\nvmx.smram_efer = (a << 8) | (b << 4) | c", 0x312),
        ("vmx.smram_efer = 5 if vmx.smm and vmx.efer & 0x400 else 6", 5),
        ("vmx.smram_efer = 5 if not vmx.smm else 7 if vmx.efer & 1 else 8", 8),
        ("for n in (1, 2, 4):\n    if vmx.efer & (n << 8):\n        vmx.smram_efer |= n", 5),
        ("for n in (1, 2):\n    for k in (10, 20):\n        vmx.smram_efer += n + k", 66),
        ("x = twice(4)\nvmx.smram_efer = x", 8),
        ("vmx.smram_efer = four_times(4)", 16),
        ("if twice(0):\n    vmx.smram_efer = 1\nelse:\n    vmx.smram_efer = 2", 2),
    ],
)
def test_every_construct_means_what_it_means_in_python(body, value):
    assert efer_after(body) == (value, value)


def test_a_line_that_shifts_too_far_fails_instead_of_filling_the_memory():
    class Shifts(NeverTrap):
        def vmx_get_msr(self, vmx):
            return 1 << 100000000000

    with pytest.raises(SimulationError, match="line 2: cannot execute.*a register has 64 bits"):
        run(["get-msr"], Shifts)


class Fields(NeverTrap):
    fields = {"dirty": False, "left": 3, "last": u64}
    cpu_fields = {"ran": 0, "seen": u64}

    def vmx_get_msr(self, vmx):
        vmx.left -= 1
        vmx.dirty = vmx.left & 2
        vmx.last = rdmsr(MSR_KERNEL_GS_BASE)
        this_cpu_write("ran", this_cpu_read("ran") + 1)
        this_cpu_write("seen", vmx.last)
        return super().vmx_get_msr(vmx)


class MoreFields(Fields):
    fields = {"left": 9, "more": True}


def test_fields_of_ones_own_hold_what_is_stored_in_them():
    trace = run(["get-msr", "preempt cpu1", "get-msr", "get-msr"], Fields)
    m = trace.simulator.m
    assert (m.vcpus[0].left, m.vcpus[0].dirty) == (0, False)
    assert [cpu.ran for cpu in m.cpus] == [1, 2], "the first read was on CPU 0"
    assert [cpu.seen for cpu in m.cpus] == [m.threads[0].gs_base] * 2
    changes = [(c.place, c.before, c.after) for s in trace.steps for c in s.changes]
    assert ("vcpu0.left", 3, 2) in changes and ("cpu1.ran", 1, 2) in changes
    assert ("vcpu0.dirty", False, True) in changes, "a bool makes True of 2"


def test_a_subclass_adds_to_the_fields_that_it_inherits():
    vcpu = run(["get-msr"], MoreFields).simulator.m.vcpus[0]
    assert (vcpu.left, vcpu.more, vcpu.dirty) == (8, True, False)


def test_a_field_of_ones_own_holds_no_more_than_fits():
    class Counts(Fields):
        fields = {"left": 0}

    with pytest.raises(SimulationError, match="-1 in a field that holds 0 to 255"):
        run(["get-msr"], Counts)

    class Bare(Fields):
        def vmx_get_msr(self, vmx):
            vmx.last = vmx.efer
            return vmx.last

    with pytest.raises(SimulationError, match="a bare number"):
        run(["get-msr"], Bare)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"fields": {"g": False}}, "there is a field 'g' already"),
        ({"fields": {"loaded_cpu_state": False}}, "there is a field 'loaded_cpu_state' already"),
        ({"fields": {"n": 256}}, "a number from 0 to 255, or u64"),
        ({"fields": {"n": "x"}}, "False or True"),
        ({"fields": {"a b": 1}}, "is no name for a field"),
        ({"fields": {"class": 1}}, "is no name for a field"),
        ({"fields": {"_x": 1}}, "is no name for a field"),
        ({"fields": ["n"]}, "a dictionary of fields"),
        ({"fields": {"a": u64, "b": u64}, "cpu_fields": {"c": u64}}, "at most 2 fields can be u64"),
        ({"fields": {"a": 1}, "cpu_fields": {"a": 1}}, "have the same name"),
    ],
)
def test_a_field_that_cannot_be_is_refused(attributes, says):
    with pytest.raises(InputError) as caught:
        type("Mine", (NeverTrap,), attributes)
    assert says in str(caught.value)


def test_a_field_keeps_the_type_that_it_is_inherited_with():
    with pytest.raises(InputError, match="'left' starts as 3 in Fields: keep its type"):
        type("Mine", (Fields,), {"fields": {"left": u64}})
