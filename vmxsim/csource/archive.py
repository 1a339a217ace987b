"""A kernel's tar archive, read in place: in one pass, and no further than needed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from attrs import define, field

from vmxsim.csource.texts import MOST_BYTES, is_wanted, text_of
from vmxsim.errors import InputError, printable
from vmxsim.progress import telling

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\xfd7zXZ\0": lzma.open,
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\x28\xb5\x2f\xfd": lambda path: import_module("compression.zstd").open(path),
}
#: So many members in the order of their paths are no accident.
_SORTED = 1000
#: More than any kernel's source has, unpacked.
_MOST = 16 << 30


def read_archive(path: Path, name: str) -> dict[str, str]:
    """The wanted files of an archive, by path from the kernel's root.

    Raises InputError, with the archive's name and the reason.
    """
    files: dict[str, str] = {}
    root: str | None = None
    visit = _Visit()
    try:
        with _unpacked(path, name) as stream, telling() as tell:
            counting = _Counting(stream, name)
            with tarfile.open(fileobj=counting, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    tell(f"{printable(path.name)}: {counting.count >> 20:,} MB unpacked")
                    before, _, below = f"/{member.name}".partition("/arch/x86/")
                    visit.enter(member.name, member.isdir())
                    if files and not below and (visit.in_order or visit.is_sorted):
                        break  # all of arch/x86 has been seen
                    if root not in (None, before) or not is_wanted(f"arch/x86/{below}"):
                        continue
                    root = before
                    where = f"{name}: {printable(member.name, 200)}"
                    if not member.isreg():
                        raise InputError("is a link: not followed", where)
                    content = tar.extractfile(member)
                    assert content is not None
                    files[f"arch/x86/{below}"] = text_of(content.read(MOST_BYTES + 1), where)
                else:
                    counting.check_end()
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"is damaged, or no tar archive: {printable(error, 200)}", name) from None
    except OSError as error:  # what gzip and bz2 raise for damage, too
        raise InputError(f"cannot be read: {error.strerror or error}", name) from None
    return files


def _unpacked(path: Path, name: str) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        raise InputError("is empty: expected a tar archive", name)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            try:
                opened: IO[bytes] = opener(path)
            except ImportError:
                raise InputError(
                    "is compressed with zstd, which Python can read since 3.14: unpack it first", name
                ) from None
            return opened
    return path.open("rb")


@define
class _Counting:
    """A stream that is read forwards only, and by no means forever."""

    stream: IO[bytes]
    name: str
    count: int = 0
    tail: bytes = b""

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.count += len(data)
        self.tail = (self.tail + data)[-512:]
        if self.count > _MOST:
            raise InputError(f"unpacks to more than {_MOST >> 30} GB: no kernel's source does", self.name)
        return data

    def check_end(self) -> None:
        """An archive ends with blocks of zeros; tarfile takes one that was cut off for a short one."""
        if self.tail.strip(b"\0"):
            raise EOFError("it ends before its end mark")


@define
class _Visit:
    """Whether each folder of an archive is in one piece, as when tar packs a tree: folders are members of
    their own, and what has been left does not come again. Or the members are sorted by their whole paths, as
    Debian's are: then a folder is not in one piece, but all that is below it is."""

    in_order: bool = False
    ascending: bool = True
    count: int = 0
    last: str = ""
    inside: tuple[str, ...] = ()
    left: set[tuple[str, ...]] = field(factory=set)

    @property
    def is_sorted(self) -> bool:
        """Whether so many members came in order that it is no accident."""
        return self.ascending and self.count >= _SORTED

    def enter(self, name: str, is_folder: bool) -> None:
        self.ascending = self.ascending and self.last <= name
        self.count, self.last = self.count + 1, name
        if is_folder and not self.left:
            self.in_order = True
        folder = tuple(name.split("/")[: None if is_folder else -1])
        if folder == self.inside:
            return
        for depth in range(1, len(self.inside) + 1):
            if self.inside[:depth] != folder[:depth]:
                self.left.add(self.inside[:depth])
        if any(folder[:depth] in self.left for depth in range(1, len(folder) + 1)):
            self.in_order = False
        self.inside = folder
