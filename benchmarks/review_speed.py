"""Processor seconds to read a kernel tree, make a design of its C, check it, and review a patch of it.

    python benchmarks/review_speed.py [TREE]

Measured on C that the tests print from a built-in design, and on TREE: by default the one that VMXSIM_KERNEL
names or that is in a usual place. The aims are 1 s for reading and making, 5 s for a review.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.csource.retell import retold
from vmxsim.checker.check import check
from vmxsim.csource import parser
from vmxsim.csource.design import from_tree
from vmxsim.csource.texts import code_path
from vmxsim.csource.tree import Tree, find_tree, read_tree
from vmxsim.exports.review import review


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds that a computation takes, with no file read before."""
    parser._read_file.cache_clear()
    start = time.process_time()
    work()
    return time.process_time() - start


def patch_between(before: Tree, after: Tree) -> bytes:
    """The patch that makes one tree the other."""
    return "".join(
        line
        for path in before.files
        for line in unified_diff(
            before.files[path].splitlines(True), after.files[path].splitlines(True), f"a/{path}", f"b/{path}"
        )
    ).encode()


def commented(tree: Tree) -> Tree:
    """The tree with one more comment."""
    path = code_path(tree.files) or next(iter(tree.files))
    return Tree(tree.name, tree.files | {path: f"/* A comment. */\n{tree.files[path]}"})


def show(name: str, tree: Tree, after: Tree) -> None:
    """Print what was measured on one tree."""
    lines = sum(text.count("\n") for text in tree.files.values())
    made = seconds(lambda: from_tree(tree))
    checked = seconds(lambda: check(from_tree(tree).design)) - made
    patch = patch_between(tree, after)
    reviewed = seconds(lambda: review("a.patch", tree, data=patch).lines)
    print(
        f"{name}, {lines:,} lines: design {made:.2f} s, check of both host widths {checked:.2f} s,"
        f" review {reviewed:.2f} s"
    )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("tree", nargs="?", type=Path, default=find_tree())
    named = options.parse_args().tree
    before, after = retold("host-from-thread"), retold("dedicated-accessors")
    check(from_tree(before).design)  # what is loaded and compiled once
    show("host-from-thread as C, to dedicated-accessors", before, after)
    if named is None:
        print("no kernel tree: name one, or set VMXSIM_KERNEL")
        return
    start = time.process_time()
    tree = read_tree(named)
    print(f"reading {named}: {time.process_time() - start:.2f} s")
    show(f"{named}, one more comment", tree, commented(tree))


if __name__ == "__main__":
    main()
