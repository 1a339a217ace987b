"""Hooks: what a design does on return to user space and around a context switch."""

import pytest

import vmxsim
from tests.checker.odd import OnReturn, OnReturnOnly
from vmxsim.designs import DESIGNS, NeverTrap
from vmxsim.designs.history import never_called, reached
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import HOOKS
from vmxsim.kernel.language import *
from vmxsim.promela import promela
from vmxsim.simulation.run import run


@pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))
def test_no_design_of_the_history_calls_them(design):
    assert not set(HOOKS) & set(reached(design))
    trace = run(["run", {"exit": {"preempt": {"before": "preempt_disable"}}}, "get-msr"], design)
    assert not set(HOOKS) & {step.function for step in trace.steps}


def test_a_hook_runs_last_before_user_space():
    trace = run(["run", "guest wrmsr 0xA000", "exit", "get-msr"], OnReturn, long_mode=True)
    assert not trace.violations
    assert trace.results[3]["returned"] == "0xa000"
    kernel = [step.function for step in trace.steps if step.function not in ("user space", "guest")]
    assert kernel[-1] == "exit_to_user_mode"
    assert "give_back" not in kernel[: kernel.index("exit_to_user_mode")], "nothing gives it back before"


def test_hooks_run_around_the_context_switch():
    trace = run(["run", "preempt cpu1", "exit"], OnReturnOnly)
    functions = [(step.function, step.source) for step in trace.steps]
    at = functions.index(("prepare_task_switch", "return"))
    assert functions[at - 1] == ("preempt_schedule_irq", "context_switch()"), "the call, on the same line"
    assert functions[at + 1] == ("preempt_schedule_irq", "context_switch()"), "the switch"
    assert "kvm_sched_out" in [name for name, _ in functions[:at]]
    names = [name for name, _ in functions[at:]]
    assert names.index("finish_task_switch") < names.index("kvm_sched_in")


def test_a_tick_may_come_in_a_hook():
    tick = {"exit": {"preempt": {"before": "preempt_disable", "in": "exit_to_user_mode", "cpu": 1}}}
    trace = run(["run", "guest wrmsr 0xA000", tick, "get-msr"], OnReturn, long_mode=True)
    gives = [s.cpu for s in trace.steps if s.function == "give_back" and "msr_host_kernel" in s.source]
    assert gives == [0], "before the switch; the hook then finds nothing to do"
    assert trace.results[3]["returned"] == "0xa000" and not trace.violations


def test_giving_back_on_return_and_before_a_switch_is_safe():
    assert vmxsim.check(OnReturn).verdict == "safe"
    assert not never_called(OnReturn)


def test_giving_back_on_return_only_loses_the_value_in_a_switch():
    result = vmxsim.check(OnReturnOnly, host="64-bit")
    # its own base, which the switch has loaded, is saved as the guest's; where all bases are 0, another task
    # finds the guest's
    assert set(result.hosts[0].counterexamples) == {"guest-value", "no-leak", "host-value"}
    assert result.hosts[0].counterexamples["host-value"].scenario.user_gs_bases == "zero"
    for name, example in result.hosts[0].counterexamples.items():
        assert name in {v.invariant for v in run(example.scenario, OnReturnOnly).violations}


def test_a_hook_must_leave_preemption_enabled():
    class Keeps(NeverTrap):
        def exit_to_user_mode(self, vcpu):
            preempt_disable()

    result = vmxsim.check(Keeps, host="64-bit")
    assert "returns to user space with preempt_count 1" in result.counterexample.words


def test_the_export_refuses_what_it_cannot_say():
    with pytest.raises(InputError, match="no exit_to_user_mode"):
        promela(OnReturn)


def test_why_judges_the_lines_of_a_hook():
    reasons = vmxsim.why(OnReturn, hosts="64-bit").reasons
    broken = {(r.mutant.function, r.mutant.source): r.breaks for r in reasons}
    assert broken["exit_to_user_mode", "self.give_back(vcpu)"] == "host-value"
    assert broken["prepare_task_switch", "self.give_back(vcpu)"] in ("guest-value", "host-value")
