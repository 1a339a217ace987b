"""Which files of a kernel are read, and what counts as C."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vmxsim.errors import InputError

#: The folder of the code, and a folder of the common kernel of which one file is read.
KVM, KERNEL = "arch/x86/kvm", "arch/x86/kernel"
#: Where the code itself stands: since 5.0, and before.
PLACES = (f"{KVM}/vmx/vmx.c", f"{KVM}/vmx.c")
#: The largest file. vmx.c has less than half a megabyte.
MOST_BYTES = 4 << 20
_WANTED = re.compile(rf"{KVM}/(?:vmx/[^/]+\.[ch]|vmx\.[ch]|x86\.[ch]|msrs\.c)|{KERNEL}/process_64\.c")


def is_wanted(path: str) -> bool:
    """Whether a file is read, by its path from the kernel's root."""
    return bool(_WANTED.fullmatch(path))


def code_path(paths: Iterable[str]) -> str:
    """Which of these is KVM's VMX code itself, '' if none."""
    known = set(paths)
    return next((place for place in PLACES if place in known), "")


def text_of(data: bytes, where: str) -> str:
    """The text of a C file, its lines ended by a newline each. Raises InputError if it is none."""
    if len(data) > MOST_BYTES:
        raise InputError(f"is larger than {MOST_BYTES >> 20} MB: expected a C file of the kernel", where)
    if b"\0" in data:
        raise InputError("is not text: expected C", where)
    return data.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")


def checked(files: dict[str, str], name: str) -> dict[str, str]:
    """The same files, by path. Raises InputError if KVM's VMX code is not among them, or is empty."""
    code = code_path(files)
    if not code:
        raise InputError(f"holds no KVM for Intel: looked for {' and '.join(PLACES)}", name)
    refuse_other_code(code, files[code], f"{name}: {code}")
    return dict(sorted(files.items()))


def refuse_other_code(path: str, text: str, where: str) -> None:
    """Raises InputError for an empty file, and for KVM's SVM code."""
    if not text.strip():
        raise InputError("is empty: expected C", where)
    if path.endswith("svm.c") or ("vcpu_svm" in text and "vcpu_vmx" not in text):
        raise InputError("is KVM for AMD: expected KVM for Intel, vmx.c", where)
