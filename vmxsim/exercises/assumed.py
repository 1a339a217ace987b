"""Whether a run keeps to what was granted: the checker's assumptions, for one schedule."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from vmxsim.checker.assumptions import ASSUMPTIONS, restriction
from vmxsim.checker.values import GUEST_VALUES
from vmxsim.runtrace import RunTrace

_WROTE_FIRST = "guest-wrote-first"


def not_granted(trace: RunTrace, assume: Iterable[str]) -> str:
    """What in the run an assumption excludes, in words; '' where it keeps to all of them."""
    granted = restriction(assume)
    for name in granted.names:
        found = _against(name, trace)
        if found:
            return f"{found}: that is excluded by {name} ({ASSUMPTIONS[name].words})"
    return ""


def _against(name: str, trace: RunTrace) -> str:
    scenario = trace.scenario
    for action in scenario.actions:
        if action.verb in ASSUMPTIONS[name].verbs:
            return f"'{action.text}'"
        if name == "one-value" and action.value not in (None, GUEST_VALUES[0]):
            return f"'{action.text}'"
        if name in ("no-preemption", "no-kernel-preemption") and action.preempt:
            return f"the tick inside '{action.text}'"
        if name == "no-preemption" and action.verb == "preempt":
            return f"'{action.text}'"
    if name == "no-migration":
        cpus = [0, *(result["cpu"] for result in trace.results)]
        moved = next((n for n, (a, b) in enumerate(pairwise(cpus)) if a != b), None)
        return "" if moved is None else f"'{trace.actions[moved]}' moves the thread to CPU {cpus[moved + 1]}"
    starts = {"starts-in-long-mode": True, "starts-outside-long-mode": False}
    if name in starts and scenario.long_mode != starts[name]:
        return f"the guest starts {'in' if scenario.long_mode else 'outside'} long mode"
    if name == _WROTE_FIRST:
        return _broken_before_write(trace)
    return ""


def _broken_before_write(trace: RunTrace) -> str:
    """An invariant that breaks although the guest has not written in long mode yet."""
    long_mode = trace.scenario.long_mode
    written = len(trace.actions)
    for index, (action, result) in enumerate(zip(trace.scenario.actions, trace.results, strict=True)):
        if action.verb == "guest wrmsr" and long_mode and result["returned"] is None:
            written = index
            break
        long_mode = result["long_mode"]
    early = next((v for v in trace.violations if v.invariant != "expectation" and v.action <= written), None)
    if early is None:
        return ""
    return f"'{trace.actions[early.action]}' breaks {early.invariant} before the guest wrote the register"
