"""The designs, in historical order: the ways KVM on VMX has kept the register right.

A design is a class; a patch is a subclass that overrides what the commit changed; the chain of
classes is the history. Your own design is a subclass, too.
"""

from __future__ import annotations

from vmxsim.designs.array_passthrough import ArrayPassthrough
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.fsgsbase import FsGsBase
from vmxsim.designs.guest_state_loaded import GuestStateLoaded
from vmxsim.designs.host_always import HostAlways
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.designs.lazy_long_mode import LazyLongMode
from vmxsim.designs.lma_fix import LmaFix
from vmxsim.designs.load_gs_index import LoadGsIndex
from vmxsim.designs.msr_array import MsrArray
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.designs.shared_accessors import SharedAccessors
from vmxsim.designs.vcpu_vt import VcpuVt
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm

#: All designs by id, oldest first.
DESIGNS: dict[str, type[Kvm]] = {
    design.id: design
    for design in (
        MsrArray,
        ArrayPassthrough,
        LazyLongMode,
        LmaFix,
        LoadGsIndex,
        HostAlways,
        HostFromThread,
        DedicatedAccessors,
        NeverTrap,
        GuestStateLoaded,
        FsGsBase,
        VcpuVt,
        SharedAccessors,
    )
}


def find_design(name: str | type[Kvm]) -> type[Kvm]:
    """A design by id, by an unambiguous prefix of it, or by its commit's (short) hash.

    A design itself is returned unchanged. Raises InputError with the nearest choice.
    """
    if isinstance(name, type) and issubclass(name, Kvm):
        if DESIGNS.get(name.id, name) is not name:
            raise InputError(f"its id '{name.id}' is that of a design of the history", name.__name__)
        return name
    if not isinstance(name, str):
        raise InputError(f"expected a design, by name or as a class, not {printable(repr(name))}", "design")
    word = name
    if word in DESIGNS:
        return DESIGNS[word]
    starts = [d for i, d in DESIGNS.items() if word and i.startswith(word)]
    commits = [
        d
        for d in DESIGNS.values()
        if d.commit and len(word) >= 5 and (d.commit.startswith(word) or word.startswith(d.commit))
    ]
    found = starts or commits
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"'{printable(word)}' could be {' or '.join(d.id for d in found)}", "design")
    raise unknown("design", word, DESIGNS)
