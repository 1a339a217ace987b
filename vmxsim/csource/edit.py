"""A change of a tree's text, and the patch that says it."""

from __future__ import annotations

import re
from difflib import unified_diff

from attrs import evolve

from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError, counted, printable


def function_text(tree: Tree, name: str) -> str:
    """A function as it is written in the tree: whole lines up to the brace in the first column. Where several
    files define one, the first; '' if none does."""
    written = re.compile(
        rf"^[A-Za-z_][^;{{}}()]*\b{re.escape(name)}\([^;{{}}]*\)\s*\{{.*?^\}}\n", re.M | re.S
    )
    found = (match for text in tree.files.values() if (match := written.search(text)))
    return next((match[0] for match in found), "")


def edited(tree: Tree, old: str, new: str) -> Tree:
    """The tree with ``new`` in place of ``old``, which stands in it once.

    Raises InputError if ``old`` is not there, stands there several times, or is the same as ``new``.
    """
    if old == new:
        raise InputError("the new text is the same as the old one: nothing is changed", "edited")
    found = {path: text.count(old) for path, text in tree.files.items() if old and old in text}
    if sum(found.values()) != 1:
        shown = printable(next((line.strip() for line in old.splitlines() if line.strip()), ""))
        where = f"{counted(sum(found.values()), 'place')} of {tree.name}" if found else "no file"
        raise InputError(
            f"expected a text that stands in one place, but '{shown}' is in {where}: copy whole lines, with"
            " their tabs",
            "edited",
        )
    (path,) = found
    return evolve(tree, files={**tree.files, path: tree.files[path].replace(old, new)})


def diff_of(before: Tree, after: Tree) -> str:
    """What changed between two states of a tree, as a unified diff with paths from the kernel's root."""
    lines: list[str] = []
    for path in dict.fromkeys((*before.files, *after.files)):
        old, new = (tree.files.get(path, "").splitlines(keepends=True) for tree in (before, after))
        lines += unified_diff(old, new, f"a/{path}", f"b/{path}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
