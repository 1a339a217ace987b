"""The exercise's form, without a browser."""

from __future__ import annotations

import html
import re
import sys
from types import SimpleNamespace

import pytest

import vmxsim
from tests.exercises.solutions import run_cell, solution, solution_text
from vmxsim.errors import InputError
from vmxsim.teaching.exercises import EXERCISES, Breaks, InvariantsHold, NotPassed
from vmxsim.widgets.exercise import ExerciseForm, Verdict


def untouched(id_):
    return run_cell(EXERCISES[id_].source(), id_)


def test_it_shows_the_task_and_the_goals_before_any_answer():
    form = vmxsim.exercise("careful-write")
    assert "A careful write" in form.head.value
    assert form.goals.value.count("<b>open</b>") == 3
    assert form.verdict.words.value == ""
    assert form.verdict.play.layout.display == "none"
    assert repr(form).startswith("A careful write\n")
    assert repr(form.verdict) == "no answer yet"


def test_hints_come_one_by_one_and_are_said():
    form = vmxsim.exercise("careful-write")
    hints = form.exercise.hints
    assert form.hints.list.value == ""
    for number, hint in enumerate(hints, 1):
        assert form.hints.button.description == f"Show hint {number} of {len(hints)}"
        form.hints.button.click()
        assert form.hints.list.value.count("<li>") == number
        assert form.live.said == f"Hint {number} of {len(hints)}: {hint}"
    assert form.hints.button.disabled
    form.hints.more()
    assert form.hints.shown == len(hints)


def test_an_answer_that_is_handed_in_is_judged_in_both_places():
    form = vmxsim.exercise("careful-write")
    below = form.submit(untouched("careful-write"))
    assert isinstance(below, Verdict)
    for verdict in (below, form.verdict):
        assert "not passed, 1 of 3 goals met" in verdict.words.value
        assert "Goal 2 is not met" in verdict.words.value
    assert "<b>not met</b>" in form.goals.value and "<b>met</b>" in form.goals.value
    assert "Goal 1 is not met: nothing is changed yet" in form.live.said
    assert repr(below).startswith("A careful write: not passed")


def test_the_counterexample_is_played_from_where_it_goes_wrong():
    form = vmxsim.exercise("careful-write")
    verdict = form.submit(untouched("careful-write"))
    assert verdict.player is None
    verdict.play.click()
    assert verdict.message.value == ""
    assert verdict.stage.children == (verdict.player,)
    example = verdict.grade.example
    assert verdict.player.position == example.explanation.step + 1
    verdict.show(None)
    assert verdict.stage.children == ()


def test_a_solution_passes():
    form = vmxsim.exercise("careful-write")
    mine = solution("careful-write")
    form.submit(mine)
    assert "passed, 3 of 3 goals met" in form.verdict.words.value
    assert form.verdict.play.layout.display == "none", "nothing went wrong that could be played"
    form.check(mine)
    assert form.grade(mine).passed


def test_check_says_why_and_no_more():
    form = vmxsim.exercise("careful-write")
    with pytest.raises(NotPassed) as error:
        form.check(untouched("careful-write"), 1)
    (shown,) = error.value._render_traceback_()
    assert shown == str(error.value)
    assert shown.startswith("A careful write: not passed, goal 1 is not met.")


def test_the_button_takes_the_class_of_that_name_in_the_notebook(monkeypatch):
    form = vmxsim.exercise("careful-write")
    form.button.click()
    assert "there is no answer yet" in form.message.value
    monkeypatch.setattr(sys.modules["__main__"], "Mine", untouched("careful-write"), raising=False)
    form.button.click()
    assert form.message.value == ""
    assert "1 of 3 goals met" in form.verdict.words.value
    monkeypatch.setattr(sys.modules["__main__"], "Mine", solution("careful-write"))
    form.button.click()
    assert "3 of 3 goals met" in form.verdict.words.value


def test_a_schedule_is_edited_in_the_form_or_in_a_cell():
    form = vmxsim.exercise("one-tick")
    assert form.text.value == "steps:\n  - run\n  - guest wrmsr 0xA000\n  - emulate rdmsr\n"
    form.button.click()
    assert "It breaks nothing" in form.verdict.words.value
    form.submit(solution("one-tick"))
    assert "preempt: {before: preempt_disable" in form.text.value
    form.text.value = form.text.value.replace("disable, in", "disabel, in")
    form.button.click()
    assert "did you mean" in form.verdict.words.value
    form.text.value = form.text.value.replace("disabel, in", "disable, in")
    form.button.click()
    assert "passed, 2 of 2 goals met" in form.verdict.words.value
    form.verdict.play.click()
    assert form.verdict.player is not None


def test_what_is_typed_is_not_handed_in_and_can_be_copied():
    form = vmxsim.exercise("one-tick")
    assert form.verdict.note.layout.display == "none"
    place = "{before: preempt_disable, in: vmx_read_guest_kernel_gs_base}"
    form.text.value = f"- run\n- guest wrmsr 0xA000\n- emulate rdmsr: {{preempt: {place}}}"
    form.button.click()
    assert "passed, 2 of 2 goals met" in form.verdict.words.value
    assert "Not handed in yet: copy it into the cell" in html.unescape(form.verdict.note.value)
    cell = re.search("<pre[^>]*>(.*)</pre>", html.unescape(form.verdict.note.value), re.DOTALL)[1]
    assert cell.startswith("schedule = [") and "Not handed in yet" in form.live.said
    form.submit(run_cell(cell, "one-tick"))
    assert "2 of 2 goals met" in form.verdict.words.value
    assert form.verdict.note.layout.display == "none" and not form.verdict.note.value
    form.button.click()
    assert not form.verdict.note.value, "it is what was handed in"
    form.text.value = "run"
    form.button.click()
    assert "`schedule` is a text" in form.verdict.words.value and not form.verdict.note.value


@pytest.mark.parametrize("given", [3, None, int, [3], ["<b>x"], [[]], {"a": 1}, "<script>", ["run", "run"]])
def test_whatever_is_handed_in_gets_words(given):
    for id_ in ("one-tick", "careful-write"):
        form = vmxsim.exercise(id_)
        verdict = form.submit(given)
        assert "not passed" in verdict.words.value
        assert "<script>" not in verdict.words.value and "<b>x" not in verdict.words.value


def test_an_exercise_of_ones_own():
    form = vmxsim.exercise(
        title="Own", task="Prove <it>.", start="never-trap", edit=["vmx_set_efer"], goals=[InvariantsHold()]
    )
    assert isinstance(form, ExerciseForm)
    assert "Prove &lt;it&gt;." in form.head.value
    assert form.hints.layout.display == "none"
    assert form.grade(form.start).passed
    assert "class Mine(ex.start):" in form.source()
    assert vmxsim.exercise(EXERCISES["one-tick"]).exercise is EXERCISES["one-tick"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: vmxsim.exercise("carful-write"), "did you mean 'careful-write'"),
        (lambda: vmxsim.exercise(), "expected an exercise's id"),
        (lambda: vmxsim.exercise("one-tick", hints=[]), "expected an exercise's id"),
        (lambda: vmxsim.exercise(titel="x"), "titel"),
        (lambda: vmxsim.exercise(task="x", start="never-trap", goals=[Breaks("no-leak", 1)]), "edit"),
    ],
)
def test_what_is_wrong_with_the_call_is_said(call, says):
    with pytest.raises(InputError) as error:
        call()
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (solution_text("one-tick"), ""),
        (
            f"{solution_text('one-tick')}\nschedule = [step for step in schedule]",
            "an answer is read, not run",
        ),
        ("schedule = [*begun, *ended]", "define all of the answer in its own cell"),
    ],
)
def test_an_answer_that_passes_and_could_not_be_graded_says_so_at_once(monkeypatch, cell, says):
    answer = solution("one-tick")
    shell = SimpleNamespace(
        user_ns={"schedule": answer, "In": ["", cell, "ex.submit(schedule)"]}, kernel=None
    )
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    note = vmxsim.exercise("one-tick").submit(answer).note
    assert says in note.value
    assert bool(says) == ("It passes, but" in note.value) == (note.layout.display is None)
