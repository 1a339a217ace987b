"""Recordings that come with the project: Linux 6.1 on an emulated Intel processor.

Three have kvm_intel rebuilt so that only its handling of this register follows another design.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from vmxsim.errors import InputError, nearest, printable

#: Name: what happens in it.
EXAMPLES = {
    "s1.dedicated-accessors": (
        "The seed patch: a 32-bit guest enters long mode while its state is loaded "
        "and reads the host thread's user GS base."
    ),
    "s1.host-from-thread": (
        "The same guest on the patch's parent: a full host reload on every change of EFER; "
        "the guest reads 0, right."
    ),
    "s1.guest-state-loaded": (
        "The same guest on unchanged Linux 6.1: the register is always switched; the guest reads 0, right."
    ),
    "migrate": "Linux 6.1, two CPUs: the vCPU thread is moved between them during KVM_RUN.",
}


def path(name: str) -> Path:
    """The file of an example. Raises InputError, with the nearest name, if there is none."""
    if name not in EXAMPLES:
        raise InputError(
            f"no file and no example '{printable(name)}'{nearest(name, EXAMPLES)}; "
            f"the examples are {', '.join(EXAMPLES)}"
        )
    return Path(str(files("vmxsim") / "data" / "traces" / f"{name}.trace"))
