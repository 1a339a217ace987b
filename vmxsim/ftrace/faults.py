"""One fault put into a recording, for a reader to find: a line changed, taken out or moved.

Only the lines of the fault change: what such a kernel would have done afterward is not retold. A
file that says how many events it holds says so of the changed one too, since a kernel that does not
access the register writes no event about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from attrs import field, frozen

from vmxsim.errors import InputError, printable, unknown
from vmxsim.ftrace.reader import Event
from vmxsim.ftrace.recording import Recording, read

#: Kind of fault: what such a kernel does.
KINDS = {
    "load forgotten": "enter does not load the guest's value: its WRMSR is not there.",
    "old value loaded": "enter loads an older value of the guest.",
    "host value loaded": "enter loads the host's value.",
    "restore forgotten": "leave does not give the host its value back: its WRMSR is not there.",
    "restored first": "leave gives the host its value back before it reads the register, and saves that.",
}
_COUNT = re.compile(r"^(# entries-in-buffer/entries-written: )(\d+)/(\d+)")
_VALUE = re.compile(r"value [0-9a-fx]+")


@frozen
class Injected:
    """A recording with one fault. ``text`` is the file's; ``line`` is where the fault stands, or where the
    line stood that is not there; ``kind`` is one of :data:`KINDS`. Its repr keeps the answer to itself."""

    text: str = field(repr=False)
    kind: str = field(repr=False)
    line: int = field(repr=False)
    source: str
    seed: int

    def write(self, path: str | Path) -> Path:
        """Write the text to a file; returns its path."""
        file = Path(path)
        file.write_text(self.text, encoding="utf-8")
        return file

    def guess(self, line: int) -> str:
        """What there is to say to a reader who believes that the fault is at this line."""
        if abs(line - self.line) <= 1:
            return f"Right: line {self.line}. {KINDS[self.kind][0].upper()}{KINDS[self.kind][1:]}"
        return f"Not at line {line}: the fault stands {'before' if self.line < line else 'after'} it."


def inject(recording: Recording | str | Path, seed: int = 0, kind: str | None = None) -> Injected:
    """Put one fault into a recording (one that was read, a file, or the name of an example).

    ``seed`` chooses its place and, unless ``kind`` names one of :data:`KINDS`, its kind. The same seed
    gives the same fault. Raises InputError for a file that cannot be read, for an unknown kind, and
    where there is no place for one.
    """
    good = recording if isinstance(recording, Recording) else read(recording)
    if kind is not None and kind not in KINDS:
        raise unknown("kind of fault", kind, KINDS, "kind")
    lines = good.path.read_text(encoding="utf-8", errors="replace").split("\n")
    random = Random(seed)
    possible = {name: places for name in ([kind] if kind else KINDS) if (places := _places(good, name))}
    if not possible:
        wanted = f"for '{kind}'" if kind else "for a fault: enter and leave do not access the register"
        raise InputError(f"there is no place in it {wanted}", printable(good.path))
    chosen = random.choice(sorted(possible))
    place = random.choice(possible[chosen])
    place(lines)
    return Injected("\n".join(lines), chosen, place.line, good.title, seed)


@frozen
class _Edit:
    """A fault at one line (from 1), and what it does to the file's lines."""

    line: int
    apply: Callable[[list[str]], None]

    def __call__(self, lines: list[str]) -> None:
        self.apply(lines)


def _places(good: Recording, kind: str) -> list[_Edit]:
    """Where a fault of this kind can be put."""
    told = [(good.follower.roles.get(event.line), event) for event in good.accesses()]
    hosts = [event.data for role, event in told if role == "leave-restore"]
    found = []
    values: list[int] = []  # of the guest, in the order in which they were seen
    for number, (role, event) in enumerate(told):
        older = [value for value in values if value != event.data]
        following = told[number + 1][1] if number + 1 < len(told) else None
        if role == "enter-load":
            if kind == "load forgotten":
                found.append(_Edit(event.line, _take_out(event.line)))
            elif kind == "old value loaded" and older:
                found.append(_Edit(event.line, _write(event.line, older[-1])))
            elif kind == "host value loaded" and hosts and hosts[0] != event.data:
                found.append(_Edit(event.line, _write(event.line, hosts[0])))
        elif role == "leave-save" and following and following.line == event.line + 1:
            if kind == "restored first" and following.data != event.data:
                found.append(_Edit(event.line, _turn_round(event, following)))
            elif kind == "restore forgotten":
                found.append(_Edit(following.line, _take_out(following.line)))
        if role in ("enter-load", "leave-save"):
            values.append(event.data)
    return found


def _take_out(line: int) -> Callable[[list[str]], None]:
    def edit(lines: list[str]) -> None:
        del lines[line - 1]
        for number, text in enumerate(lines):
            counted = _COUNT.match(text)
            if counted:
                start, held, written = counted.groups()
                lines[number] = f"{start}{int(held) - 1}/{int(written) - 1}{text[counted.end() :]}"

    return edit


def _write(line: int, value: int) -> Callable[[list[str]], None]:
    def edit(lines: list[str]) -> None:
        lines[line - 1] = _VALUE.sub(f"value {value:x}", lines[line - 1])

    return edit


def _turn_round(save: Event, restore: Event) -> Callable[[list[str]], None]:
    """The write first; the read after it finds what was written. Each keeps the other's time."""

    def edit(lines: list[str]) -> None:
        first, second = lines[save.line - 1], lines[restore.line - 1]
        body = re.compile(r"(?:read|write)_msr:.*")
        written = body.search(second)
        found = body.search(first)
        assert written is not None and found is not None  # both were read as accesses
        lines[save.line - 1] = first[: found.start()] + written[0]
        lines[restore.line - 1] = second[: written.start()] + _VALUE.sub(f"value {restore.data:x}", found[0])

    return edit
