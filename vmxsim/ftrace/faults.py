"""Puts one fault into a recording for a reader to find: a line changed, removed or moved.

Only the lines of the fault change, not what such a kernel would have done afterward. Where the file
counts its events, the count is adjusted: a kernel that skips an access traces no event for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from attrs import field, frozen

from vmxsim.errors import InputError, printable, unknown, write_file
from vmxsim.ftrace.recording import Recording, read

#: Each kind of fault, and what such a kernel does.
KINDS = {
    "load forgotten": "enter does not load the guest's value: its WRMSR is missing.",
    "old value loaded": "enter loads an older value of the guest.",
    "host value loaded": "enter loads the host's value.",
    "restore forgotten": "leave does not restore the host's value: its WRMSR is missing.",
    "restored first": "leave restores the host's value before it reads the register, and saves that.",
}
_COUNT = re.compile(r"^(.{0,40}# entries-in-buffer/entries-written: )(\d+)/(\d+)")
_VALUE = re.compile(r"value [0-9a-fx]+")
_ACCESS = re.compile(r"((?:read|write)_msr:.*)")
#: All of an access in one line, in the words of the trace file.
_WHOLE = re.compile(r"(?:read|write)_msr:\s+\S*c0000102\)?, value [0-9a-f]+\s*(?:\*/)?\s*$")


@frozen
class Injected:
    """A recording with one fault. ``text`` is the whole file; ``line`` is the line of the fault, or that of
    the missing line; ``kind`` is one of :data:`KINDS`. The repr does not give the answer away."""

    text: str = field(repr=False)
    kind: str = field(repr=False)
    line: int = field(repr=False)
    source: str
    seed: int

    def write(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the text to a file; returns its path. Raises InputError if there is one already, unless
        ``overwrite``."""
        return write_file(path, self.text, overwrite=overwrite)

    def guess(self, line: int) -> str:
        """The answer to a reader who thinks that the fault is at this line."""
        if abs(line - self.line) <= 1:
            return f"Right: line {self.line}. {KINDS[self.kind][0].upper()}{KINDS[self.kind][1:]}"
        return f"Not at line {line}: the fault is {'before' if self.line < line else 'after'} it."


def inject(recording: Recording | str | Path, seed: int = 0, kind: str | None = None) -> Injected:
    """Put one fault into a recording (one already read, a file, or the name of an example).

    ``seed`` chooses its place and, unless ``kind`` names one of :data:`KINDS`, its kind. The same seed
    gives the same fault. Raises InputError for a file that cannot be read, for an unknown kind, and
    if the recording has no place for the fault.
    """
    good = recording if isinstance(recording, Recording) else read(recording)
    if kind is not None and kind not in KINDS:
        raise unknown("kind of fault", kind, KINDS, "kind")
    lines = good.reader.text().split("\n")
    if not all(_WHOLE.search(lines[event.line - 1]) for event in good.accesses()):
        raise InputError(
            "a fault is put into lines as the trace file has them ('write_msr: c0000102, value 0'); "
            f"this is another form ({good.reader.layout}), or its lines are broken",
            printable(good.path),
        )
    random = Random(seed)
    possible = {name: places for name in ([kind] if kind else KINDS) if (places := _places(good, name))}
    if not possible:
        wanted = f"for '{kind}'" if kind else "for a fault: enter and leave do not access the register"
        raise InputError(f"there is no place in it {wanted}", printable(good.path))
    chosen = random.choice(sorted(possible))
    line, put = random.choice(possible[chosen])
    put(lines)
    return Injected("\n".join(lines), chosen, line, good.title, seed)


#: A fault: its line (from 1), and the function that puts it into the file's lines.
_Place = tuple[int, Callable[[list[str]], None]]


def _places(good: Recording, kind: str) -> list[_Place]:
    """Where a fault of this kind can be put."""
    told = [(good.follower.roles.get(event.line), event) for event in good.accesses()]
    hosts = [event.data for role, event in told if role == "leave-restore"]
    found: list[_Place] = []
    values: list[int] = []  # of the guest, in the order in which they were seen
    for (role, event), (_, following) in zip(told, [*told[1:], (None, None)], strict=True):
        line, at = event.line, event.line - 1
        older = [value for value in values if value != event.data]
        if role == "enter-load":
            if kind == "load forgotten":
                found.append((line, partial(_take_out, at=at)))
            elif kind == "old value loaded" and older:
                found.append((line, partial(_write, at=at, value=older[-1])))
            elif kind == "host value loaded" and hosts and hosts[0] != event.data:
                found.append((line, partial(_write, at=at, value=hosts[0])))
        elif role == "leave-save" and following and following.line == line + 1:
            if kind == "restored first" and following.data != event.data:
                found.append((line, partial(_swap, at=at, restored=following.data)))
            elif kind == "restore forgotten":
                found.append((following.line, partial(_take_out, at=at + 1)))
        if role in ("enter-load", "leave-save"):
            values.append(event.data)
    return found


def _take_out(lines: list[str], at: int) -> None:
    del lines[at]
    for number, text in enumerate(lines):
        if counted := _COUNT.match(text):
            start, held, written = counted.groups()
            lines[number] = f"{start}{int(held) - 1}/{int(written) - 1}{text[counted.end() :]}"


def _write(lines: list[str], at: int, value: int) -> None:
    lines[at] = _VALUE.sub(f"value {value:x}", lines[at])


def _swap(lines: list[str], at: int, restored: int) -> None:
    """The write comes first, and the read after it finds what was written. The times stay in order."""
    (save, read_), (restore, written) = (_ACCESS.split(line, maxsplit=1)[:2] for line in lines[at : at + 2])
    lines[at], lines[at + 1] = save + written, restore + read_
    _write(lines, at + 1, restored)
