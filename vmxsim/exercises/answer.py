"""What a learner hands in: a design, or a schedule for a given design."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.scenario import Scenario, make_scenario


@frozen
class Answer:
    """``design`` is the learner's, or the given one that ``scenario`` is for; ``start`` is
    the design that the exercise starts from."""

    start: type[Kvm]
    design: type[Kvm]
    scenario: Scenario | None = None

    def schedule(self) -> Scenario:
        """The learner's schedule. Raises InputError where a design was handed in."""
        if self.scenario is None:
            raise InputError("this goal asks for a schedule, and the answer is a design")
        return self.scenario


def design_answer(start: type[Kvm], given: Any) -> Answer:
    """The answer that a class means. Raises InputError for what is no design."""
    write = "write 'class Mine(ex.start): ...' and hand in Mine"
    if isinstance(given, Kvm):
        raise InputError(f"hand in the class itself, not an object of it: {type(given).__name__} without ()")
    if not isinstance(given, type):
        raise InputError(
            f"a design was expected, a class, and this is of type {type(given).__name__}: {write}"
        )
    if not issubclass(given, Kvm):
        raise InputError(f"{given.__name__} is a class, but no design: {write}")
    return Answer(start, given)


def schedule_answer(start: type[Kvm], given: Any, host: str, long_mode: bool) -> Answer:
    """The answer that a list of actions, YAML text or a Scenario means.

    Where it starts is given by the exercise: ``host``, ``long_mode``, two CPUs, one vCPU.
    Raises InputError.
    """
    if isinstance(given, type):
        raise InputError(f"a schedule was expected, a list of actions, and {given.__name__} is a class")
    if isinstance(given, str):
        bare = given.lstrip().startswith("-")  # the actions alone
        given = f"steps:\n{given}\n" if bare else f"{given}\n"  # a line of text is no file name either
    try:
        scenario = make_scenario(
            given, host=host, long_mode=long_mode, cpus=2, vcpus=1, interception="rule", title="Your schedule"
        )
    except InputError as error:
        if not isinstance(given, str) or not error.message.startswith("is no scenario"):
            raise
        raise InputError(
            "`schedule` is a text; a list of actions was expected, such as"
            ' ["run", "emulate rdmsr"], or the text of a scenario with \'steps:\''
        ) from None
    return Answer(start, start, scenario)
