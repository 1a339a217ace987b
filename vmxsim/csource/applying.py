"""A patch on a tree. As with ``git apply``, a hunk may stand at another line than its header says; its
context must be there to the letter."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path, PurePosixPath

from attrs import evolve, frozen

from vmxsim.csource.clone import Clone
from vmxsim.csource.diff import FileChange, Hunk, Line
from vmxsim.csource.patches import Patch, is_ours, listed
from vmxsim.csource.texts import KVM, PLACES, code_path, is_wanted
from vmxsim.csource.tree import Tree, tree_of_commit
from vmxsim.errors import InputError, counted, printable


@frozen
class Applied:
    """A patch on a tree. ``tree`` is what it makes of the tree; ``changes`` are those of the files that are
    read, with the numbers of the lines where they stand; ``notes`` say what was left aside."""

    patch: Patch
    tree: Tree
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...] = ()


def apply(patch: Patch, tree: Tree) -> Applied:
    """Apply a patch. Raises InputError if it does not apply: which file, hunk and line do not fit."""
    try:
        return _Applying(patch, tree).all()
    except _MisfitError as misfit:
        if _is_applied(patch, tree):
            raise InputError(
                f"is applied already, or is reversed: {tree.name} holds what it would make", patch.name
            ) from None
        raise InputError(f"does not apply to {tree.name}: {misfit}", patch.name) from None


def tree_for(patches: tuple[Patch, ...], repository: str | Path) -> tuple[Tree, str]:
    """The tree of a git clone that patches are made on, and which one that is: of the commit that they name
    as their base; or of HEAD, if its files are the very ones; or of the last commit that has the very file;
    or else HEAD's.

    Raises InputError if there is no such repository, or if the first patch applies to none of them.
    """
    first, clone = patches[0], Clone(repository)
    if first.base and clone.has(first.base):
        base = tree_of_commit(repository, first.base)
        if _applies(first, base):
            return base, f"on {first.base[:12]}, which the patch names as its base"
    head = tree_of_commit(repository, "HEAD")
    failed: InputError | None = None
    try:
        exact = [change.exact_before for change in apply(first, head).changes]
        if False not in exact:
            return head, "on HEAD" + (
                ", which has the very file that the patch was made on" if True in exact else ""
            )
    except InputError as error:
        failed = error
    for change in first.files:
        if is_ours(change) and (commit := clone.last_with(change.blobs[0], change.old_path)):
            tree = tree_of_commit(repository, commit)
            if _applies(first, tree):
                return tree, f"on {commit[:12]}, the last commit with the very {change.old_path} of the patch"
    if failed:
        raise failed
    return head, "on HEAD; no commit has the very file that the patch was made on"


def _applies(patch: Patch, tree: Tree) -> bool:
    try:
        apply(patch, tree)
    except InputError:
        return False
    return True


class _MisfitError(Exception):
    """What does not fit, in words."""


class _Applying:
    """The files as the patch goes through them."""

    def __init__(self, patch: Patch, tree: Tree) -> None:
        self.patch, self.tree = patch, tree
        self.files = dict(tree.files)
        self.notes: list[str] = []

    def all(self) -> Applied:
        """Apply it file by file."""
        ours = [file for file in self.patch.files if is_ours(file)]
        other = [file.name for file in self.patch.files if not is_ours(file)]
        changes = [change for file in ours if (change := self.one(file))]
        if not changes and ours:
            raise _MisfitError(f"it changes {listed([file.name for file in ours])}, which is not in the tree")
        if other:
            self.notes.append(f"changes in {listed(other)} are not read")
        tree = Tree(self.tree.name, dict(sorted(self.files.items())))
        return Applied(self.patch, tree, tuple(changes), tuple(self.notes))

    def one(self, file: FileChange) -> FileChange | None:
        """The change with its lines' numbers in this tree; None if the tree need not have the file."""
        old = self._old(file)
        if old is None:
            return None
        before = self.files.get(old, "")
        after, hunks = self._patched(file, before, old or file.path)
        new = file.path and (old if file.path == file.old_path else self._new(file))
        if old and old != new and not file.copy:
            del self.files[old]
        if new and (is_wanted(new) or new == old):
            self.files[new] = after
        exact = [_is_blob(text, name) for text, name in zip((before, after), file.blobs, strict=True)]
        return evolve(file, path=new, old_path=old, hunks=hunks, exact_before=exact[0], exact_after=exact[1])

    def _old(self, file: FileChange) -> str | None:
        """The tree's path of the file before; '' for a new one."""
        if not file.old_path:
            if (new := self._new(file)) in self.files:
                raise _MisfitError(f"it makes {new}, which is there already")
            return ""
        if found := _place(file.old_path, self.tree):
            if found not in self.files:
                raise _MisfitError(f"it changes {found} after it has taken it away")
            return found
        name = PurePosixPath(file.old_path).name
        code = code_path(self.tree.files)
        if name == "vmx.c" and code:
            raise _MisfitError(f"it changes {file.old_path}, and the tree has that file as {code}")
        if len(self.tree.files) > 1 and (file.old_path.startswith(f"{KVM}/vmx") or file.old_path in PLACES):
            raise _MisfitError(f"it changes {file.old_path}, which is not in the tree")
        self.notes.append(f"{file.old_path} is not in the tree: what the patch changes in it is not seen")
        return None

    def _new(self, file: FileChange) -> str:
        if file.path.startswith("arch/"):
            return file.path
        folder = PurePosixPath(code_path(self.tree.files) or next(iter(self.tree.files))).parent
        return str(folder / PurePosixPath(file.path).name)

    def _patched(self, file: FileChange, before: str, name: str) -> tuple[str, tuple[Hunk, ...]]:
        lines = before.split("\n")
        ended = lines[-1] == ""
        if ended:
            del lines[-1]
        out, hunks, done, offset = [], [], 0, 0
        for n, hunk in enumerate(file.hunks, 1):
            at, others = _find(lines, hunk, done, hunk.before - 1 + offset)
            if at is None:
                where = f"{name}, hunk {n} of {len(file.hunks)} ({hunk.header})"
                raise _MisfitError(f"{where}: {_misfit(lines, hunk, hunk.before - 1 + offset)}")
            offset = at + 1 - hunk.before
            if offset and others:
                places = counted(others + 1, "place")
                self.notes.append(f"{name}: hunk {n} fits in {places}; the nearest is taken, line {at + 1}")
            out += lines[done:at]
            hunks.append(hunk.moved(at + 1, len(out) + 1))
            out += hunk.new
            done = at + len(hunk.old)
        if not file.path and done < len(lines):
            raise _MisfitError(f"it deletes {name}, which has more than it takes away")
        out += lines[done:]
        return "\n".join(out) + ("\n" if ended and out else ""), tuple(hunks)


def _place(path: str, tree: Tree) -> str:
    """The path in the tree of a file that a diff names, maybe by less than all of its path; '' if none."""
    if path in tree.files:
        return path
    if not path.startswith("arch/"):
        found = [known for known in tree.files if known.endswith(f"/{path}")]
        if len(found) == 1:
            return found[0]
    if len(tree.files) == 1:
        alone = next(iter(tree.files))
        name = PurePosixPath(path).name
        if name == PurePosixPath(alone).name or (name == "vmx.c" and "/" not in alone):
            return alone
    return ""


def _find(lines: list[str], hunk: Hunk, start: int, want: int) -> tuple[int | None, int]:
    """Where a hunk fits, from ``start`` on and nearest to ``want``; and in how many other places.

    As for git, a hunk of the first line fits at the beginning only, one without context below at the end
    only, and one without any context where it says only.
    """
    old, last = hunk.old, len(lines) - len(hunk.old)
    bare = not any(line.kind == " " for line in hunk.lines)
    ends_file = not bare and hunk.lines[-1].kind != " "
    must = {want} if bare else {0} if hunk.before == 1 else {last} if ends_file else None
    places = [
        n
        for n in (range(start, last + 1) if must is None else must.intersection(range(start, last + 1)))
        if lines[n : n + len(old[:1])] == old[:1] and lines[n : n + len(old)] == old
        if not ends_file or n == last
    ]
    return min(places, key=lambda n: abs(n - want), default=None), len(places) - 1


def _misfit(lines: list[str], hunk: Hunk, want: int) -> str:
    """What does not fit: the first line that differs where most of the hunk's lines do fit."""
    old = hunk.old
    if not old:
        return f"the file has no line {want}"
    blank = [" ".join(line.split()) for line in lines]
    spaced = [" ".join(line.split()) for line in old]
    starts = range(len(lines) - len(old) + 1)
    if any(blank[n : n + len(old)] == spaced and lines[n : n + len(old)] != old for n in starts):
        return "it fits but for white space, as if a program had changed its tabs or ends of lines"
    seen = old[:100]

    def fits(n: int) -> int:
        return sum(a == b for a, b in zip(lines[n : n + len(seen)], seen, strict=False) if a.strip(" \t{}"))

    at = max(range(len(lines) or 1), key=lambda n: (fits(n), -abs(n - want)))
    if not fits(at):
        return f"the file has no line like its first, {_shown(next(filter(str.strip, old), ''))}"
    k = next((k for k, line in enumerate(old) if lines[at + k : at + k + 1] != [line]), len(old))
    if k == len(old):
        return f"it fits at line {at + 1} only, which is not where a hunk like this belongs"
    there = _shown(lines[at + k]) if at + k < len(lines) else "the file's end"
    return f"it expects {_shown(old[k])} where line {at + k + 1} is {there}"


def _shown(line: str) -> str:
    return f"'{printable(line.strip(), 100)}'" if line.strip() else "an empty line"


def _is_applied(patch: Patch, tree: Tree) -> bool:
    """Whether all that the patch would make is there."""
    try:
        made = _Applying(evolve(patch, files=tuple(_reversed(file) for file in patch.files)), tree).all()
    except _MisfitError:
        return False
    return bool(made.changes)


def _reversed(file: FileChange) -> FileChange:
    hunks = tuple(
        evolve(h, lines=tuple(map(_back, h.lines)), before=h.after, after=h.before) for h in file.hunks
    )
    return evolve(file, path=file.old_path, old_path=file.path, hunks=hunks, blobs=file.blobs[::-1])


def _back(line: Line) -> Line:
    kind = {"+": "-", "-": "+"}.get(line.kind, " ")
    return Line(kind, line.text, line.after, line.before)


def _is_blob(text: str, name: str) -> bool | None:
    """Whether a text is the file of this git hash, abbreviated or not; None if that cannot be told."""
    if not name.strip("0") or len(name) > 40 or "\ufffd" in text:
        return None
    data = text.encode()
    return sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest().startswith(name)
