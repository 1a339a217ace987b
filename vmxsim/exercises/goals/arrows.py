"""Goal: on a given schedule everything returns what the schedule's arrows say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, field, frozen

from vmxsim.errors import InputError
from vmxsim.exercises.answer import Answer
from vmxsim.exercises.goals.goal import Judgement
from vmxsim.scenario import Scenario, make_scenario
from vmxsim.simulation import run


def _scenario(given: Scenario | str | Sequence[Any]) -> Scenario:
    scenario = make_scenario(given)
    if not any(action.expected is not None for action in scenario.actions):
        raise InputError("no action has an arrow, such as 'guest rdmsr -> 0xA000'", "scenario")
    return evolve(scenario, design=None, design_line=0)


@frozen
class ArrowsMet:
    """The learner's design gives what the arrows of ``scenario`` (a Scenario, YAML text or a
    list of actions) expect. ``name`` says in a few words what the schedule is."""

    scenario: Scenario = field(converter=_scenario)
    name: str = ""

    @property
    def words(self) -> str:
        """For the checklist."""
        name = self.name or self.scenario.title or ", ".join(a.text for a in self.scenario.actions)
        return f"On this schedule everybody reads what was expected: {name}"

    def judge(self, answer: Answer) -> Judgement:
        """Run the schedule."""
        title = self.name or self.scenario.title or "The schedule of the goal"
        trace = run(self.scenario, answer.design, title=title)
        unmet = [v.words for v in trace.violations if v.invariant == "expectation"]
        if unmet:
            return Judgement(False, "; ".join(unmet), trace, telling=True)
        return Judgement(True, "every arrow is met", trace)
