"""vmxsim: how KVM on Intel VMX keeps MSR_KERNEL_GS_BASE right, to touch and to check.

The public names, loaded when they are first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "run": "vmxsim.simulation.run",
    "Scenario": "vmxsim.simulation.scenario",
    "read_scenarios": "vmxsim.simulation.scenario",
    "check": "vmxsim.checker.check",
    "CheckResult": "vmxsim.checker.result",
    "compare": "vmxsim.widgets.explore",
    "predict": "vmxsim.widgets.predict",
    "answers": "vmxsim.widgets.predict",
    "my_progress": "vmxsim.widgets.predict",
    "quiz": "vmxsim.widgets.quiz",
    "inbox": "vmxsim.widgets.inbox",
    "present": "vmxsim.widgets.present",
    "slides": "vmxsim.widgets.slides",
    "why": "vmxsim.checker.why",
    "state_space": "vmxsim.widgets.state_space",
    "who_holds": "vmxsim.widgets.who_holds",
    "explore": "vmxsim.widgets.explore",
    "replay": "vmxsim.widgets.replay",
    "exercise": "vmxsim.widgets.exercise",
    "be_the_scheduler": "vmxsim.widgets.be_the_scheduler",
    "picture": "vmxsim.views.film",
    "cost": "vmxsim.simulation.costs",
    "DESIGNS": "vmxsim.designs",
    "find_design": "vmxsim.designs",
    "where_in_the_kernel": "vmxsim.designs.in_the_kernel",
    "from_source": "vmxsim.csource.from_source",
    "export": "vmxsim.exports.export",
    "review": "vmxsim.exports.review",
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
