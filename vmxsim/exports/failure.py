"""Where a design does what the kernel must not: the line at which its run ends."""

from __future__ import annotations

from typing import Any

from vmxsim.errors import InputError
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.system import make_machine
from vmxsim.model.machine import Task
from vmxsim.scenario import Scenario


class _Watched(Environment):
    """Remembers where the step that runs began, for a step that fails leaves no record."""

    began: Any = None

    def step(self, thread: Task) -> None:
        self.began = thread.stack
        super().step(thread)


def failing_line(scenario: Scenario, design: type[Kvm]) -> tuple[str, tuple[str, ...], int] | None:
    """(function, its lines, the line that cannot be carried out); None where the run does not fail, or no
    kernel code runs."""
    bits = int(scenario.host[:2])
    machine = make_machine(design, bits, scenario.long_mode, scenario.cpus, scenario.vcpus)
    environment = _Watched(design, machine, scenario.interception)
    try:
        for action in scenario.actions:
            environment.perform(action)
    except InputError:
        if environment.began is not None:
            function, index = environment.began[:2]
            return function.name, tuple(function.source), function.instructions[index].line
    return None
