"""A grade as plain text, for a terminal, an assertion or a feedback file."""

from __future__ import annotations

from textwrap import fill, indent

from vmxsim.checker.result import Counterexample
from vmxsim.exercises.goals.goal import Example, phrase, sentence
from vmxsim.exercises.grade import Grade, Outcome
from vmxsim.scenariotext import scenario_yaml

_WIDTH = 100


def as_text(grade: Grade) -> str:
    """The verdict, then each goal with its sign, why, and the schedule that shows it."""
    lines = [f"{grade.headline}."]
    if grade.answer:
        lines.append(f"  Judged: {grade.answer}")
    if grade.problem:
        lines.append(_wrapped(grade.problem, "  ", "       "))
    for outcome in grade.outcomes:
        lines += _outcome(outcome)
    return "\n".join(lines)


def _outcome(outcome: Outcome) -> list[str]:
    judgement = outcome.judgement
    why = f": {sentence(judgement.why, capital=False)}" if judgement.why else "."
    if outcome.met:
        head = f"✔ Goal {outcome.number} met: {phrase(outcome.words)}."
        text = f"{head} {sentence(judgement.why)}" if judgement.why else head
    else:
        text = f"✖ Goal {outcome.number} not met (wanted: {phrase(outcome.words)}){why}"
    lines = [_wrapped(text, "  ", "       ")]
    if judgement.telling and judgement.example is not None:
        lines.append(indent(schedule_text(judgement.example).rstrip(), "         "))
    return lines


def schedule_text(example: Example) -> str:
    """The schedule of a counterexample or a run, as a scenario file has it, without its title."""
    scenario = example.scenario
    return scenario_yaml(
        {"host": scenario.host, "long_mode": scenario.long_mode, "steps": list(scenario.steps)}
    )


def example_name(example: Example) -> str:
    """What the schedule is."""
    if isinstance(example, Counterexample):
        return f"The shortest schedule that breaks {example.invariant}"
    return example.title


def _wrapped(text: str, margin: str, next_margin: str = "") -> str:
    """Text filled to a readable width, line by line."""
    return "\n".join(
        fill(
            line,
            _WIDTH,
            initial_indent=margin,
            subsequent_indent=next_margin or margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )
