"""The actions of a scenario: what guest, user space and scheduler can do."""

from __future__ import annotations

from attrs import frozen


@frozen
class Verb:
    """``when``: the thread must be in ``user`` space, in the ``guest``, or in either.
    ``takes``: what the action's text ends with: a ``value``, a ``cpu``, or nothing.
    ``returns``: it hands a value to whoever asked."""

    when: str
    takes: str = ""
    returns: bool = False


VERBS: dict[str, Verb] = {
    "run": Verb("user"),
    "run cancelled": Verb("user"),
    "get-msr": Verb("user", returns=True),
    "set-msr": Verb("user", takes="value"),
    "set-efer long-mode on": Verb("user"),
    "set-efer long-mode off": Verb("user"),
    "guest rdmsr": Verb("guest", returns=True),
    "guest wrmsr": Verb("guest", takes="value"),
    "guest swapgs": Verb("guest"),
    "guest long-mode on": Verb("guest"),
    "guest long-mode off": Verb("guest"),
    "guest smi": Verb("guest"),
    "guest rsm": Verb("guest"),
    "emulate rdmsr": Verb("guest", returns=True),
    "emulate wrmsr": Verb("guest", takes="value"),
    "exit": Verb("guest"),
    "preempt": Verb("either", takes="cpu"),
}


@frozen
class PreemptPoint:
    """Where in the kernel a tick comes: before a primitive or a line, in a function (any,
    if None), the ``nth`` such point; the thread goes on on ``cpu`` (the same, if None)."""

    before: str
    function: str | None = None
    nth: int = 1
    cpu: int | None = None


@frozen
class Action:
    """One action, ready to run. ``expected`` is what the arrow states: a number, ``#GP``
    or ``refused``. ``preempt`` are the ticks inside the kernel, in order. ``text`` is how a
    reader would write it."""

    verb: str
    text: str
    vcpu: int = 0
    value: int | None = None
    cpu: int | None = None
    expected: int | str | None = None
    preempt: tuple[PreemptPoint, ...] = ()
