"""Patches, read from a file or a commit."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from gzip import GzipFile
from io import BytesIO
from pathlib import Path

from attrs import evolve, frozen

from vmxsim.csource.clone import Clone
from vmxsim.csource.diff import FileChange, read_diff
from vmxsim.csource.mails import Message, read_messages
from vmxsim.csource.texts import KVM, PLACES, is_wanted
from vmxsim.errors import InputError, counted, printable

#: Bytes of the largest file that is read as a patch.
_MOST = 16 << 20
_NUMBER = re.compile(r"\[[^\]]*?\b(\d+)/(\d+)\]")
_REPLY = re.compile(r"(?:re|aw|sv)\s*:", re.I)
_BASE = re.compile(rb"^base-commit: ([0-9a-f]{7,64})$", re.M)


@frozen
class Patch:
    """One patch. ``name`` is the file's or the commit's, for messages; ``subject`` is as written, with its
    ``[PATCH 1/3]``, and like ``author``, ``date`` and ``message_id`` '' where it does not say. ``number`` and
    ``total`` place it in its series. ``base`` is the commit that it says it was made on, '' if none."""

    name: str
    files: tuple[FileChange, ...]
    subject: str = ""
    author: str = ""
    date: str = ""
    message_id: str = ""
    number: int = 1
    total: int = 1
    base: str = ""


def read_patches(source: str | Path, data: bytes | None = None) -> tuple[Patch, ...]:
    """The patches of a file, in the order in which they are to be applied: a diff, a mail as git format-patch
    writes it, a mailbox with a series, or what git show prints. ``data`` is the content, if it is known.

    Raises InputError for what holds no patch of KVM's VMX code, or is damaged.
    """
    name = str(source)
    content = _unpacked(_content(source, name) if data is None else data, name)
    if not content.strip():
        raise InputError("is empty: expected a patch", name)
    if b"\0" in content:
        raise InputError("is not text: expected a patch", name)
    messages = read_messages(content, name)
    with_diff = [message for message in messages if message.diff]
    with_diff = [one for one in with_diff if not _REPLY.match(one.subject)] or with_diff
    if not with_diff:
        if any(message.quoted for message in messages):
            raise InputError("is a reply that quotes a patch: expected the patch itself", name)
        if re.search(rb"^diff --(?:cc|combined) ", content, re.M):
            raise InputError(
                "is the diff of a merge, with several parents: expected one with one parent", name
            )
        raise InputError("holds no diff: expected a patch", name)
    base = _BASE.search(content.replace(b"\r\n", b"\n"))
    found = [_patch(message, name, base[1].decode() if base else "") for message in with_diff]
    return tuple(_in_order(found, name))


def patches_of_commit(repository: str | Path, commit: str) -> tuple[Patch, ...]:
    """The patch that a commit of a git clone is, or those of a range ``A..B``. Raises InputError."""
    clone = Clone(repository)
    commits = clone.commits(commit)
    found = [patch for one in commits for patch in read_patches(printable(one), clone.patch(one))]
    if len(commits) == 1:
        return tuple(found)
    return tuple(evolve(patch, number=n, total=len(found)) for n, patch in enumerate(found, 1))


def _content(source: str | Path, name: str) -> bytes:
    place = Path(source).expanduser()
    try:
        if place.exists() and not place.is_file():
            raise InputError("is no file: expected a patch", name)
        with place.open("rb") as file:
            content = file.read(_MOST + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", name) from None
    if len(content) > _MOST:
        raise InputError(f"is larger than {_MOST >> 20} MB: expected a patch", name)
    return content


def _unpacked(content: bytes, name: str) -> bytes:
    """The content itself of what a mailing list's archive hands out compressed."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with GzipFile(fileobj=BytesIO(content)) as file:
            found = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"is damaged: {printable(error, 100)}", name) from None
    if len(found) > _MOST:
        raise InputError(f"unpacks to more than {_MOST >> 20} MB: expected a patch", name)
    return found


def _patch(message: Message, name: str, base: str) -> Patch:
    files = read_diff(message.diff, name)
    number = _NUMBER.search(message.subject)
    n, m = (int(number[1]), int(number[2])) if number else (1, 1)
    told = (message.subject, message.author, message.date, message.message_id)
    return Patch(name, files, *told, n, m, base)


def _in_order(patches: list[Patch], name: str) -> list[Patch]:
    """A series by its numbers. Raises InputError for a mailbox with more than one version of a patch, and if
    none of them is about KVM's VMX code."""
    if any(patch.total > 1 for patch in patches):
        twice = [key for key, n in Counter((p.number, p.total) for p in patches).items() if n > 1]
        if twice:
            number, total = twice[0]
            raise InputError(
                f"holds more than one patch numbered {number}/{total}: expected one version of a series", name
            )
        patches = sorted(patches, key=lambda patch: patch.number)
    names = [file.name for patch in patches for file in patch.files]
    if not any(is_ours(file) for patch in patches for file in patch.files):
        what = f"it changes {listed(names)}" if names else "it changes the text of no file"
        raise InputError(f"is no patch of KVM's VMX code: {what}; expected {' or '.join(PLACES)}", name)
    return patches


def is_ours(file: FileChange) -> bool:
    """Whether a file is one that is read, named in full or by less: ``vmx.c``, ``kvm/vmx/vmx.c``."""
    paths = [path for path in (file.path, file.old_path) if path]
    return any(
        is_wanted(start + path) for path in paths for start in ("", "arch/x86/", f"{KVM}/", f"{KVM}/vmx/")
    )


def listed(names: list[str]) -> str:
    """Files for a sentence, the first three by name."""
    shown = [printable(name) for name in dict.fromkeys(names)]
    return ", ".join(shown[:3]) + (f" and {counted(len(shown) - 3, 'other file')}" if len(shown) > 3 else "")
