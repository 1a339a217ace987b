"""The lines of a trace file, whatever holds them: a file or a pipe, compressed or not, plain or a mail's."""

from __future__ import annotations

import codecs
import importlib
import quopri
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from attrs import define

from vmxsim.errors import InputError, is_there, printable
from vmxsim.ftrace import layouts

#: Longer files are read up to this size, and the notes say so.
MAX_BYTES = 1 << 29
_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 14
#: In place of a line that was the rest of the one before it.
SKIP = "\0"

#: By how they begin: what Python's library reads, if this Python has the module, and what else reads it.
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gzip", "gunzip"),
    b"\xfd7zXZ\0": ("xz", "lzma", "xz -d"),
    b"BZh": ("bzip2", "bz2", "bunzip2"),
    b"\x28\xb5\x2f\xfd": ("zstd", "compression.zstd", "zstd -d"),
}
#: By how they begin: what turns others into text.
_OTHERS = {
    b"\x17\x08\x44tracing": "trace-cmd's binary file, not text; run 'trace-cmd report -i FILE > TEXT' first",
    b"PERFILE2": "perf's binary file, not text; run 'perf script -i FILE > TEXT' first",
    b"\x04\x22\x4d\x18": "compressed with lz4; run 'lz4 -d FILE' first",
    b"PK\x03\x04": "a zip archive; run 'unzip FILE' first",
    b"7z\xbc\xaf": "a 7z archive; run '7z x FILE' first",
}
#: In quoted-printable text: a line of at most 76 characters that goes on in the next; what is not such text.
_SOFT_BREAK = re.compile(rb"^.{69,75}[^ ]=\r?$", re.MULTILINE)
_NO_CODE = re.compile(rb"=(?![0-9A-F]{2}|\r?\n)")
_QUOTED_PRINTABLE = re.compile(rb"=3D|=(?:20|09)$|=C2=A0")


@define
class Source:
    """Reads one file, more than once if need be. ``path`` ``-`` is standard input."""

    path: Path
    #: Only a part of it was read: there was too much, or it is damaged; the last line has no end.
    cut_size: bool = False
    damaged: bool = False
    cut_line: bool = False
    #: It names the kernel's module for AMD.
    kvm_amd: bool = False
    #: Length of the longest line in the part that was read last.
    longest: int = 0
    _copy: Any = None
    #: What reading raises where the compressed data is damaged.
    _damage: tuple[type[Exception], ...] = (EOFError, zlib.error)

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Lines without their ends, and the number of the first of them. Never more than a bounded part of
        the file is in memory. Raises InputError."""
        number = 1
        rest = b""
        size = 0
        quoted = markup = False
        with self._open() as file:
            while chunk := self._read(file, size):
                size += len(chunk)
                if size == len(chunk):
                    self._must_be_text(chunk)
                markup = markup or _has_markup(chunk)
                quoted = quoted or _is_quoted(chunk)
                self.kvm_amd = self.kvm_amd or b"[kvm_amd]" in chunk
                data = rest + chunk
                end = data.rfind(b"\n") + 1
                while quoted and data[:end].endswith((b"=\n", b"=\r\n")):
                    end = data.rfind(b"\n", 0, end - 1) + 1
                data, rest = data[:end], data[end:]
                if len(rest) > _LONGEST_LINE:
                    rest = rest[: _LONGEST_LINE // 2]  # no line of a trace: keep memory bounded
                if data:
                    lines = self._lines(data, quoted, markup)
                    yield number, lines
                    number += len(lines)
                if size >= MAX_BYTES:
                    self.cut_size = True
                    rest = b""
                    break
        # A last line without an end may be cut in the middle of a value: it is not used.
        self.cut_line = bool(layouts.without_markup(rest.decode("utf-8", "replace")).strip())

    def text(self) -> str:
        """The whole text, uncompressed but otherwise as it is."""
        data = b""
        with self._open() as file:
            while len(data) < MAX_BYTES and (chunk := self._read(file, len(data))):
                data += chunk
        return data.decode("utf-8", "replace")

    def _lines(self, data: bytes, quoted: bool, markup: bool) -> list[str]:
        if quoted:
            data = _unquoted(data)
        if b"\r" in data:
            data = re.sub(rb"\r+\n", b"\n", data)
        lines = data.decode("utf-8", "replace").split("\n")
        del lines[-1]
        if markup:
            lines = [line if line == SKIP else layouts.without_markup(line) for line in lines]
        self.longest = max(map(len, lines))
        if self.longest > _LONGEST_LINE:
            lines = [line[:_LONGEST_LINE] for line in lines]
        return lines

    def _open(self) -> IO[bytes]:
        try:
            path = self._on_disk()
            file: Any = path.open("rb")
            start = file.read(16)
            file.seek(0)
            compressed = next((way for magic, way in _COMPRESSED.items() if start.startswith(magic)), None)
            if compressed:
                file = self._uncompressed(file, *compressed)
            elif start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                file = codecs.EncodedFile(file, "utf-8", "utf-16", "replace")
        except OSError as error:
            raise InputError(f"can't be read: {error.strerror}", printable(self.path, 300)) from error
        opened: IO[bytes] = file
        return opened

    def _uncompressed(self, file: IO[bytes], name: str, module: str, command: str) -> Any:
        try:
            library = importlib.import_module(module)
        except ImportError:
            raise InputError(
                f"compressed with {name}; run '{command} FILE' first", printable(self.path, 300)
            ) from None
        raised = ("BadGzipFile", "LZMAError", "ZstdError")
        self._damage += tuple(getattr(library, error) for error in raised if hasattr(library, error))
        return library.open(file)

    def _can_be_read_once(self) -> bool:
        """Whether it is a pipe, or anything else that is gone once it was read."""
        return is_there(self.path) and not self.path.is_file() and not self.path.is_dir()

    def _on_disk(self) -> Path:
        """The file itself; of what can be read only once, a copy that lives as long as this object."""
        if self._copy is not None:
            return Path(self._copy.name)
        piped = str(self.path) == "-"
        if not piped and not self._can_be_read_once():
            return self.path
        self._copy = tempfile.NamedTemporaryFile(prefix="vmxsim-")  # noqa: SIM115
        if piped:
            standard = getattr(sys.stdin, "buffer", None)
            if standard is None:
                raise InputError("there is no standard input here; name a file", "-")
            _copy(standard, self._copy)
        else:
            with self.path.open("rb") as pipe:
                _copy(pipe, self._copy)
        self._copy.flush()
        return Path(self._copy.name)

    def _read(self, file: IO[bytes], so_far: int) -> bytes:
        """The next part of the file; of a damaged one, all that comes before the damage."""
        read = file.read if isinstance(file, codecs.StreamRecoder) else getattr(file, "read1", file.read)
        data = b""
        try:
            while len(data) < _CHUNK and (more := read(_CHUNK - len(data))):
                data += more
        except self._damage as error:
            if not so_far and not data:
                raise InputError("a damaged compressed file", printable(self.path, 300)) from error
            self.damaged = True
        except OSError as error:
            raise InputError(
                f"can't be read: {error.strerror or error}", printable(self.path, 300)
            ) from error
        return data

    def _must_be_text(self, chunk: bytes) -> None:
        what = next((words for magic, words in _OTHERS.items() if chunk.startswith(magic)), "")
        if not what and chunk[257:262] == b"ustar":
            what = "a tar archive; run 'tar xf FILE' first"
        if not what and b"\0" in chunk[:4096]:
            lines = chunk.decode("utf-8", "replace").split("\n")
            if not any(layouts.find(line[:_LONGEST_LINE]) for line in lines):
                what = "a binary file; expected ftrace text: /sys/kernel/tracing/trace, saved with cat"
        if what:
            raise InputError(what, printable(self.path, 300))


def _is_quoted(chunk: bytes) -> bool:
    """Whether it is quoted-printable text."""
    if b"=3D" in chunk:
        return True
    broken = b"=\n" in chunk or b"=\r" in chunk
    return broken and bool(_SOFT_BREAK.search(chunk)) and not _NO_CODE.search(chunk)


def _has_markup(chunk: bytes) -> bool:
    """Whether there may be something to undo: colours, HTML, non-breaking spaces, other marks."""
    if b"\x1b" in chunk or b"\0" in chunk or b"&" in chunk or b"</" in chunk or b"<pre" in chunk:
        return True
    return not chunk.isascii() and (b"\xc2\xa0" in chunk or b"\xef\xbb\xbf" in chunk)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy at most a little more than what will be read."""
    left = MAX_BYTES + _CHUNK
    while left > 0 and (chunk := source.read(min(left, _CHUNK))):
        target.write(chunk)
        left -= len(chunk)


def _unquoted(data: bytes) -> bytes:
    """Quoted-printable text without its soft line breaks; :data:`SKIP` keeps the number of lines."""
    lines: list[bytes] = []
    soft = b""
    skipped = 0
    for line in data.replace(b"\r\n", b"\n").split(b"\n"):
        if line.endswith(b"="):
            soft += line[:-1]
            skipped += 1
            continue
        line = soft + line
        lines.append(quopri.decodestring(line) if _QUOTED_PRINTABLE.search(line) else line)
        lines += [SKIP.encode()] * skipped
        soft, skipped = b"", 0
    return b"\n".join(lines)
