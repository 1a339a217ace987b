"""A git clone of the kernel: commits, their patches and files, by git's plumbing. Git runs nothing that the
clone's configuration names, and fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from attrs import define

from vmxsim.csource.texts import KERNEL, KVM, MOST_BYTES, is_wanted, text_of
from vmxsim.errors import InputError, is_there, printable

#: How a commit may be named: a hash, a branch, a tag, HEAD~1, v6.1^, HEAD@{1}.
_NAME = re.compile(r"[A-Za-z0-9_@][\w./~^@{}+-]*")
_FOLDERS = (KVM, f"{KERNEL}/process_64.c")
_SECONDS = 120


@define
class Clone:
    """A repository. Each method raises InputError if git is not installed, or if there is no such thing."""

    path: str | Path

    def git(self, *arguments: str, given: bytes = b"") -> bytes:
        """What a git command prints."""
        place = str(Path(self.path).expanduser())
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(
                ["git", "-c", "protocol.allow=never", "-c", "core.fsmonitor=false", "-C", place, *arguments],
                input=given,
                capture_output=True,
                timeout=_SECONDS,
                env=kept | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise InputError("git is not installed: expected it to read the clone", str(self.path)) from None
        except subprocess.TimeoutExpired:
            raise InputError(f"git did not answer in {_SECONDS} s", str(self.path)) from None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", str(self.path)) from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["git failed"]
            raise InputError(printable(said[0].removeprefix("fatal: "), 300), str(self.path))
        return done.stdout

    def commit(self, name: str) -> str:
        """The hash of a commit."""
        if not is_there(self.path) or not Path(self.path).expanduser().is_dir():
            raise InputError("is not a folder: expected a git clone of the kernel", str(self.path))
        self.git("rev-parse", "--git-dir")
        if not _NAME.fullmatch(name) or ".." in name:
            raise InputError(
                "is not a commit's name: expected a hash or a name such as HEAD~1", printable(name)
            )
        try:
            found = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except InputError:
            raise InputError(f"no commit '{printable(name)}' in this clone", str(self.path)) from None
        return found.decode().strip()

    def parent(self, commit: str) -> str:
        """The hash of a commit's one parent."""
        found = self.git("rev-list", "--parents", "-n", "1", "--end-of-options", self.commit(commit)).split()
        if len(found) != 2:
            what = "has no parent here: there is nothing before it" if len(found) < 2 else "is a merge"
            if len(found) < 2 and self.git("rev-parse", "--is-shallow-repository").strip() == b"true":
                what = "has no parent here, because the clone is shallow"
            raise InputError(f"{what}; expected a commit with one parent", printable(commit))
        return found[1].decode()

    def commits(self, name: str) -> list[str]:
        """A commit, by its name; of a range ``A..B`` those that change anything in KVM's code, oldest
        first."""
        if ".." not in name:
            return [name]
        start, _, end = name.partition("..")
        span = f"{self.commit(start)}..{self.commit(end or 'HEAD')}"
        if self.git("rev-list", "--merges", "-n", "1", "--end-of-options", span):
            raise InputError("holds a merge: expected commits one after the other", printable(name))
        how = ("--reverse", "--topo-order", "--end-of-options", span, "--", *_FOLDERS)
        found = self.git("rev-list", *how).decode().split()
        if not found:
            raise InputError(
                f"no commit in it changes anything in {KVM}: expected patches of KVM's VMX code",
                printable(name),
            )
        return found

    def files(self, commit: str) -> dict[str, str]:
        """What is read of the kernel as of a commit, by path from its root."""
        found = self.commit(commit)
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", found, "--", *_FOLDERS)
        blobs = {}
        for entry in filter(None, listed.decode(errors="replace").split("\0")):
            about, _, path = entry.partition("\t")
            mode, _, blob = about.split(" ")
            if is_wanted(path):
                if not mode.startswith("100"):
                    raise InputError("is a link: not followed", f"{commit}: {path}")
                blobs[path] = blob
        return self._texts(blobs, commit)

    def _texts(self, blobs: dict[str, str], commit: str) -> dict[str, str]:
        out = self.git("cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs.values()).encode())
        found = {}
        for path in blobs:
            head, _, out = out.partition(b"\n")
            if not head.split()[-1].isdigit():
                raise InputError("is missing from the clone", f"{commit}: {path}")
            size = int(head.split()[-1])
            found[path] = text_of(out[: min(size, MOST_BYTES + 1)], f"{commit}: {path}")
            out = out[size + 1 :]
        return found

    def patch(self, commit: str) -> bytes:
        """A commit as git format-patch writes it, if it changes any of KVM's code."""
        found, before = self.commit(commit), self.parent(commit)
        if not self.git("diff-tree", "-r", "--name-only", before, found, "--", *_FOLDERS):
            raise InputError(
                f"changes nothing in {KVM}: expected a patch of KVM's VMX code", printable(commit)
            )
        how = [
            "--stdout",
            "--full-index",
            "--no-ext-diff",
            "--no-textconv",
            "--no-signature",
            "--find-renames",
        ]
        return self.git("format-patch", *how, f"{before}..{found}")

    def blob(self, name: str) -> bytes | None:
        """A file by the hash of an ``index`` line, abbreviated or not; None if it is not in the clone."""
        if not re.fullmatch(r"[0-9a-f]{4,64}", name):
            return None
        try:
            return self.git("cat-file", "blob", name)
        except InputError:
            return None

    def has(self, commit: str) -> bool:
        """Whether it has a commit of this name."""
        try:
            return bool(self.commit(commit))
        except InputError:
            return False

    def last_with(self, blob: str, path: str) -> str:
        """The last commit, of all branches, in which a file has this content; '' if there is none."""
        if not blob.strip("0") or self.blob(blob) is None:
            return ""
        how = ("--all", "-1", "--format=%H", "--no-show-signature", "--no-ext-diff", "--no-textconv", "-s")
        changed = self.git("log", *how, f"--find-object={blob}", "--", path).decode().strip()
        for commit in (f"{changed}^", changed) if changed else ():
            try:
                whole = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")
            except InputError:  # no such commit, or no such file in it
                continue
            if whole.decode().startswith(blob):
                return self.commit(commit)
        return ""
