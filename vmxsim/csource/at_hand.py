"""The kernel's own C for a lesson: the reader's tree if one is found, or else what comes with the lesson."""

from __future__ import annotations

import os
from pathlib import Path

from vmxsim.csource.design import Carried, from_tree
from vmxsim.csource.from_source import title_of
from vmxsim.csource.tree import Tree, find_tree, read_tree
from vmxsim.errors import InputError, NotUnderstoodError


def own_tree() -> tuple[Carried | None, str]:
    """What is made of the reader's own tree, if one is found that can be followed; and which it is, or why
    there is none, in a line."""
    place = find_tree()
    if place is None:
        return None, "No kernel tree found: VMXSIM_KERNEL is not set, and none is in a usual place."
    try:
        tree = read_tree(place)
        return from_tree(tree, title_of(tree.name)), f"The kernel tree found is {place}."
    except InputError as error:
        named = "VMXSIM_KERNEL names" if os.environ.get("VMXSIM_KERNEL") else "The kernel tree found is"
        return None, f"{named} {place}, which cannot be used. {error}"


def tree_at_hand(otherwise: str | Path) -> tuple[Tree, str]:
    """The tree to work on and a line that says which: the reader's own, or else the C file ``otherwise``.
    Where the grammar of C is not installed, the line says so: the tree is then text that nothing can follow.

    Raises InputError if ``otherwise`` cannot be read.
    """
    own, words = own_tree()
    if own is not None:
        return own.tree, words
    tree = read_tree(otherwise)
    try:
        from_tree(tree)
    except NotUnderstoodError as error:
        return tree, f"No C can be followed here: {error}"
    return tree, f"{words}\nThis notebook works on {otherwise}, which the authors of vmxsim wrote."
