"""vmxsim: how KVM on Intel VMX keeps MSR_KERNEL_GS_BASE right, to touch and to check.

The public names, loaded when they are first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "run": "vmxsim.simulation",
    "Scenario": "vmxsim.scenario",
    "read_scenarios": "vmxsim.scenario",
    "check": "vmxsim.checker.verdict",
    "CheckResult": "vmxsim.checker.result",
    "compare": "vmxsim.widgets.side_by_side",
    "predict": "vmxsim.widgets.predict_gate",
    "answers": "vmxsim.widgets.predict_gate",
    "present": "vmxsim.widgets.presentation",
    "why": "vmxsim.checker.reasons",
    "state_space": "vmxsim.widgets.statespace",
    "explore": "vmxsim.widgets.explorer",
    "replay": "vmxsim.widgets.recorded",
    "exercise": "vmxsim.widgets.exercise_form",
    "be_the_scheduler": "vmxsim.widgets.scheduler_game",
    "picture": "vmxsim.views.show",
    "cost": "vmxsim.costs",
    "DESIGNS": "vmxsim.designs",
    "find_design": "vmxsim.designs",
    "export": "vmxsim.exports.export",
    "InputError": "vmxsim.errors",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vmxsim' has no attribute '{name}'; it has {', '.join(_HOMES)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
