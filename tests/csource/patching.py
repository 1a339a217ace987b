"""Patches between designs printed as C, and git clones that hold them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from difflib import unified_diff
from hashlib import sha1
from pathlib import Path

from tests.csource.reading import write
from vmxsim.csource.tree import Tree


def blob(text: str) -> str:
    """git's hash of a file, abbreviated; of none for one that is not there."""
    return "0" * 12 if not text else sha1(b"blob %d\0" % len(text.encode()) + text.encode()).hexdigest()[:12]


def patch(old: Tree, new: Tree, message: str = "") -> str:
    """What git diff prints, below a message."""
    out = [f"{message}\n\n"] if message else []
    for path in sorted({*old.files, *new.files}):
        a, b = old.files.get(path, ""), new.files.get(path, "")
        if a != b:
            kind = "" if a and b else "new file mode 100644\n" if b else "deleted file mode 100644\n"
            out.append(f"diff --git a/{path} b/{path}\n{kind}index {blob(a)}..{blob(b)}\n")
            names = (f"a/{path}" if a else "/dev/null", f"b/{path}" if b else "/dev/null")
            out += unified_diff(a.splitlines(True), b.splitlines(True), *names, n=3)
    return "".join(out)


def mail(subject: str, diff: str, number: int = 0) -> str:
    """A patch as git format-patch writes it."""
    return (
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A. Reader <reader@example.org>\n"
        f"Date: Thu, 2 Aug 2018 10:00:0{number} +0200\nSubject: {subject}\n"
        f"Message-ID: <patch-{number}@example.org>\n\nWhy it is done.\n---\n{diff}-- \n2.39.5\n\n"
    )


def clone(folder: Path, trees: Sequence[Tree]) -> Path:
    """A git repository with a commit for each tree, in that order."""

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A. Reader", "-c", "user.email=reader@example.org"]
        subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)

    folder.mkdir(parents=True)
    git("init", "--quiet")
    for tree in trees:
        write(tree, folder)
        git("add", "--all")
        git("commit", "--quiet", "--message", f"KVM: retold: {tree.name}")
    return folder
