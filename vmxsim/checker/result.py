"""What a check found, for people and programs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from attrs import field, frozen

from vmxsim.checker.explanation import Explanation, explain
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario
from vmxsim.simulation import run

SAFE, VIOLATED, INCOMPLETE = "safe", "violated", "incomplete"
HOLDS, UNKNOWN = "holds", "unknown"


@frozen(slots=False)
class Counterexample:
    """The shortest schedule found that breaks ``invariant`` on ``design``.

    ``actions`` counts the actions of ``scenario``, ``steps`` the transitions of the model
    until the invariant breaks. ``failure`` is the message where the design did what the
    kernel must not (invariant ``contract``); '' elsewhere. ``past`` says that another
    invariant is broken on the way.
    """

    design: type[Kvm] = field(repr=False)
    invariant: str
    scenario: Scenario
    actions: int
    steps: int
    failure: str = ""
    past: bool = False

    @cached_property
    def trace(self) -> RunTrace:
        """The scenario, run. Raises SimulationError where the design fails on it."""
        return run(self.scenario, self.design)

    @cached_property
    def explanation(self) -> Explanation | None:
        """Why it is wrong; None where the design fails."""
        return None if self.failure else explain(self.trace, self.invariant)

    @property
    def mechanism(self) -> str:
        """A short name of what goes wrong."""
        return self.explanation.mechanism if self.explanation else "the design does what the kernel must not"

    @property
    def words(self) -> str:
        """What was expected and found, and which step lost it."""
        return self.explanation.words if self.explanation else self.failure

    def as_data(self) -> dict[str, Any]:
        """The scenario as plain data, in the fields of a scenario file."""
        s = self.scenario
        data: dict[str, Any] = {"title": s.title}
        if s.design:
            data["design"] = s.design
        data |= {"cpus": s.cpus, "vcpus": s.vcpus, "host": s.host, "long_mode": s.long_mode}
        if s.interception != Scenario().interception:
            data["interception"] = s.interception
        return data | {"steps": list(s.steps)}


@frozen(slots=False)
class HostResult:
    """The verdict for one width of the host's user space.

    ``invariants`` says of each ``holds``, ``violated`` or ``unknown``. ``states``,
    ``transitions`` and ``depth`` (transitions from the start to the farthest state) are
    those searched; ``seconds`` how long it took. ``cut`` says why the search is incomplete,
    '' if it is not; ``ended_early``: every invariant was broken, and nothing was left to find.
    """

    host: str
    invariants: dict[str, str]
    states: int
    transitions: int
    depth: int
    seconds: float
    sometimes: dict[str, bool]
    counterexamples: dict[str, Counterexample]
    cut: str = ""
    ended_early: bool = False

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``."""
        if self.counterexamples:
            return VIOLATED
        return INCOMPLETE if self.cut else SAFE

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest of all."""
        return min(self.counterexamples.values(), key=lambda c: (c.actions, c.steps), default=None)


@frozen(slots=False)
class CheckResult:
    """What ``vmxsim.check`` found of ``design``: ``hosts``, one result for each host width,
    under ``assumptions`` (their names). Printed, it is a table and the counterexample."""

    design: type[Kvm]
    hosts: tuple[HostResult, ...]
    cpus: int
    vcpus: int
    assumptions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The design's id, or the class's name of a reader's own."""
        return self.design._name()

    @property
    def telling(self) -> HostResult:
        """The result that decides: the first violated one, else the first incomplete one."""
        for verdict in (VIOLATED, INCOMPLETE):
            for host in self.hosts:
                if host.verdict == verdict:
                    return host
        return self.hosts[0]

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``, over all host widths."""
        return self.telling.verdict

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest counterexample on the first host width that is violated."""
        return self.telling.counterexample

    @property
    def scenario(self) -> Scenario:
        """The counterexample's scenario. Raises InputError where there is none."""
        if self.counterexample is None:
            raise InputError(f"{self.name} has no counterexample: the verdict is '{self.verdict}'")
        return self.counterexample.scenario

    def __repr__(self) -> str:
        from vmxsim.checker.report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from vmxsim.checker.report import as_html

        return as_html(self)
