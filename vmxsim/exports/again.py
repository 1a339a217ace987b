"""The commands with which a reader sees it again."""

from __future__ import annotations

import os
import sys

from vmxsim.exports.naming import shipped
from vmxsim.exports.subject import Subject
from vmxsim.kernel.kvm import Kvm

#: The name under which the reader is asked to save the schedule.
FILE = "schedule.yaml"


def commands(about: Subject) -> list[tuple[str, str]]:
    """(command, what it does) pairs; each names the design that ran."""
    if about.recorded:
        return [(f"vmxsim replay {about.recorded}", "the verdict, and which designs the recording fits")]
    if about.scenario is None or about.design is None:
        return []
    own = not shipped(about.design)
    name = _own(about.design) if own else about.design.id
    found = [(f"vmxsim run {FILE} --design {name} --words", "every step in a sentence")]
    if about.example:
        asked = f"check --file {name.partition(':')[0]}" if own else f"check {name}"
        found.append((f"vmxsim {asked}{_options(about)}", "finds the schedule again"))
    return found


def _options(about: Subject) -> str:
    """The options of the check that differ from what is usual."""
    scenario = about.scenario
    assert scenario is not None
    granted = about.result.assumptions if about.result else ()
    assume = f" --assume {','.join(granted)}" if granted else ""
    sizes = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("cpus", scenario.cpus, 2),
            ("vcpus", scenario.vcpus, 1),
            ("interception", scenario.interception, "rule"),
        )
        if value != usual
    )
    extra = " --non-canonical" if about.invariant == "no-host-fault" else ""
    return f" --host {scenario.host}{assume}{sizes}{extra}"


def _own(design: type[Kvm]) -> str:
    """How the command line names a design of the reader's own; of its file only the name is told."""
    file = getattr(sys.modules.get(design.__module__), "__file__", None)
    return f"{os.path.basename(file) if file else 'FILE.py'}:{design.__name__}"
