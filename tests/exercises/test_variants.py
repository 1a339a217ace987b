"""Versions for each student: each can be solved, and the answer to one is none to another."""

from __future__ import annotations

import pytest

from tests.exercises.solutions import LABS, solution_text
from vmxsim.errors import InputError
from vmxsim.teaching.classroom.reading import read_answer
from vmxsim.teaching.exercises import EXERCISES
from vmxsim.teaching.exercises.variants import code_of, mark_of, variant_of

#: Codes of each kind: of the schedules' ticks there are two and three.
CODES = ("00000000", "fffffffe", "7c9a31d5", code_of("autumn", "Ada Lovelace"))


def solved(id_: str, code: str) -> str:
    """The reference solution, as somebody writes it who has this version."""
    text, mark, task = solution_text(id_), mark_of(code), variant_of(id_, code).task
    if EXERCISES[id_].schedule:
        text = text.replace("0xA000", mark)
        if "on CPU 0" in task:
            text = text.replace('"cpu": 1', '"cpu": 0').replace('"exit",\n    "run"', '"preempt cpu0"')
        if "scheduled out and resumes on CPU 1" in task:
            text = text.replace('"exit",\n    "run"', '"preempt cpu1"')
        return text
    lines = []
    for line in text.splitlines():
        edited = [name for name in EXERCISES[id_].edit if line.lstrip().startswith(f"def {name}(")]
        lines += [line, *(f'        vmcs_write("TAG", {mark})' for _ in edited)]
    return "\n".join(lines)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("id_", LABS)
def test_a_version_can_be_solved_and_its_start_is_no_solution(id_, code):
    exercise = variant_of(id_, code)
    grade = exercise.grade(read_answer(solved(id_, code), exercise))
    assert grade.passed, grade
    assert not exercise.grade(read_answer(exercise.source(), exercise)).passed
    assert mark_of(code) in exercise.source() and mark_of(code) in exercise.task


@pytest.mark.parametrize("id_", LABS)
def test_a_copied_answer_fits_no_other_version(id_):
    for code in CODES[1:]:
        exercise = variant_of(id_, code)
        for text in (solved(id_, CODES[0]), solution_text(id_)):
            grade = exercise.grade(read_answer(text, exercise))
            assert not grade.passed
            told = str(grade)
            assert "your version" in told or "the tag" in told or "your tag" in told


def test_a_code_comes_from_seed_and_name_and_says_neither():
    assert code_of("s", "Ada  Lovelace ") == code_of("s", "ada lovelace")
    assert len({code_of(seed, name) for seed in "st" for name in ("ada", "bob")}) == 4
    with pytest.raises(InputError, match="eight hexadecimal digits"):
        variant_of("one-tick", "ada")


def test_without_a_code_it_is_the_exercise_of_the_course():
    assert variant_of("one-tick") is EXERCISES["one-tick"]
