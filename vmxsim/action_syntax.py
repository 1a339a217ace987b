"""One action as text: ``guest wrmsr 0xA000``, ``get-msr -> 0xA000``, with a preemption point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from vmxsim.errors import InputError, nearest, printable
from vmxsim.kernel.actions import VERBS, Action, PreemptPoint
from vmxsim.model.primitive import PRIMITIVES
from vmxsim.model.value import U64

_ACTION = re.compile(r"^(?P<body>.*?)(?:\s*->\s*(?P<expected>.*))?$", re.S)


#: Ticks inside the kernel in one action.
MAX_POINTS = 100


def parse_action(step: Any, vcpu: int = 0) -> Action:
    """The action that a list item means: text, or a mapping with the action as key.

    Raises InputError that says what is wrong with it.
    """
    if isinstance(step, str):
        return _parse_text(step, vcpu)
    if not isinstance(step, Mapping) or len(step) != 1:
        raise InputError(
            f"an action was expected, such as 'run' or 'guest wrmsr 0xA000', not {printable(repr(step))}"
        )
    key, value = next(iter(step.items()))
    prefix = re.fullmatch(r"vcpu(\d{1,3})", str(key))
    if prefix:
        return parse_action(value, int(prefix[1]))
    action = _parse_text(str(key), vcpu)
    if value is None:
        return action
    if not isinstance(value, Mapping) or set(value) != {"preempt"}:
        raise InputError(
            f"after '{printable(key)}:' only {{preempt: ...}} was expected, not {printable(repr(value))}"
        )
    points = value["preempt"] if isinstance(value["preempt"], list) else [value["preempt"]]
    if not 1 <= len(points) <= MAX_POINTS:
        raise InputError(f"one preemption point was expected, or a list of up to {MAX_POINTS}", "preempt")
    return evolve(action, preempt=tuple(_parse_point(point) for point in points))


def _parse_text(text: str, vcpu: int) -> Action:
    match = _ACTION.match(" ".join(text.split()))
    assert match
    words = match["body"].strip()
    verb = max((v for v in VERBS if words == v or words.startswith(v + " ")), key=len, default="")
    rest = words[len(verb) :].strip()
    takes = VERBS[verb].takes if verb else ""
    if not verb or (rest and not takes):
        raise InputError(f"unknown action '{printable(words)}'{nearest(words, VERBS)}; {_vocabulary()}")
    value = cpu = None
    if takes and not rest:
        example = "0xA000" if takes == "value" else "cpu1"
        raise InputError(f"'{verb}' needs a {takes}, such as '{verb} {example}'")
    if takes == "value":
        value = _number(rest)
    elif takes == "cpu":
        found = re.fullmatch(r"cpu(\d{1,3})", rest)
        if not found:
            raise InputError(f"'{printable(rest)}' is no CPU; write cpu0, cpu1, ...")
        cpu = int(found[1])
    expected = None if match["expected"] is None else _expectation(verb, match["expected"].strip())
    return Action(verb, text, vcpu, value, cpu, expected)


def _vocabulary() -> str:
    return "the actions are " + ", ".join(
        v + {"value": " VALUE", "cpu": " cpuN"}.get(VERBS[v].takes, "") for v in VERBS
    )


def _number(text: str) -> int:
    if not re.fullmatch(r"0[xX][0-9a-fA-F_]+|[0-9][0-9_]*|-[0-9a-fA-FxX]+", text) or len(text) > 80:
        raise InputError(f"'{printable(text)}' is no number; write it as 0xA000 or 40960")
    try:
        number = int(text, 0)
    except ValueError:
        raise InputError(f"'{printable(text)}' is no number; write it as 0xA000 or 40960") from None
    if not 0 <= number <= U64:
        raise InputError(f"{printable(text)} is not a 64-bit value: 0 to {hex(U64)} was expected")
    return number


def _expectation(verb: str, text: str) -> int | str:
    if not text:
        raise InputError(
            "nothing stands behind '->' (YAML takes ' #' for a comment: put the action in quotes)"
        )
    if VERBS[verb].returns:
        return _number(text)
    refusal = {"guest wrmsr": "#GP", "emulate wrmsr": "#GP", "set-msr": "refused"}.get(verb)
    if refusal is None:
        raise InputError(f"'{verb}' returns nothing: no '->' can follow it")
    if text != refusal:
        raise InputError(f"'{printable(text)}' where '{refusal}' was expected: '{verb}' returns no value")
    return text


def _parse_point(data: Any) -> PreemptPoint:
    known = ("before", "in", "nth", "cpu")
    if not isinstance(data, Mapping):
        raise InputError("{before: ..., in: ..., nth: ..., cpu: ...} was expected", "preempt")
    for key in data:
        if key not in known:
            raise InputError(
                f"no such field; the fields are {', '.join(known)}{nearest(str(key), known)}",
                f"preempt, {printable(key)}",
            )
    before, function, nth, cpu = data.get("before"), data.get("in"), data.get("nth", 1), data.get("cpu")
    if not isinstance(before, str):
        raise InputError("a primitive such as rdmsr, or 'line N', was expected", "preempt, before")
    before = " ".join(before.split())
    line = re.fullmatch(r"line (\d{1,4})", before)
    if not line and not re.fullmatch(r"\w+", before):
        raise InputError(f"'{printable(before)}' is neither a primitive nor 'line N'", "preempt, before")
    if not line and before not in PRIMITIVES:
        raise InputError(
            f"'{before}' is no primitive of the simulator{nearest(before, PRIMITIVES)}", "preempt, before"
        )
    if function is not None and not isinstance(function, str):
        raise InputError(f"{printable(repr(function))} where a function's name was expected", "preempt, in")
    if not isinstance(nth, int) or isinstance(nth, bool) or not 1 <= nth <= 10_000:
        raise InputError(f"{printable(repr(nth))} where a whole number from 1 was expected", "preempt, nth")
    return PreemptPoint(before, function, nth, _cpu(cpu))


def _cpu(cpu: Any) -> int | None:
    if cpu is None:
        return None
    found = re.fullmatch(r"(?:cpu)?(\d{1,3})", str(cpu))
    if not found or isinstance(cpu, bool):
        raise InputError(f"{printable(repr(cpu))} where a CPU's number was expected", "preempt, cpu")
    return int(found[1])
