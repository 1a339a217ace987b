"""The words that a text uses, each in a line: only those that occur."""

from __future__ import annotations

import re

from vmxsim.views.style import STATUS_MEANINGS

#: What each invariant demands.
DEMANDS = {
    "guest-value": (
        "what the guest, KVM_GET_MSRS or the emulator reads is the guest's own value,"
        " and the register holds it whenever the guest runs with access passed through"
    ),
    "host-value": "a host task in user space has its own user GS base in the register",
    "no-leak": "a guest can read no value of a host task, and a host task none of a guest",
    "no-host-fault": "the host executes no WRMSR that raises #GP",
    "contract": "the design does nothing that the kernel must not",
    "expectation": "an action returns what the schedule says behind its arrow",
}

#: (pattern, word, meaning); the four worths of a place are found by the value in front of them.
_WORDS = (
    (r"\bguest \d", "guest N", "the guest of vCPU N; after a value: the value is that guest's own"),
    (
        r"\bvCPU thread \d",
        "vCPU thread N",
        "the host task that runs vCPU N; after a value: its user GS base",
    ),
    (r"\bplain task", "plain task", "a host task that runs no vCPU; after a value: its user GS base"),
    (
        r"\btrue value",
        "true value",
        "what the register would hold if the guest had a processor of its own",
    ),
    (
        r"\bpassed through",
        "passed through",
        "the guest's RDMSR and WRMSR of the register reach it without a VM exit",
    ),
    (
        r"\bintercepted",
        "intercepted",
        "the guest's RDMSR and WRMSR of the register exit, and KVM answers them",
    ),
    (r"\bKERNEL_GS_BASE\b", "KERNEL_GS_BASE", "MSR_KERNEL_GS_BASE of that CPU, 'the register'"),
    (
        r"\bpreempt(?:ed)?\b",
        "preempt",
        "a tick comes there, the scheduler runs another task, and the thread goes on later",
    ),
)


def legend(text: str, invariants: set[str]) -> list[tuple[str, str]]:
    """(word, meaning) of what occurs in ``text``, in a fixed order: invariants, worths, the rest."""
    flowing = " ".join(text.split())
    found = [(name, what) for name, what in DEMANDS.items() if name in invariants or _has(name, flowing)]
    for word, meaning in STATUS_MEANINGS.items():
        # behind an owner, as in a table or in 'still holds 0x1000 (guest 0's): foreign'
        if re.search(rf"(?:\d|task|nobody|'s\)):? {word}\b", flowing):
            found.append((word, f"of a place: {meaning}"))
    found += [(word, meaning) for pattern, word, meaning in _WORDS if re.search(pattern, flowing)]
    return found


def _has(word: str, flowing: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", flowing) is not None
