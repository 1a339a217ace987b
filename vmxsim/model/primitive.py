"""What a step can ask of the machine: the registry of primitives.

A kernel function of the simulator may call only primitives (by bare name) and other
kernel functions (through ``self``). A primitive takes the :class:`~vmxsim.model.machine.Machine`
first; that argument is supplied when the step runs and is not written in the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

PRIMITIVES: dict[str, Callable[..., Any]] = {}
#: Primitives that only look: they may stand in conditions and leave no trace.
QUERIES: set[str] = set()
#: Primitives that only cost time: whatever they are handed, no state depends on it.
COST_ONLY: set[str] = set()


def primitive(function: F) -> F:
    """Register an instruction or kernel service that changes the machine or costs time."""
    PRIMITIVES[function.__name__] = function
    return function


def query(function: F) -> F:
    """Register a primitive that reads the machine and changes nothing."""
    QUERIES.add(function.__name__)
    return primitive(function)


def cost_only(function: F) -> F:
    """Register an instruction that costs time and has no effect on what is modelled."""
    COST_ONLY.add(function.__name__)
    return primitive(function)
