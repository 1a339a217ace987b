"""Standard output and standard error, whatever they lead to: a terminal, a pipe, a full disk, nothing."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

#: What a terminal without Unicode gets instead.
_PLAIN = {
    "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "·": "-", "→": "->", "←": "<-",
    "×": "x", "✖": "x", "✕": "x", "✔": "ok", "★": "*", "≠": "!=", "▼": "v", "↑": "^", "▷": ">", "\xa0": " ",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace a character that the stream's encoding lacks; for :func:`codecs.register_error`."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("unicode_escape").decode() for c in lost), error.end


codecs.register_error("vmxsim.plain", _plain)


class _Output(FileIO):
    """A standard stream to write to. When its reader is gone, it drops what is written: that changes no
    verdict. Any other failure of standard output is raised once, and not again when Python exits."""

    failed = False

    def write(self, data: Any, /) -> int:
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                    raise
        return len(data)


def prepare_streams() -> None:
    """Make the standard streams fit to write to. One that was closed at the start cannot be written to, and
    no file that is opened later takes its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDONLY)  # the lowest free number: this one
        if number and getattr(sys, name) is None:
            setattr(sys, name, _stream(number, "utf-8", False, False))
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if not isinstance(stream, TextIOWrapper):
            continue
        if stream is getattr(sys, f"__{name}__"):
            stream.flush()
            stream = _stream(number, stream.encoding, stream.line_buffering, stream.write_through)
            setattr(sys, name, stream)
        else:
            stream.reconfigure(errors="vmxsim.plain")


def _stream(number: int, encoding: str, lines: bool, unbuffered: bool) -> TextIOWrapper:
    raw = BufferedWriter(_Output(number, "w", closefd=False))
    return TextIOWrapper(raw, encoding, "vmxsim.plain", line_buffering=lines, write_through=unbuffered)
