"""``vmxsim.from_source``: a design from the kernel's own C."""

from __future__ import annotations

from os import fspath
from pathlib import Path, PurePath

from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree, find_tree, read_tree
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError, file_name
from vmxsim.kernel.kvm import Kvm

#: Folders inside a tree that say nothing of which tree it is, and endings of an archive.
_INSIDE = {"arch", "x86", "kvm", "vmx", "/", ".", ".."}
_ENDINGS = (".tar", ".tar.xz", ".tar.gz", ".tar.bz2", ".tar.zst")


def from_source(tree: str | Path | Tree | None = None, title: str = "") -> type[Kvm]:
    """The design that a kernel tree's own C implements, to run, check, compare and show like any other.

    ``tree`` is a kernel tree, its ``arch/x86/kvm``, a single ``vmx.c``, an archive such as Debian's
    ``linux-source-6.1.tar.xz``, or what :func:`~vmxsim.csource.tree.read_tree` made of one. Without it, the
    tree that ``VMXSIM_KERNEL`` names or that lies in a usual place. ``title`` is what to call the design
    (default: the name of the tree). Nothing of the tree is executed.

    Raises InputError for what cannot be read, and NotUnderstoodError (file, line, reason) for C whose meaning
    for the register is not clear.
    """
    if tree is None:
        tree = find_tree()
        if tree is None:
            raise InputError(
                "no kernel tree found: name one, or set VMXSIM_KERNEL to a tree, a vmx.c or a"
                " linux-source-*.tar.xz",
                "from_source",
            )
    if not isinstance(tree, Tree):
        tree = read_tree(fspath(file_name(tree, "tree", "a kernel tree, a C file or an archive")))
    return from_tree(tree, title or title_of(tree.name)).design


def title_of(name: str) -> str:
    """What to call the design of a tree: its last folder that tells it from another one, or the file."""
    parts = [part for part in PurePath(name).parts if part not in _INSIDE]
    if not parts:
        return Path(name).resolve().name or "C"
    ending = next((end for end in reversed(_ENDINGS) if parts[-1].endswith(end)), "")
    title = parts[-1].removesuffix(ending)
    return f"{title}, from C" if title in DESIGNS else title
