"""Questions whose answer is typed: what value does an access read, and how many operations are there?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmxsim.errors import InputError, unknown
from vmxsim.simulation.trace import Step
from vmxsim.teaching.questions.look import step_name
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.teaching.questions.values import READING, number_options, returned_number, what_was_read
from vmxsim.views.words import sentence, several


def reads(span: Span) -> Question:
    """What value does the access read? The answer is typed. Asked of an action or of a step that reads."""
    if span.recorded:
        raise InputError(
            "'reads' asks about a run: an event of a recording tells its value itself", "predict"
        )
    if span.whole:
        number = returned_number(span)
        access, told = what_was_read(span, number)
    else:
        found = [a for a in span.last.accesses if a.kind in READING and a.value is not None]
        if not found:
            raise InputError(
                f"“{span.last.source}” does not read KERNEL_GS_BASE: ask 'reads' at an RDMSR", "predict"
            )
        number, access = found[0].value or 0, span.after
        told = f"It reads KERNEL_GS_BASE of CPU {span.last.cpu}, which holds {hex(number)}."
    options = number_options(span, number, told, typed=True)
    options.append(Option("another value", False, f"{told} No place holds the number that you typed."))
    prompt = f"{span.comes} What value does it {'return' if span.whole else 'read'}?"
    return Question(
        "reads", span.before, span.after, prompt, tuple(options), span.shown_at(access), typed="value"
    )


def _accesses(*kinds: str) -> Callable[[Step], int]:
    return lambda step: sum(access.kind in kinds for access in step.accesses)


#: What can be counted: its words, and how often a step does it.
OPERATIONS: dict[str, tuple[str, Callable[[Step], int]]] = {
    "msr": ("RDMSRs and WRMSRs of KERNEL_GS_BASE by KVM", _accesses("rdmsr", "wrmsr")),
    "rdmsr": ("RDMSRs of KERNEL_GS_BASE by KVM", _accesses("rdmsr")),
    "wrmsr": ("WRMSRs of KERNEL_GS_BASE by KVM", _accesses("wrmsr")),
    "reload": ("full reloads of host state", lambda step: step.cost.get("full_host_reload", 0)),
    "entry": ("VM entries", lambda step: step.calls.count("vm_entry")),
}
#: What a reader may have counted too: accesses of the register that are not KVM's.
_NOT_KVM = {
    "the guest's own accesses": _accesses("guest_rdmsr", "guest_wrmsr", "guest_swapgs"),
    "what the context switch loads": _accesses("ctxsw"),
}


def count(span: Span, of: Any = "msr") -> Question:
    """How many operations of a kind does an action execute? The answer is typed."""
    if not isinstance(of, str) or of not in OPERATIONS:
        raise unknown("operation", of, OPERATIONS, "of")
    if span.recorded:
        raise InputError("'count' asks about a run: a recording shows some of its operations only", "predict")
    words, times = OPERATIONS[of]
    found = [step for step in span.steps for _ in range(times(step))]
    at = several(step_name(span.trace, step.index + 1) for step in found) if found else ""
    told = sentence(f"it takes {len(found)}: {at}" if found else "it takes none")
    options = {len(found): Option(str(len(found)), True, told)}
    for name, (others, other_times) in OPERATIONS.items():
        n = sum(other_times(step) for step in span.steps)
        if name != of:
            options.setdefault(n, Option(str(n), False, f"{n} is the number of {others}. {told}"))
    for others, other_times in _NOT_KVM.items() if of in ("msr", "rdmsr", "wrmsr") else ():
        n = len(found) + sum(other_times(step) for step in span.steps)
        options.setdefault(n, Option(str(n), False, f"That includes {others}. {told}"))
    rest = Option("another number", False, told)
    prompt = f"{span.comes} How many {words} does it take?"
    telling = span.shown_at(found[0].index + 1 if found else 0)
    return Question(
        "count", span.before, span.after, prompt, (*options.values(), rest), telling, typed="number"
    )
