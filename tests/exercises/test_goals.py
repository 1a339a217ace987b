"""Goals of one's own, freely combined; and what is wrong with a definition."""

from __future__ import annotations

import pytest

import vmxsim
from vmxsim.checker.assumptions import not_granted
from vmxsim.errors import InputError
from vmxsim.teaching.exercises import (
    ArrowsMet,
    Breaks,
    CostAtMost,
    Exercise,
    InvariantsHold,
    OnlyChanged,
    Reaches,
)


def own(**fields):
    given = {
        "id": "own",
        "title": "Own",
        "task": "Do it.",
        "start": "dedicated-accessors",
        "edit": ["vmx_set_efer"],
        "goals": [InvariantsHold()],
    }
    return Exercise(**(given | fields))


def test_goals_can_be_combined():
    safe = InvariantsHold(assume="no-smm, no-mode-switch", host="64-bit")
    exercise = own(goals=[safe, ArrowsMet(["run", "guest rdmsr -> 0x0"])])
    grade = exercise.grade(exercise.start)
    assert [outcome.met for outcome in grade.outcomes] == [True, True]
    assert "if you grant no-mode-switch and no-smm" in grade.outcomes[0].words


def test_an_arrow_that_is_not_met():
    exercise = own(goals=[ArrowsMet(["run", "guest long-mode on", "guest rdmsr -> 0x0"], "entering")])
    (outcome,) = exercise.grade(exercise.start).outcomes
    assert not outcome.met
    assert "expected 0x0" in outcome.judgement.why
    assert "entering" in outcome.words


def test_a_cost():
    goal = CostAtMost("emulate rdmsr", {"rdmsr_kernel_gs_base": 0, "full_host_reload": 0}, [True], ["32-bit"])
    assert goal.words == (
        "'emulate rdmsr' in long mode on a 32-bit host costs no RDMSR of KERNEL_GS_BASE"
        " and no full host reload"
    )
    exercise = own(goals=[goal])
    (outcome,) = exercise.grade(exercise.start).outcomes
    assert outcome.judgement.why.startswith("it costs 1 RDMSR of KERNEL_GS_BASE and no full host reload")
    assert exercise.grade("x").problem


def test_a_goal_about_a_schedule_asked_of_a_design():
    (outcome,) = own(goals=[Breaks("no-leak", 3)]).grade(vmxsim.find_design("never-trap")).outcomes
    assert "the answer is a design" in outcome.judgement.why


def test_a_state_that_is_reached():
    goal = Reaches("state is loaded at the end", lambda trace: trace.results[-1]["loaded"], 2)
    exercise = own(schedule=["run", "exit"], goals=[goal])
    assert exercise.grade(["run"]).passed
    assert not exercise.grade(["run", "exit"]).passed
    assert not exercise.grade(["run", "exit", "run"]).passed


def test_a_condition_that_fails_is_no_traceback():
    exercise = own(schedule=["run"], goals=[Reaches("x", lambda trace: trace.nothing, 2)])
    assert "AttributeError" in exercise.grade(["run"]).outcomes[0].judgement.why


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: own(start="never-tarp"), "did you mean 'never-trap'"),
        (lambda: own(edit=["vmx_set_eefer"]), "did you mean 'vmx_set_efer'"),
        (lambda: own(edit=[]), "name the functions to change"),
        (lambda: own(goals=[]), "needs a goal"),
        (lambda: own(goals=["safe"]), "goal 1 is not a goal"),
        (lambda: own(host="16-bit"), "expected 64-bit or 32-bit"),
        (lambda: Breaks("guest-valeu", 3), "did you mean 'guest-value'"),
        (lambda: Breaks("guest-value", 3, assume="no-sm"), "did you mean 'no-smm'"),
        (lambda: InvariantsHold(assume=["x"]), "unknown assumption 'x'"),
        (lambda: CostAtMost("emulate rdmrs", {}), "did you mean 'emulate rdmsr'"),
        (lambda: CostAtMost("run", {"rdmsr_kernel": 1}), "did you mean 'rdmsr_kernel_gs_base'"),
        (lambda: ArrowsMet(["run"]), "no action has an arrow"),
        (lambda: OnlyChanged(), "the name of a function"),
    ],
)
def test_a_definition_that_is_wrong_says_so(make, says):
    with pytest.raises(InputError) as error:
        make()
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("steps", "assume", "says"),
    [
        (["run", "preempt cpu0"], "no-preemption", "'preempt cpu0'"),
        (["run", "preempt cpu1"], "no-migration", "moves the thread to CPU 1"),
        (["run", "preempt cpu0"], "no-migration", ""),
        (["run", "preempt cpu0"], "no-kernel-preemption", ""),
        (["set-msr 0xB000"], "one-value", "'set-msr 0xB000'"),
        (["set-msr 0xA000"], "one-value", ""),
        (["run", "exit"], "no-exit", "'exit'"),
        (["run"], "starts-in-long-mode", "outside long mode"),
        (["run"], "starts-outside-long-mode", ""),
        (["run", "guest long-mode on"], "guest-wrote-first", "before the guest wrote"),
    ],
)
def test_what_an_assumption_excludes(steps, assume, says):
    found = not_granted(vmxsim.run(steps, "dedicated-accessors"), [assume])
    assert bool(found) == bool(says)
    assert says in found
