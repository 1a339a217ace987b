"""What a kernel function needs to be true when it is called, and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from vmxsim.errors import InputError, nearest
from vmxsim.model.machine import Machine

F = TypeVar("F", bound=Callable[..., Any])

CONDITIONS: dict[str, Callable[[Machine], bool]] = {
    "preemption disabled": lambda m: m.cpu.preempt_count > 0,
    "preemption enabled": lambda m: m.cpu.preempt_count == 0,
    "vCPU loaded": lambda m: m.task.preempt_notifier,
}


def interrupt(function: F) -> F:
    """Mark a kernel function that an interrupt runs on top of whatever it interrupts."""
    function.__interrupt__ = True  # type: ignore[attr-defined]
    return function


def requires(*conditions: str) -> Callable[[F], F]:
    """State a kernel function's contract: ``preemption disabled``, ``preemption enabled``
    or ``vCPU loaded`` (between vcpu_load() and vcpu_put()). A call that breaks it stops
    the run with the broken condition by name.

    Raises InputError for a condition that does not exist.
    """
    for condition in conditions:
        if condition not in CONDITIONS:
            known = ", ".join(f"'{c}'" for c in CONDITIONS)
            raise InputError(
                f"@requires('{condition}'): no such condition; use {known}{nearest(condition, CONDITIONS)}"
            )

    def mark(function: F) -> F:
        function.__requires__ = conditions  # type: ignore[attr-defined]
        return function

    return mark
