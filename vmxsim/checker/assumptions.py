"""Assumptions about guest, user space and scheduler that narrow what the checker explores.

An assumption forbids some transitions or excludes some initial states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from attrs import frozen

from vmxsim.checker.states import GUEST_VALUES, SECOND
from vmxsim.checker.symbolic import Choice
from vmxsim.errors import InputError, printable, unknown
from vmxsim.simulation.run import RunTrace


@frozen
class Assumption:
    """``words`` says what is assumed; ``verbs`` are the actions that it forbids."""

    words: str
    verbs: tuple[str, ...] = ()


ASSUMPTIONS: dict[str, Assumption] = {
    "no-preemption": Assumption("no tick comes: no thread is ever preempted"),
    "no-kernel-preemption": Assumption("a tick comes only while the thread is in the guest or in user space"),
    "no-migration": Assumption("a thread that was preempted resumes on the same CPU"),
    "no-exit": Assumption(
        "KVM_RUN never returns to user space once the guest has run", ("exit", "run cancelled")
    ),
    "no-cancelled-run": Assumption("no signal is pending when KVM_RUN is called", ("run cancelled",)),
    "no-signal": Assumption("no signal is pending when an exit has been handled"),
    "no-user-gs-base": Assumption("user space does not change its GS base", ("user gs-base",)),
    "no-get-msr": Assumption("user space does not read the register", ("get-msr",)),
    "no-set-msr": Assumption("user space does not set the register", ("set-msr",)),
    "no-set-efer": Assumption(
        "user space does not change EFER", ("set-efer long-mode on", "set-efer long-mode off")
    ),
    "no-mode-switch": Assumption(
        "the guest itself does not enter or leave long mode",
        ("guest long-mode on", "guest long-mode off"),
    ),
    "no-long-mode-entry": Assumption(
        "the running guest never enters long mode, neither by itself nor by RSM",
        ("guest long-mode on", "guest rsm"),
    ),
    "no-smm": Assumption("no SMI comes", ("guest smi",)),
    "no-swapgs": Assumption("the guest does not execute SWAPGS", ("guest swapgs",)),
    "no-emulation": Assumption(
        "KVM's emulator never executes RDMSR or WRMSR", ("emulate rdmsr", "emulate wrmsr")
    ),
    "one-value": Assumption("guest and user space write only 0xa000"),
    "starts-in-long-mode": Assumption("the guest starts in long mode"),
    "starts-outside-long-mode": Assumption("the guest starts outside long mode"),
    "guest-wrote-first": Assumption(
        "no invariant is broken before the guest has written a value with WRMSR in long mode"
    ),
}


@frozen
class Restriction:
    """Several assumptions combined."""

    names: tuple[str, ...] = ()

    @property
    def verbs(self) -> frozenset[str]:
        """The actions that are forbidden."""
        return frozenset().union(*(ASSUMPTIONS[name].verbs for name in self.names))

    @property
    def long_modes(self) -> tuple[bool, ...]:
        """Whether the guest may start in long mode: the values to try."""
        kept = {"starts-in-long-mode": (True,), "starts-outside-long-mode": (False,)}
        return next((modes for name, modes in kept.items() if name in self.names), (False, True))

    @property
    def moves(self) -> bool:
        """Whether a thread may resume on another CPU."""
        return not {"no-preemption", "no-migration"} & set(self.names)

    @property
    def guest_wrote_first(self) -> bool:
        """Whether a violation counts only once the guest has written."""
        return "guest-wrote-first" in self.names

    def written(self, values: tuple[int, int]) -> tuple[int, ...]:
        """Which of the two values guest and user space write."""
        return values[:1] if "one-value" in self.names else values

    def filter(self) -> Callable[[str, Choice], bool]:
        """``allows`` for :class:`~vmxsim.checker.transition_table.TransitionTable`."""
        verbs, names = self.verbs, set(self.names)
        quiet = "no-preemption" in names
        quiet_kernel = quiet or "no-kernel-preemption" in names
        one_value = "one-value" in names
        no_signal = bool(names & {"no-signal", "no-exit"})

        def allows(mode: str, choice: Choice) -> bool:
            if choice.kind == "action":
                return choice.verb not in verbs and not (one_value and choice.value == SECOND)
            if choice.kind == "out":
                return not (quiet_kernel if mode == "kernel" else quiet)
            return not (choice.pending and quiet_kernel) and not (choice.signal and no_signal)

        return allows


def restriction(names: str | Iterable[str] | None) -> Restriction:
    """The assumptions with these names; a string may hold several, separated by commas.

    None means no assumptions. Raises InputError for an unknown name, for two that exclude
    each other, or for anything that is not a list of names.
    """
    if names is not None and not isinstance(names, Iterable):
        raise InputError(f"expected names of assumptions, not {printable(repr(names))}", "assume")
    texts = [names] if isinstance(names, str) else names or ()
    words = [word for text in texts for word in str(text).split(",")]
    found = dict.fromkeys(word.strip() for word in words if word.strip())
    for name in found:
        if name not in ASSUMPTIONS:
            raise unknown("assumption", name, ASSUMPTIONS, "assume")
    if {"starts-in-long-mode", "starts-outside-long-mode"} <= set(found):
        raise InputError(
            "starts-in-long-mode and starts-outside-long-mode exclude each other: a guest cannot"
            " start both in and outside long mode",
            "assume",
        )
    return Restriction(tuple(name for name in ASSUMPTIONS if name in found))


def not_granted(trace: RunTrace, assume: Iterable[str]) -> str:
    """What in a run violates an assumption, in words; '' if the run satisfies them all."""
    for name in restriction(assume).names:
        found = _against(name, trace)
        if found:
            return f"{found}: excluded by {name} ({ASSUMPTIONS[name].words})"
    return ""


def _against(name: str, trace: RunTrace) -> str:
    scenario = trace.scenario
    for action in scenario.actions:
        if action.verb in ASSUMPTIONS[name].verbs:
            return f"'{action.text}'"
        if name == "one-value" and action.value not in (None, GUEST_VALUES[0]):
            return f"'{action.text}'"
        if name in ("no-signal", "no-exit") and action.signal:
            return f"the signal after '{action.text}'"
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
    if name == "guest-wrote-first":
        return _broken_before_write(trace)
    return ""


def _broken_before_write(trace: RunTrace) -> str:
    """An invariant that breaks before the guest has written in long mode."""
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
