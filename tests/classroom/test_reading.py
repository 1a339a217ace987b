"""Answers as students write them: read as they are meant, or refused with what to write instead."""

from __future__ import annotations

import re

import pytest

from tests.exercises.solutions import LABS, run_cell, solution_text
from vmxsim.errors import InputError
from vmxsim.kernel.patch import own_functions
from vmxsim.teaching.classroom.judging import Task, judge
from vmxsim.teaching.classroom.reading import read_answer
from vmxsim.teaching.exercises import EXERCISES
from vmxsim.teaching.exercises.goals import changed_functions

WRITE = solution_text("careful-write")
GIVEN = "import vmxsim\nfrom vmxsim.kernel.language import *\n\nex = vmxsim.exercise('careful-write')\n"
FIRST = "class Mine(ex.start):\n    def vmx_write_guest_kernel_gs_base(self, vmx, data):\n        return\n\n"
TICK = solution_text("one-tick")


def read(lab, text):
    return read_answer(text, EXERCISES[lab])


@pytest.mark.parametrize("id_", LABS)
def test_the_reference_solution_gets_every_point(id_):
    judged = judge(Task(id_, solution_text(id_)))
    assert not judged.refused and not judged.unanswered
    assert len(judged.goals) == len(EXERCISES[id_].goals)
    assert all(goal["met"] for goal in judged.goals), judged


@pytest.mark.parametrize("id_", LABS)
def test_what_is_read_is_what_running_the_cell_gives(id_):
    exercise, text = EXERCISES[id_], solution_text(id_)
    mine, ran = read(id_, text), run_cell(text, id_)
    if exercise.schedule:
        assert mine == ran
        return
    assert changed_functions(ran, mine) == []
    assert set(own_functions(mine)) == set(own_functions(ran))
    for name, function in own_functions(mine).items():
        assert function.source == own_functions(ran)[name].source, "line numbers are the cell's"


@pytest.mark.parametrize("id_", LABS)
@pytest.mark.parametrize("text", ["", "\n  # nothing yet\n", None])
def test_an_answer_that_is_none_is_called_so(id_, text):
    assert judge(Task(id_, EXERCISES[id_].source() if text is None else text)).unanswered


@pytest.mark.parametrize(
    "text",
    [
        GIVEN + WRITE,
        f'"""My answer."""\n# the test and the access belong together\n{WRITE}\nex.submit(Mine)\n',
        f"{WRITE}\nvmxsim.check(Mine)\nvmxsim.cost([ex.start, Mine]).only('run')\nprint(Mine)\nMine",
        WRITE.replace("Mine", "Repaired"),
        WRITE.replace("class Mine(ex.start):", "class Mine(ex.start):\n    '''Repaired.'''\n"),
        WRITE.replace("class Mine", "class First(ex.start):\n    pass\n\n\nclass Mine"),
        WRITE.replace("class Mine(ex.start)", "class Base(ex.start):\n    pass\n\n\nclass Mine(Base)"),
        FIRST + WRITE,
        WRITE.replace("(self, vmx, data)", "(self, vmx: 'Vcpu', data: int) -> None"),
        WRITE.replace(
            "            wrmsr(MSR_KERNEL_GS_BASE, data)",
            "            self.write(data)",
        ).replace(
            "\n\n### END", "\n    def write(self, data):\n        wrmsr(MSR_KERNEL_GS_BASE, data)\n### END"
        ),
        "def write(data):\n    wrmsr(MSR_KERNEL_GS_BASE, data)\n\n\n"
        + WRITE.replace("            wrmsr(MSR_KERNEL_GS_BASE, data)", "            write(data)"),
        "GS = MSR_KERNEL_GS_BASE\n" + WRITE.replace("MSR_KERNEL_GS_BASE", "GS"),
        WRITE.replace("class Mine(ex.start):\n", 'class Mine(ex.start):\n    fields = {"seen": False}\n\n'),
        WRITE.replace("class Mine(ex.start)", 'class Mine(vmxsim.exercise("careful-write").start)'),
    ],
)
def test_ways_to_write_a_class(text):
    judged = judge(Task("careful-write", text))
    assert not judged.refused and not judged.flags, judged
    assert all(goal["met"] for goal in judged.goals)


@pytest.mark.parametrize(
    "text",
    [
        TICK.replace("schedule", "steps"),
        TICK.replace("tick", "where"),
        f"{TICK}\nex.submit(schedule)",
        TICK.replace("schedule = [", "schedule: list = ["),
        TICK.replace("schedule = [", "schedule = []\nschedule += ["),
        TICK.replace('["run",', '[*["run"], ').replace("{", "{**{}, ", 1),
        TICK.replace('"run", "guest wrmsr 0xA000", ', '"run"] + ["guest wrmsr 0xA000", '),
        "schedule = '''\n- run\n- guest wrmsr 0xA000\n- emulate rdmsr: {preempt: {before: preempt_disable,"
        " in: vmx_read_guest_kernel_gs_base, cpu: 1}}\n'''",
    ],
)
def test_ways_to_write_a_schedule(text):
    judged = judge(Task("one-tick", text))
    assert not judged.refused and not judged.flags, judged
    assert all(goal["met"] for goal in judged.goals)


@pytest.mark.parametrize(
    ("lab", "text", "says"),
    [
        ("careful-write", "class A(ex.start):\n    pass\nclass B(ex.start):\n    pass", "defines A, B"),
        ("careful-write", "Mine = 3", "'Mine' is something else: write 'class Mine(ex.start): ...'"),
        ("careful-write", "x = helper", "'helper' is not defined here: define all of the"),
        ("careful-write", "class Mine(ex.start):\n    def f(self, vmx):\n        for i in range(2):\n"
         "            sldt()", "line 3 of your answer, f: kernel functions cannot use"),
        ("careful-write", "class Mine(ex.start):\n    def f(self vmx):\n        return", "line 2 of"),
        ("one-tick", "schedule = [f'guest wrmsr {0xA000:#x}']", "write the text out"),
        ("one-tick", "schedule = ['run']\nschedule.append('exit')", "with its actions as plain text"),
        ("one-tick", "a = ['run']\nb = ['exit']", "defines a, b, and not 'schedule'"),
        ("one-tick", "schedule = (", "line 1 of your answer: "),
        ("one-tick", "for i in range(2):\n    pass", "'for i in range(2):' is no part of an answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_line_and_what_to_write(lab, text, says):
    with pytest.raises(InputError, match=re.escape(says)):
        read(lab, text)


def test_a_comment_or_a_blank_line_is_no_answer():
    text = EXERCISES["careful-write"].source()
    assert judge(Task("careful-write", f"# mine\n\n{text}\n\n")).unanswered
