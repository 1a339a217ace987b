"""Counterexamples, run again: they break what they are said to break, where they are said to."""

from functools import cache

import pytest

from vmxsim.checker.check import check
from vmxsim.errors import SimulationError
from vmxsim.simulation.run import run

checked = cache(check)


def replay(design, example):
    """Run a counterexample and hold it against what the checker said of it."""
    last = len(example.scenario.actions) - 1
    assert example.actions == last + 1
    if example.failure:
        with pytest.raises(SimulationError) as failed:
            run(example.scenario, design)
        message, in_its_own_words = failed.value.message, ("loops forever", "stack overflows")
        assert failed.value.where.startswith(f"steps[{last}]")
        assert message in example.failure or example.failure.endswith(in_its_own_words)
        return
    violations = run(example.scenario, design).violations
    broken = [v.action for v in violations if v.invariant == example.invariant]
    assert broken, (example.invariant, example.scenario.steps)
    assert broken[0] == last, (example.invariant, example.scenario.steps)
    if not example.past:
        assert {v.action for v in violations} == {last}, (example.invariant, example.scenario.steps)
    assert example.words and example.mechanism
