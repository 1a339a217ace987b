"""Preemption: where it is possible, where it waits, and who runs instead."""

import pytest

from vmxsim.errors import InputError
from vmxsim.simulation.run import run


def notes(trace):
    return [note for step in trace.steps for note in step.notes]


def switches(trace, action):
    return [a for a in trace.results[action]["accesses"] if a[0] == "ctxsw"]


def test_a_tick_where_preemption_is_disabled_waits_for_preempt_enable():
    point = {"before": "rdmsr", "in": "vmx_read_guest_kernel_gs_base", "cpu": 1}
    trace = run(
        ["run", "guest wrmsr 0xA000", {"guest long-mode off": {"preempt": point}}, "exit", "get-msr"],
        "dedicated-accessors",
        long_mode=True,
    )
    assert any("only with preemption disabled" in note for note in notes(trace))
    assert any("pending" in note for note in notes(trace))
    kinds = [(kind, cpu) for kind, cpu, _ in trace.results[2]["accesses"]]
    # the read comes first, then the deferred switch: leave on CPU 0, and on to CPU 1
    assert kinds[:5] == [("rdmsr", 0), ("rdmsr", 0), ("wrmsr", 0), ("ctxsw", 0), ("ctxsw", 1)]
    assert trace.results[-1]["returned"] == "0xa000" and not trace.violations


def test_a_point_in_preemptible_code_is_preempted_at_once():
    trace = run(
        ["run", {"guest long-mode on": {"preempt": {"before": "line 2", "in": "vmx_set_cr0", "cpu": 1}}}],
        "dedicated-accessors",
    )
    assert trace.results[1]["cpu"] == 1 and switches(trace, 1)
    assert not notes(trace)
    assert not trace.violations, "preempted before LMA was set, enter loads the guest's value on CPU 1"


def test_the_same_tick_after_lma_is_set_saves_the_seed_patch_too():
    """Any leave between setting LMA and the entry hides the bug: that is why it was timing-dependent."""
    trace = run(
        ["run", {"guest long-mode on": {"preempt": {"before": "vmcs_write", "in": "vmx_set_cr0"}}}],
        "dedicated-accessors",
    )
    first = next(s for s in trace.steps if s.function == "preempt_schedule_irq")
    assert first.action == 1
    assert trace.results[1]["guest_saved"] == "0x7f0000001000", (
        "leave believed LMA and saved the host's value"
    )
    assert trace.violations


def test_a_point_that_is_not_reached_is_said_and_the_tick_stays_pending():
    trace = run(
        ["run", {"guest rdmsr": {"preempt": {"before": "load_gs_index", "cpu": 1}}}, "emulate rdmsr"],
        "never-trap",
    )
    assert any("not reached" in note for note in notes(trace))
    assert not switches(trace, 1)
    assert trace.results[2]["cpu"] == 1 and switches(trace, 2), "it takes effect at the next preempt_enable()"


def test_old_and_new_names_of_enter_and_leave_mean_the_same_point():
    for design in ("host-always", "never-trap"):
        for name in ("vmx_save_host_state", "vmx_prepare_switch_to_guest"):
            trace = run([{"run": {"preempt": {"before": "line 2", "in": name, "cpu": 1}}}], design)
            assert trace.results[0]["cpu"] == 1, (design, name)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"before": "line 99", "in": "vmx_set_cr0"}, "no step starts on line 99"),
        ({"before": "rdmsr", "in": "vmx_read_guest_kernel_gs"}, "vmx_read_guest_kernel_gs_base"),
        ({"before": "rdmsr", "cpu": 7}, "no CPU 7"),
    ],
)
def test_a_point_that_cannot_exist_is_an_error(point, message):
    with pytest.raises(InputError, match=message):
        run(["run", {"exit": {"preempt": point}}], "dedicated-accessors")


def test_being_scheduled_in_does_not_load_guest_state():
    trace = run(["run", "preempt cpu1"], "never-trap", long_mode=True)
    after_switch = next(i for i, s in enumerate(trace.steps) if s.function == "__switch_to")
    enter = next(
        i
        for i, s in enumerate(trace.steps)
        if i > after_switch and s.function == "vmx_prepare_switch_to_guest"
    )
    loaded = [dict(trace.scene(i).boxes[2].facts)["loaded_cpu_state"] for i in (after_switch, enter)]
    assert loaded == ["0", "0"]
    assert trace.results[-1]["loaded"]


def test_a_thread_switched_in_where_another_vcpu_runs_switches_that_one_out_first():
    trace = run(
        [
            {"vcpu0": "run"},
            {"vcpu1": "run"},
            {"vcpu1": "guest wrmsr 0xB000"},
            {"vcpu0": "preempt cpu1"},
            {"vcpu1": "guest rdmsr"},
        ],
        "never-trap",
        vcpus=2,
        long_mode=True,
    )
    after = trace.results[3]
    assert after["cpu"] == [1, 1] and after["in_guest"] == [True, False]
    assert after["guest_saved"][1] == "0xb000", "its notifier saved the guest's value"
    assert after["loaded"] == [True, False]
    assert trace.results[4]["returned"] == "0xb000", "it comes back by itself when it is to act"
    assert trace.results[4]["in_guest"] == [False, True]
    assert not trace.violations


def test_with_one_cpu_the_second_vcpus_thread_waits_for_its_turn():
    trace = run([{"vcpu1": "set-msr 0xB000"}, {"vcpu0": "get-msr"}], "vcpu-vt", vcpus=2, cpus=1)
    assert [r["registers"] for r in trace.results] == [["0x7f0000003000"], ["0x7f0000001000"]]


def test_a_tick_during_vm_entry_is_a_vm_exit():
    """Interrupts are off between the last check of need_resched() and VM entry."""
    plain = run(["run"], "never-trap")
    check = next(s.index for s in plain.steps if s.source.startswith("if signal_pending()"))
    trace = run(["run"], "never-trap", ticks=[(check + 1, 1)])
    assert trace.results[0]["cpu"] == 1 and trace.results[0]["in_guest"]
    assert any("interrupts are off" in note for note in notes(trace))


def test_fewer_points_than_nth_are_said_and_the_tick_stays_pending():
    """It takes effect at the first preempt_enable(), the one after the VM exit: LMA is still set."""
    point = {"before": "vmcs_write", "in": "vmx_set_cr0", "nth": 3, "cpu": 1}
    steps = ["run", "guest wrmsr 0xA000", {"guest long-mode off": {"preempt": point}}, "guest rdmsr"]
    trace = run(steps, "lazy-long-mode", long_mode=True)
    assert any("reached only 2 times" in note for note in notes(trace))
    assert [access[0] for access in trace.results[2]["accesses"]][:4] == ["rdmsr", "wrmsr", "ctxsw", "ctxsw"]
    assert trace.results[3]["returned"] == "0xa000"
    assert not trace.violations


def test_a_line_without_a_function_is_a_line_of_any_function_of_the_path():
    trace = run([{"get-msr": {"preempt": {"before": "line 2", "cpu": 1}}}], "never-trap")
    assert trace.results[0]["cpu"] == 1


@pytest.mark.parametrize("before", ["preempt_disable", "rdmsr"])
def test_a_tick_during_a_switch_does_not_change_where_the_thread_goes(before):
    steps = ["run", {"preempt cpu1": {"preempt": {"before": before, "in": None, "cpu": 0}}}]
    trace = run(steps, "never-trap")
    assert ("ctxsw", 1) in [(kind, cpu) for kind, cpu, _ in trace.results[1]["accesses"]]


def test_long_mode_in_smm_needs_efer_lme_first_and_says_so():
    trace = run(["run", "guest smi", "guest long-mode on"], "never-trap", long_mode=True)
    assert any("EFER.LME has been 0" in note for note in notes(trace))
    assert trace.results[-1]["long_mode"]
