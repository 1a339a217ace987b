"""What an answer must do: one kind of goal a file. All goals of an exercise must be met."""

from __future__ import annotations

from vmxsim.exercises.goals.arrows import ArrowsMet
from vmxsim.exercises.goals.changes import OnlyChanged
from vmxsim.exercises.goals.costs import CostAtMost
from vmxsim.exercises.goals.goal import Goal
from vmxsim.exercises.goals.invariants import InvariantsHold
from vmxsim.exercises.goals.schedules import Breaks, Reaches

__all__ = ["ArrowsMet", "Breaks", "CostAtMost", "Goal", "InvariantsHold", "OnlyChanged", "Reaches"]
