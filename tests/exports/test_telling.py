"""Which steps tell, and what is said of them in short."""

import pytest

import vmxsim
from tests.exports.cases import VIOLATED, checked, named
from vmxsim.designs import DESIGNS
from vmxsim.ftrace.recording import EXAMPLES
from vmxsim.views.telling import effects, passed_over, telling_steps

EVERYTHING = [
    "run",
    "guest wrmsr 0xA000",
    "guest long-mode on",
    "guest rdmsr",
    "guest swapgs",
    "preempt cpu1",
    "emulate rdmsr",
    "guest smi",
    "exit",
    "run",
    "guest rsm",
    "exit",
    "get-msr",
    "set-msr 0xB000",
]


@pytest.mark.parametrize("design", DESIGNS)
def test_whatever_moves_breaks_or_switches_tells(design):
    trace = vmxsim.run(EVERYTHING, design)
    telling = set(telling_steps(trace))
    for number, step in enumerate(trace.steps, 1):
        tick = any(change.place.endswith("need_resched") for change in step.changes)
        if step.moves or step.accesses or step.violations or tick:
            assert number in telling
    assert len(telling) < len(trace.steps) / 2


@pytest.mark.parametrize(("design", "host"), VIOLATED)
def test_a_counterexample_is_told_in_few_steps(design, host):
    example = checked(design, host).counterexample
    telling = telling_steps(example.trace, {example.explanation.step + 1})
    assert example.explanation.step + 1 in telling
    assert example.trace.violations[0].step + 1 in telling
    assert len(telling) <= 20


@pytest.mark.parametrize("name", EXAMPLES)
def test_accesses_of_a_recording_tell(name):
    recording = named(name)
    telling = set(telling_steps(recording))
    assert {s.index + 1 for s in recording.steps if s.accesses or s.violations} <= telling
    assert len(telling) < len(recording.steps) / 2


def test_steps_that_only_take_turns_can_be_left_out():
    trace = checked("dedicated-accessors", "64-bit").counterexample.trace
    with_turns, without = telling_steps(trace), telling_steps(trace, turns=False)
    assert set(without) < set(with_turns)
    assert "vm_entry(vcpu)" in {trace.steps[n - 1].source for n in set(with_turns) - set(without)}


def test_what_an_early_return_and_a_test_pass_over():
    trace = vmxsim.run(["run", "guest long-mode on"], "dedicated-accessors")
    found = {}
    for step in trace.steps:
        if step.function == "vmx_save_host_state" and passed_over(trace, step):
            found[step.source] = [source for _, source in passed_over(trace, step)]
    write = "wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)"
    assert found["if is_long_mode(vmx):"] == [write]
    assert write in found["return"]
    assert "if vmx.loaded_cpu_state:" not in found, "a test that goes on into its block passes over nothing"


def test_in_long_mode_nothing_is_passed_over_by_the_test():
    trace = vmxsim.run(["run"], "dedicated-accessors", long_mode=True)
    tests = [s for s in trace.steps if s.source == "if is_long_mode(vmx):"]
    assert tests and not any(passed_over(trace, step) for step in tests)


def test_effects_are_short_clauses():
    trace = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")
    assert effects(trace, len(trace.steps)) == ["the guest reads 0x7f0000001000 (vCPU thread 0's): foreign"]
    said = [clause for number in range(1, len(trace.steps) + 1) for clause in effects(trace, number)]
    assert "EFER.LMA: 0 → 1" in said and "guest access: intercepted → passed through" in said
    assert "msr_host_kernel_gs_base = 0x7f0000001000 (vCPU thread 0's)" in said
    assert not [clause for clause in said if clause.endswith(".")]


def test_effects_name_the_vcpu_where_there_are_two():
    trace = named("crowded")
    said = [clause for number in range(1, len(trace.steps) + 1) for clause in effects(trace, number)]
    assert "EFER.LMA of vCPU 1: 0 → 1" in said
    assert any("of vCPU 1 = " in clause for clause in said)
