"""Exercises: a task, a design to start from, goals that the checker judges, hints.

An exercise of your own::

    from vmxsim.teaching.exercises import Exercise, InvariantsHold, OnlyChanged

    vmxsim.exercise(Exercise(
        id="mine", title="Mine", task="Repair leave.", start="load-gs-index",
        edit=["__vmx_load_host_state"],
        goals=[OnlyChanged("__vmx_load_host_state"), InvariantsHold()],
        hints=["Which line overwrites the register?"],
    ))
"""

from __future__ import annotations

from vmxsim.teaching.exercises.catalogue import EXERCISES, find_exercise
from vmxsim.teaching.exercises.goals import (
    ArrowsMet,
    Breaks,
    CostAtMost,
    Goal,
    InvariantsHold,
    OnlyChanged,
    Reaches,
)
from vmxsim.teaching.exercises.grade import Grade, NotPassed
from vmxsim.teaching.exercises.specification import Exercise

__all__ = [
    "EXERCISES",
    "ArrowsMet",
    "Breaks",
    "CostAtMost",
    "Exercise",
    "Goal",
    "Grade",
    "InvariantsHold",
    "NotPassed",
    "OnlyChanged",
    "Reaches",
    "find_exercise",
]
