"""The machine's fields in words: what a change of something that is not a cell means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmxsim.errors import printable
from vmxsim.model.machine import MODE_WORDS
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Change

#: What a field is called where its own name would not say it. ``{}`` is its box.
_NAMES = {
    "current": "the task that {} runs",
    "cpu": "the CPU of {}",
    "loaded": "guest state loaded, {}",
    "need_resched": "TIF_NEED_RESCHED on {}",
    "irqs_disabled": "interrupts off on {}",
    "preempt_notifier": "preempt notifier of {}",
    "mode": "where {} is",
    "efer": "EFER of {}",
    "cr0": "CR0 of {}",
    "cr4": "CR4 of {}",
    "returned": "what the access returns, {}",
    "exit_reason": "exit reason of {}",
    "true_guest_value": "true value of the guest of {}",
    "true_gs_base": "true GS base of the guest of {}",
    "smm": "SMM of {}",
    "long_mode": "EFER.LMA of {}",
    "true": "true value of the guest of {}",
    "passed": "guest access passed through, {}",
}
_MODES = {**MODE_WORDS, "waits": "waiting"}
_HEXADECIMAL = ("efer", "cr0", "cr3", "cr4", "true")
#: What a recording may not tell: None is "not known" there, not "nothing".
_MAY_BE_UNKNOWN = ("true", "passed", "long_mode", "loaded")


def shown(place: str, value: Any) -> str:
    """A field's value as text: control registers in hexadecimal, flags as 0 and 1."""
    name = place.rpartition(".")[2]
    if value is None or value == "":
        return "not known" if name in _MAY_BE_UNKNOWN else "nothing"
    if isinstance(value, Value):
        return f"{value} ({owner_words(value.owner)})"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) and name in _HEXADECIMAL:
        return hex(value)
    if name == "mode":
        return _MODES.get(str(value), printable(value))
    if name == "current":
        return owner_words(str(value))
    return printable(value)


def subject(place: str, boxes: Mapping[str, str]) -> str:
    """What a place is called: ``TIF_NEED_RESCHED on CPU 0``; ``boxes`` names the boxes by id."""
    box, _, name = place.rpartition(".")
    return _NAMES.get(name, name + " of {}").format(boxes.get(box, box))


def field_words(change: Change, boxes: Mapping[str, str]) -> str:
    """A change as a clause; '' for what a step's own sentence says already."""
    box_id, _, name = change.place.rpartition(".")
    box, after = boxes.get(box_id, box_id), change.after
    match name:
        case "current":
            return f"{box} now runs {owner_words(str(after))}"
        case "cpu":
            return f"{box} is now on CPU {after}"
        case "loaded":
            return f"guest state of {box} is now {'loaded' if after else 'not loaded'}"
        case "need_resched":
            return f"TIF_NEED_RESCHED is {'set' if after else 'cleared'} on {box}"
        case "irqs_disabled":
            return f"interrupts are {'off' if after else 'on'} on {box}"
        case "preempt_notifier":
            return f"the preempt notifier of {box} is {'registered' if after else 'unregistered'}"
        case "mode":
            return f"{box} is now {shown(change.place, after)}"
        case "msr_data":
            return ""
        case "returned" | "exit_reason" if not after:
            return ""
        case "true_guest_value" | "true_gs_base" if isinstance(after, Value):
            what = "value" if name == "true_guest_value" else "GS base"
            return f"the true {what} of guest {box_id.removeprefix('vcpu')} is now {after}"
        case "runs":
            return f"{box} now runs {printable(after)}"
        case "thread":
            runs = f"vCPU thread {after}" if after is not None else "no vCPU thread"
            return f"{box} now runs {runs}"
        case "true":
            known = (
                f"is now {after:#x}" if isinstance(after, int) else "is no longer known: it can store unseen"
            )
            return f"the true value of guest {box_id.removeprefix('vcpu')} {known}"
        case "passed" if after is not None:
            return f"the guest's accesses are now {'passed through' if after else 'intercepted'}"
        case "exit_reason":
            return f"the exit reason is {printable(after)}"
        case "returned":
            return f"the access returns {shown(change.place, after)}"
    told = f"{subject(change.place, boxes)} is now {shown(change.place, after)}"
    return told if change.before in (None, "") else f"{told} (before: {shown(change.place, change.before)})"
