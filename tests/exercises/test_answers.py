"""Answers that are wrong, odd or none at all: each is told what is wrong with it, and no traceback."""

from __future__ import annotations

import pytest

from tests.checker.failing import BreaksAContract, CountsWithoutEnd, LoopsForEver
from tests.exercises.solutions import run_cell
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.errors import InputError
from vmxsim.teaching.exercises import EXERCISES, NotPassed

WRITE = EXERCISES["careful-write"]
TICK = EXERCISES["one-tick"]
GRANTED = EXERCISES["what-was-granted"]


def write(body):
    text = "class Mine(ex.start):\n    def vmx_write_guest_kernel_gs_base(self, vmx, data):\n"
    return run_cell(text + "".join(f"        {line}\n" for line in body.splitlines()), "careful-write")


def test_preempt_disable_behind_the_test_is_refuted():
    mine = write(
        "if vmx.loaded_cpu_state:\n"
        "    preempt_disable()\n"
        "    wrmsr(MSR_KERNEL_GS_BASE, data)\n"
        "    preempt_enable()\n"
        "vmx.msr_guest_kernel_gs_base = data"
    )
    grade = WRITE.grade(mine)
    assert [outcome.met for outcome in grade.outcomes] == [True, False, True]
    assert "preempted between the test and the access" in str(grade).replace("Preempted", "preempted")
    assert "emulate wrmsr" in str(grade) and "host-value" in str(grade)
    assert grade.trace is not None and grade.trace.violations
    assert grade.headline == "A careful write: not passed, 2 of 3 goals met"
    assert "&lt;" not in grade._repr_html_() and "not met" in grade._repr_html_()


def test_preempt_enable_on_one_way_only_breaks_the_kernels_contract():
    mine = write(
        "preempt_disable()\n"
        "if vmx.loaded_cpu_state:\n    wrmsr(MSR_KERNEL_GS_BASE, data)\n    preempt_enable()\n"
        "vmx.msr_guest_kernel_gs_base = data"
    )
    grade = WRITE.grade(mine)
    assert not grade.passed
    assert "what the kernel must not" in str(grade)
    assert grade.trace is None


def test_one_goal_of_several():
    mine = write(
        "preempt_disable()\nif vmx.loaded_cpu_state:\n    wrmsr(MSR_KERNEL_GS_BASE, data)\npreempt_enable()"
    )
    WRITE.check(mine, 1)
    with pytest.raises(NotPassed, match="goal 2 is not met"):
        WRITE.check(mine, 2)
    with pytest.raises(InputError, match="no goal 9, only 1 to 3"):
        WRITE.check(mine, 9)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "of type int"),
        (None, "of type NoneType"),
        (int, "int is a class, but not a design"),
        (NeverTrap(), "the class itself"),
        (["run"], "of type list"),
        ("never-trap", "of type str"),
    ],
)
def test_what_is_no_design_is_said(given, says):
    grade = WRITE.grade(given)
    assert not grade.passed and not grade.outcomes
    assert says in grade.problem
    assert grade.headline == "A careful write: not passed"
    assert "careful" in grade._repr_html_()


@pytest.mark.parametrize(
    ("design", "says"),
    [
        (LoopsForEver, "loops forever"),
        (BreaksAContract, "preemption disabled"),
        (NeverTrap, "not a subclass of the design to start from"),
    ],
)
def test_designs_that_fail_or_are_another_ones(design, says):
    grade = WRITE.grade(design)
    assert not grade.passed
    assert says in str(grade)


def test_a_design_whose_state_grows_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("vmxsim.teaching.exercises.goals.SECONDS", 0.3)
    why = WRITE.grade(CountsWithoutEnd, 2).outcomes[0].judgement.why
    assert why == "nothing could be concluded: the limit of 0.3 seconds was reached"


def test_a_class_whose_attributes_are_nonsense():
    with pytest.raises(InputError, match="interception: expected .* not 7"):
        type("Mine", (WRITE.start,), {"interception": 7})
    with pytest.raises(InputError, match="kvm_x86_ops: 'prepare_guest_switch' is missing"):
        type("Mine", (WRITE.start,), {"kvm_x86_ops": {"set_msr": "nothing"}})
    mine = type("Mine", (WRITE.start,), {"kvm_x86_ops": {**WRITE.start.kvm_x86_ops, "set_msr": "nothing"}})
    grade = WRITE.grade(mine)
    assert not grade.passed and "no kernel function 'nothing'" in str(grade)


def test_settings_and_other_functions_may_not_be_changed():
    text = (
        "class Mine(ex.start):\n    interception = 'always'\n\n"
        "    def vmx_get_msr(self, vmx):\n        vmcs_write('A')\n        return 0\n"
    )
    why = WRITE.grade(run_cell(text, "careful-write"), 1).outcomes[0].judgement.why
    assert "vmx_get_msr()" in why and "interception" in why


def test_comments_and_new_functions_are_no_changes():
    text = (
        "class Mine(ex.start):\n    def helper(self, vmx):\n        return\n\n"
        "    def vmx_get_msr(self, vmx):\n        # as it was\n\n"
        "        return self.vmx_read_guest_kernel_gs_base(\n            vmx\n        )\n"
    )
    why = WRITE.grade(run_cell(text, "careful-write"), 1).outcomes[0].judgement.why
    assert why == "nothing is changed yet"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "not int"),
        ([], "expected a list of actions"),
        (["guest rdmrs"], "did you mean 'guest rdmsr'"),
        ("- run\n- emulate rdmrs", "scenario:3"),
        ("run", "`schedule` is a text; expected a list of actions"),
        (NeverTrap, "expected a schedule"),
        ({"run": 1}, "not dict"),
    ],
)
def test_what_is_no_schedule_is_said(given, says):
    grade = TICK.grade(given)
    assert not grade.passed
    assert says in grade.problem, grade


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["guest rdmsr"], "it cannot be judged: steps[0]: 'guest rdmsr' is not possible"),
        (["run", "exit", "run", "exit"], "4 actions; at most 3"),
        (["run", {"emulate rdmsr": {"preempt": [{"before": "rdmsr"}, {"before": "line 2"}]}}], "2 ticks"),
        (["run", {"emulate rdmsr": {"preempt": {"before": "line 2", "cpu": 1}}}], "breaks nothing"),
    ],
)
def test_schedules_that_do_not_do_it(steps, says):
    assert says in TICK.grade(steps, 2).outcomes[0].judgement.why


READ = "vmx_read_guest_kernel_gs_base"


def test_a_schedule_as_text_and_as_a_list_are_one():
    tick = {"before": "preempt_disable", "in": READ, "cpu": 1}
    steps = ["run", "guest wrmsr 0xA000", {"emulate rdmsr": {"preempt": tick}}]
    text = (
        "- run\n- guest wrmsr 0xA000\n"
        f"- emulate rdmsr: {{preempt: {{before: preempt_disable, in: {READ}, cpu: 1}}}}"
    )
    assert TICK.grade(steps).passed and TICK.grade(text).passed and TICK.grade(f"steps:\n{text}").passed


@pytest.mark.parametrize("tick", [{"cpu": 0}, {"cpu": 1}, {}])
def test_it_does_not_matter_where_the_thread_goes_on(tick):
    for before in ("preempt_disable", "line 3"):
        place = {"before": before, "in": READ, **tick}
        steps = ["run", "guest wrmsr 0xA000", {"emulate rdmsr": {"preempt": place}}]
        assert TICK.grade(steps).passed, TICK.grade(steps)


@pytest.mark.parametrize("place", [{"before": "line 2", "in": READ}, {"before": "line 3", "in": "em_rdmsr"}])
def test_a_tick_beside_the_middle_of_the_function_is_none(place):
    steps = ["run", "guest wrmsr 0xA000", {"emulate rdmsr": {"preempt": place}}]
    assert not TICK.grade(steps, 1).passed


def test_a_tick_that_waits_until_the_value_is_read_breaks_nothing():
    steps = ["run", "guest wrmsr 0xA000", {"emulate rdmsr": {"preempt": {"before": "rdmsr", "in": READ}}}]
    assert not TICK.grade(steps, 2).passed


def test_an_unmet_goal_says_what_was_wanted_and_what_is():
    text = " ".join(str(WRITE.grade(WRITE.start)).split())
    assert "✖ Goal 2 not met (wanted: no schedule breaks an invariant on" in text
    example = WRITE.grade(WRITE.start).outcomes[1].judgement.example
    assert f"host): host-value is broken by {example.actions} actions" in text
    assert "Goal 2 not met</strong> (wanted: no schedule" in WRITE.grade(WRITE.start)._repr_html_()


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["run", "guest long-mode off", "guest long-mode on"], "excluded by no-mode-switch"),
        (
            ["run", {"guest smi": {"preempt": {"before": "preempt_disable"}}}, "guest rsm"],
            "no-kernel-preemption",
        ),
        (["run", "guest smi", "exit", "run", "guest rsm"], "excluded by guest-wrote-first"),
        (["run", "guest wrmsr 0xA000", "guest smi", "guest rsm"], "breaks nothing"),
    ],
)
def test_what_is_granted_is_refused(steps, says):
    assert says in GRANTED.grade(steps, 1).outcomes[0].judgement.why
