"""What a line of code does not run: an access of the register that it passes over."""

from __future__ import annotations

import re

from vmxsim.trace import Step, Trace

_ACCESS = re.compile(r"\b(?:rdmsr|wrmsr)\(MSR_KERNEL_GS_BASE\b")
_TEST = re.compile(r"(?:if|elif|while)\b")


def passed_over(trace: Trace, step: Step) -> list[tuple[int, str]]:
    """(line, source) of the accesses of KERNEL_GS_BASE that a test or an early return passes over.

    What never runs leaves no step, yet it is often the reason: *enter* that returns at once
    because state is loaded already, *leave* that skips the register outside long mode.
    Empty for every other step, and for a recording, which has no source.
    """
    if step.next is None or not step.line:
        return []
    test, leaves = _TEST.match(step.source), step.source.startswith("return")
    if not (test or leaves):
        return []
    listing = trace.listing(step.function)
    last = step.next.line if step.next.function == step.function else len(listing) + 1
    if leaves:
        last = len(listing) + 1
    passed = range(step.line + 1, last)  # empty for a test that goes back
    return [(line, listing[line - 1].strip()) for line in passed if _ACCESS.search(listing[line - 1])]
