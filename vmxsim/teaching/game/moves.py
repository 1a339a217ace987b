"""What can be done at a position, and why not what cannot: every action, tick and signal, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, Restriction
from vmxsim.checker.states import GUEST_VALUES
from vmxsim.kernel.actions import VERBS, why_impossible
from vmxsim.kernel.simulator import NEW_GS_BASE, USER_GS_BASE
from vmxsim.teaching.game.playing import SIGNAL, Play, Position, Run


@frozen
class Move:
    """``text`` is the action's, or says where a tick or a signal came (``tick``: inside an action);
    ``pending``: it came while preemption was disabled. ``step`` is the index of the run's next step."""

    text: str
    tick: bool
    pending: bool
    step: int


def moves_of(run: Run, plays: Sequence[Play]) -> tuple[Move, ...]:
    """What counts in a play: actions, ticks and signals, in order."""
    found = []
    for first, play in zip(run.first, plays, strict=True):
        found.append(Move(play.action, False, False, first))
        for offset, cpu in play.interrupts:
            at = Position(run, first + offset)
            line = f"{at.place.words}()" if at.place else "the next line"
            if cpu is None:
                found.append(Move(f"signal before {line}", True, False, first + offset))
            else:
                words = f"tick before {line}, on to CPU {cpu}"
                found.append(Move(words, True, not at.preemptible, first + offset))
    return tuple(found)


GROUPS = ("user space", "guest", "emulator", "scheduler")


@frozen
class Option:
    """``name`` is what :meth:`~vmxsim.teaching.game.game.Game.do` takes, ``label`` what to call it in its
    ``group``. ``words`` say what it does, ``why_not`` why it is not possible now, '' if it is. ``counts``: it
    is a move; else it is free."""

    name: str
    group: str
    label: str
    words: str
    why_not: str = ""
    counts: bool = True


#: By group and the words with which its actions start, each action's rest and meaning, in the order in which
#: they are offered.
_VERBS = {
    ("user space", ""): {
        "run": "KVM_RUN: from user space until the guest executes",
        "run cancelled": "KVM_RUN with a signal pending: enter, but the guest does not run",
        "get-msr": "KVM_GET_MSRS reads the guest's register",
        "set-msr": "KVM_SET_MSRS writes the guest's register",
        "set-efer long-mode": "KVM_SET_SREGS switches the guest's long mode",
    },
    ("user space", "user "): {"gs-base": "the thread's program changes its own GS base"},
    ("guest", "guest "): {
        "rdmsr": "the guest reads its register",
        "wrmsr": "the guest writes its register",
        "swapgs": "the guest exchanges its register with its GS base",
        "long-mode": "the guest flips CR0.PG",
        "smi": "an SMI comes: system-management mode, outside long mode",
        "rsm": "RSM: back from system-management mode",
    },
    ("guest", ""): {"exit": "a VM exit that user space handles: KVM_RUN returns"},
    ("emulator", "emulate "): {
        "rdmsr": "KVM's emulator runs the guest's RDMSR",
        "wrmsr": "KVM's emulator runs the guest's WRMSR",
    },
}


def options(at: Position, assumed: Restriction, cpus: int) -> tuple[Option, ...]:
    """Every action and tick, except those that would change nothing, and a signal in an action whose exit KVM
    handles."""
    signals = () if at.at_rest or not at.run.signal_steps else (_signal(at, assumed),)
    return (*_actions(at, assumed), *(_tick(at, assumed, cpu) for cpu in range(cpus)), *signals)


def _actions(at: Position, assumed: Restriction) -> Iterator[Option]:
    for (group, start), actions in _VERBS.items():
        for short, words in actions.items():
            if short == ("smi" if at.smm else "rsm"):
                continue
            if short.endswith("long-mode"):
                short += " off" if at.long_mode else " on"
            verb = f"{start}{short}"
            for value in values_of(verb, at):
                name, label = action_name(verb, value), action_name(short, value)
                yield Option(name, group, label, words, why_not(verb, value, at, assumed))


def values_of(verb: str, at: Position) -> tuple[int | None, ...]:
    """The values with which a verb is offered. A thread's program changes its GS base to the other one of
    two, and not at all where all bases are 0."""
    if verb == "user gs-base":
        other = USER_GS_BASE[0] if at.user_gs_base == NEW_GS_BASE else NEW_GS_BASE
        return (other,) if at.bases == "own" else ()
    return GUEST_VALUES if VERBS[verb].takes == "value" else (None,)


def action_name(verb: str, value: int | None) -> str:
    """An action as a scenario writes it."""
    return verb if value is None else f"{verb} 0x{value:X}"


def _tick(at: Position, assumed: Restriction, cpu: int) -> Option:
    words = f"a tick comes; the thread resumes on CPU {cpu}"
    if at.holds_back and at.mode == "kernel" and not at.scheduling:
        words += f"; it stays pending: {at.holds_back}"
    return Option(
        f"tick cpu{cpu}", "scheduler", f"tick, on to CPU {cpu}", words, why_no_tick(cpu, at, assumed)
    )


def _signal(at: Position, assumed: Restriction) -> Option:
    words = "a signal comes; KVM_RUN returns to user space once this exit is handled"
    return Option(SIGNAL, "scheduler", SIGNAL, words, why_no_signal(at, assumed))


def why_not(verb: str, value: int | None, at: Position, assumed: Restriction) -> str:
    """Why an action is not possible, '' if it is."""
    if not at.at_rest:
        return "an action is in progress: let it finish"
    for name in assumed.names:
        if verb in ASSUMPTIONS[name].verbs or (name == "one-value" and value == GUEST_VALUES[1]):
            return _granted(name)
    return why_impossible(verb, at.mode, at)


def _granted(name: str) -> str:
    return f"you granted {name}: {ASSUMPTIONS[name].words}"


def why_no_tick(cpu: int, at: Position, assumed: Restriction) -> str:
    """Why no tick can send the thread to a CPU now, '' if one can."""
    excluded = {
        "no-preemption": True,
        "no-kernel-preemption": not at.at_rest,
        "no-migration": cpu != at.cpu,
    }
    for name in excluded:
        if excluded[name] and name in assumed.names:
            return _granted(name)
    if at.at_rest:
        return ""
    if at.waits:
        return "the thread has no CPU: it has already been preempted"
    if at.scheduling:
        return "the scheduler is already running"
    if at.tick_waits:
        return "a tick is already pending"
    if at.mode != "kernel":
        return "the action continues immediately: let it run to the kernel's next line"
    return ""


def why_no_signal(at: Position, assumed: Restriction) -> str:
    """Why no signal can end KVM_RUN now, '' if one can."""
    for name in ("no-signal", "no-exit"):
        if name in assumed.names:
            return _granted(name)
    steps = at.run.signal_steps
    if at.at_rest or not steps:
        return "KVM is not handling an exit"
    step = at.shown - at.run.first[-1]
    if at.run.plays[-1].signal:
        return "a signal is already pending"
    if step < steps.start:
        return "KVM is not handling this action's exit yet"
    return "" if step in steps else "KVM has already asked whether a signal is pending"
