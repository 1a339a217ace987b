"""Every exercise: passed by its reference solution, failed by what it starts from, with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vmxsim
from tests.exercises.solutions import LABS, cells, run_cell, solution, solution_text
from vmxsim.teaching.exercises import EXERCISES, NotPassed, OnlyChanged, find_exercise

PACKAGE = Path(vmxsim.__file__).parent
IDS = list(EXERCISES)


@pytest.mark.parametrize("id_", IDS)
def test_the_reference_solution_passes(id_):
    grade = EXERCISES[id_].grade(solution(id_))
    assert grade.passed, grade
    assert len(grade.outcomes) == len(EXERCISES[id_].goals)
    EXERCISES[id_].check(solution(id_), 1)


@pytest.mark.parametrize("id_", IDS)
def test_what_it_starts_from_fails_with_a_reason(id_):
    exercise = EXERCISES[id_]
    untouched = run_cell(exercise.source(), id_)
    grade = exercise.grade(untouched)
    assert not grade.passed
    assert all(outcome.judgement.why for outcome in grade.outcomes)
    with pytest.raises(NotPassed) as error:
        exercise.check(untouched)
    assert "✖" in str(error.value)
    assert isinstance(error.value, AssertionError)


@pytest.mark.parametrize("id_", IDS)
def test_the_design_or_schedule_itself_fails_too(id_):
    exercise = EXERCISES[id_]
    given = list(exercise.schedule) if exercise.schedule else exercise.start
    assert not exercise.grade(given).passed


@pytest.mark.parametrize("id_", IDS)
def test_it_has_hints_and_a_task(id_):
    exercise = EXERCISES[id_]
    assert len(exercise.hints) >= 3
    assert all(hint.endswith((".", "?", ")")) for hint in (*exercise.hints, exercise.task))
    assert 10 <= exercise.minutes <= 40


def test_they_rise_in_difficulty():
    grades = [exercise.difficulty for exercise in EXERCISES.values()]
    assert grades == sorted(grades)
    assert grades[0] < grades[-1]


def test_each_has_a_lab_in_the_same_order():
    assert list(LABS) == IDS
    for number, lab in enumerate(LABS.values(), 1):
        assert lab.name == f"{number}-{lab.id}"
        intro = "".join(cells(lab)[0]["source"])
        assert f"# Lab {number}: " in intro
        assert f"**{EXERCISES[lab.id].minutes} minutes.**" in intro


@pytest.mark.parametrize("id_", [i for i in IDS if not EXERCISES[i].schedule])
def test_the_tests_of_a_lab_ask_for_every_goal_and_never_without_the_first(id_):
    """The first goal of a design's exercise is that nothing else was changed."""
    assert isinstance(EXERCISES[id_].goals[0], OnlyChanged)
    asked = [
        [int(number) for number in re.findall(r"\d+", match[1])]
        for cell in cells(LABS[id_])
        if (match := re.search(r"\.check\(Mine, ([\d, ]+)\)", "".join(cell["source"])))
    ]
    assert asked and all(numbers[0] == 1 for numbers in asked)
    assert {n for numbers in asked for n in numbers} == set(range(1, len(EXERCISES[id_].goals) + 1))


@pytest.mark.parametrize("id_", IDS)
def test_no_solution_is_shown_or_kept(id_):
    """A learner who looks around in the exercise finds its start and its hints, not its end."""
    exercise = EXERCISES[id_]
    shown = "\n".join([exercise.task, *exercise.hints, *(goal.words for goal in exercise.goals)])
    lines = [line.strip() for line in solution_text(id_).splitlines()[1:-1] if line.strip()]
    text = "".join(lines[1:])
    assert text not in "".join(line.strip() for line in f"{shown}\n{exercise.source()}".splitlines())
    for path in (PACKAGE / "exercises").rglob("*.py"):
        assert text not in "".join(line.strip() for line in path.read_text("utf-8").splitlines()), path
    assert not [name for name in dir(exercise) if "solution" in name]


def test_an_unknown_one_is_told_with_the_nearest():
    with pytest.raises(vmxsim.InputError, match="did you mean 'one-tick'"):
        find_exercise("one-tik")
    with pytest.raises(vmxsim.InputError, match="expected one-tick, careful-write"):
        find_exercise("?")
