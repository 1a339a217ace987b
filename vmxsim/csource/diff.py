"""Unified diffs: the files, hunks and lines of one, by unidiff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve, field, frozen

from vmxsim.errors import InputError, NotUnderstoodError, printable, remedy

try:
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet
except ImportError:  # a browser, or an installation without the extra
    PatchSet = None  # type: ignore[assignment, misc]

#: Where a diff begins.
_BEGINS = re.compile(r"^(?:diff --git .|Index: .|--- \S[^\n]*\n\+\+\+ \S)", re.M)
_INDEX = re.compile(r"^index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})", re.M)
_FUNCTION = re.compile(r"[A-Za-z_][\w \t*]*?\b(\w+)\(")


@frozen
class Line:
    """``kind`` is "+", "-", or " " for context; ``text`` is without the newline. ``before`` and ``after`` are
    its numbers in the file, 0 on the side where it is not."""

    kind: str
    text: str
    before: int
    after: int


@frozen
class Hunk:
    """``header`` is the line that begins with @@. ``before`` and ``after`` are the lines at which it stands
    on either side; ``offset`` is by how many lines it was moved to fit."""

    header: str
    lines: tuple[Line, ...]
    before: int
    after: int
    offset: int = 0

    @property
    def old(self) -> list[str]:
        """The lines that it needs to be there."""
        return [line.text for line in self.lines if line.kind != "+"]

    @property
    def new(self) -> list[str]:
        """The lines that it leaves."""
        return [line.text for line in self.lines if line.kind != "-"]

    def moved(self, before: int, after: int) -> Hunk:
        """The same at other lines. What it was moved by is counted on the side before."""
        down, up = before - self.before, after - self.after
        lines = tuple(
            evolve(line, before=line.before and line.before + down, after=line.after and line.after + up)
            for line in self.lines
        )
        return evolve(self, lines=lines, before=before, after=after, offset=self.offset + down)


@frozen
class FileChange:
    """What a patch does to a file.

    ``path`` is the file's after it ('' if it deletes the file), ``old_path`` before it ('' if it makes it),
    which stays if it is a ``copy``. ``blobs`` are the hashes before and after of its index line, '' if it has
    none. ``exact_before``: whether the file is just the one that the patch was made on; ``exact_after``:
    whether it became just its author's; None where that cannot be told.
    """

    path: str
    old_path: str
    hunks: tuple[Hunk, ...]
    blobs: tuple[str, str] = ("", "")
    copy: bool = False
    exact_before: bool | None = None
    exact_after: bool | None = None

    @property
    def name(self) -> str:
        """The path to call it by."""
        return self.path or self.old_path


@frozen
class WholeFunction:
    """A function that stands whole in a hunk's new side; ``first`` is its first line's number."""

    name: str
    path: str
    first: int
    text: str = field(repr=False)


def diff_in(text: str) -> str:
    """The diff in a text: from where it begins; '' if there is none."""
    begins = _BEGINS.search(text)
    return text[begins.start() :] if begins else ""


def read_diff(text: str, name: str) -> tuple[FileChange, ...]:
    """The files of a diff; those that are no text are left out. ``name`` is what to call it in messages.

    Raises InputError if it is damaged, NotUnderstoodError where unidiff is not installed.
    """
    if PatchSet is None:
        raise NotUnderstoodError(
            "reading a patch needs unidiff, which is not installed here; "
            + remedy("pip install 'vmxsim[csource]'")
        )
    try:
        return _parsed(text, name)
    except InputError:
        try:  # an empty last line of context is easily lost with the end of a file
            return _parsed(f"{text.rstrip()}\n \n", name)
        except InputError:
            pass
        raise


def _parsed(text: str, name: str) -> tuple[FileChange, ...]:
    at = 0

    def lines() -> Iterator[str]:
        nonlocal at
        for line in text.split("\n"):
            at += 1
            yield line + "\n"

    try:
        return tuple(_file(one) for one in PatchSet(lines()) if not one.is_binary_file)
    except UnidiffParseError as error:
        said = printable(" ".join(str(error).split()), 120)
        raise InputError(f"is damaged at line {at} of its diff: {said}", name) from None


def _file(file: Any) -> FileChange:
    info = "".join(map(str, file.patch_info or ()))
    index = _INDEX.search(info)
    old, new = _path(file.source_file), _path(file.target_file)
    if re.search(r"^(?:rename|copy) to ", info, re.M) is None and old and new and old != new:
        old = new = _same(old, new)
    if re.search(r"^new file mode ", info, re.M):
        old = ""
    if re.search(r"^deleted file mode ", info, re.M):
        new = ""
    hunks = tuple(_hunk(hunk) for hunk in file)
    copy = re.search(r"^copy to ", info, re.M) is not None
    return FileChange(new, old, hunks, (index[1], index[2]) if index else ("", ""), copy)


def _hunk(hunk: Any) -> Hunk:
    header = (
        f"@@ -{hunk.source_start},{hunk.source_length} +{hunk.target_start},{hunk.target_length} @@"
        f" {hunk.section_header or ''}"
    ).rstrip()
    lines = tuple(
        Line(one.line_type, one.value.rstrip("\n"), one.source_line_no or 0, one.target_line_no or 0)
        for one in hunk
        if one.line_type in (" ", "+", "-")
    )
    # An empty side is numbered by the line before it.
    before = hunk.source_start + (hunk.source_length == 0)
    after = hunk.target_start + (hunk.target_length == 0)
    return Hunk(header, lines, before, after)


def _path(path: str) -> str:
    """A path from the kernel's root, as far as the diff tells; '' for /dev/null."""
    path = path.strip().strip('"')
    if path == "/dev/null":
        return ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if len(parts) > 1 and (parts[0] in "abciwo" or (parts[1] == "arch" and parts[0] != "tools")):
        parts = parts[1:]
    return "/".join(parts)


def _same(old: str, new: str) -> str:
    """Which of two names of one file is its own: ``diff -u vmx.c.orig vmx.c``."""
    return old if new.startswith(old) else new


def whole_functions(files: Iterable[FileChange]) -> tuple[WholeFunction, ...]:
    """The functions that the hunks show from the first line to the last, as they are after the patch."""
    found = []
    for file in files:
        for hunk in file.hunks:
            found += [WholeFunction(name, file.name, first, text) for name, first, text in _functions(hunk)]
    return tuple(found)


def _functions(hunk: Hunk) -> Iterator[tuple[str, int, str]]:
    lines = [line for line in hunk.lines if line.kind != "-"]
    start: int | None = None
    for n, line in enumerate(lines):
        if line.text == "}" and start is not None:
            texts = [one.text for one in lines[start : n + 1]]
            head = "\n".join(texts).partition("\n{")
            if head[1] and (begins := _FUNCTION.match(head[0])):
                yield begins[1], lines[start].after, "\n".join(texts) + "\n"
            start = None
        elif _FUNCTION.match(line.text) and not line.text.endswith(";"):
            start = n
