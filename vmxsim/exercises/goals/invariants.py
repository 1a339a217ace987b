"""Goal: no schedule breaks an invariant."""

from __future__ import annotations

from attrs import field, frozen

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.result import CheckResult
from vmxsim.checker.verdict import check
from vmxsim.errors import InputError
from vmxsim.exercises.answer import Answer
from vmxsim.exercises.fields import as_names
from vmxsim.exercises.goals.goal import Judgement, sentence, several
from vmxsim.scenario import HOSTS

#: A learner's design whose state grows without end is given up after this time, on each host.
SECONDS = 15.0


@frozen
class InvariantsHold:
    """The design is safe on every schedule, as ``vmxsim.check`` finds.

    ``host`` is ``64-bit``, ``32-bit`` or ``both``; ``assume`` names what is granted.
    """

    host: str = "both"
    assume: tuple[str, ...] = field(default=(), converter=as_names)

    def __attrs_post_init__(self) -> None:
        restriction(self.assume)
        if self.host not in (*HOSTS, "both"):
            choices = (*HOSTS, "both")
            raise InputError(f"'{self.host}' is none; choose {', '.join(choices)}", "host")

    @property
    def words(self) -> str:
        """For the checklist."""
        host = "a 64-bit or a 32-bit" if self.host == "both" else f"a {self.host}"
        granted = f", if you grant {several(self.assume)}" if self.assume else ""
        return f"No schedule breaks an invariant on {host} host{granted}"

    def judge(self, answer: Answer) -> Judgement:
        """Check every schedule, on one host after the other until one says no."""
        states = 0
        for host in HOSTS if self.host == "both" else (self.host,):
            result = check(
                answer.design, host=host, assume=self.assume, max_seconds=SECONDS, progress=lambda *_: None
            )
            if result.verdict != "safe":
                return _refuted(result)
            states += result.telling.states
        return Judgement(True, f"every schedule was explored: {states:,} states")


def _refuted(result: CheckResult) -> Judgement:
    example = result.counterexample
    if example is None:
        return Judgement(False, f"nothing could be concluded: {result.telling.cut.split(' (--')[0]}")
    if example.failure:
        words = f"the design does what the kernel must not: {example.failure}"
        return Judgement(False, words, example, telling=True)
    broken = several(name for name, how in result.telling.invariants.items() if how == "violated")
    actions = f"{example.actions} actions" if example.actions > 1 else "one action"
    return Judgement(
        False,
        f"{example.invariant} is broken by {actions} on a {result.telling.host} host"
        f" (broken in all: {broken}). Mechanism: {sentence(example.mechanism)} {sentence(example.words)}",
        example,
        telling=True,
    )
