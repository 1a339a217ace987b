"""Reads the text of a trace as events, in the forms in which people pass traces on.

These are the ``trace`` file (latency format and function_graph too), ``trace-cmd report``, ``perf script``,
an ftrace dump in a log, and each of them as a mail or a web page quotes it. A trace is read as far as
possible: lines that can't be read are skipped and counted; the notes say how many and where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from attrs import Factory, define, field

from vmxsim.errors import printable
from vmxsim.ftrace import layouts, source
from vmxsim.ftrace.events import TAIL, Bodies, Decoded, Event
from vmxsim.ftrace.layouts import PLAIN, Layout
from vmxsim.ftrace.source import SKIP, Source

_GRAPH_SWITCH = re.compile(r"(\d{1,6})\)\s+\S.*?-\d+\s+=>\s+(\S.*?)-(\d{1,10})\s*$")
_GRAPH_CALL = re.compile(r"([\w.]+)(?: \[\w+\])?\s*\(.*?\)\s*(?:\[\w+\]\s*)?([{;])")
_GRAPH_RETURN = re.compile(r"\}(?: /\* (?!ret=)([\w.]+))?")
_GRAPH_END = re.compile(r"\}(?: /\* \S.* \*/)?$")
_LOST = re.compile(r"CPU:?\s*(\d{1,6}).*(?:LOST|DROPPED|lost)|.*PERF_RECORD_LOST|.*\bprintk messages dropped")
_STARTED = re.compile(r"#* CPU (\d{1,6}) buffer started")
_EMPTY = re.compile(
    r"CPU \d+ is empty|cpus=|version = |-{10,}|Dumping ftrace |\(ftrace buffer empty\)|```"
    r"|.*<(?:user )?stack trace>\s*$|=> [^=]*$|[0-9a-f]{8,16} \S+ \(\S+\)$|\d+\)\s+(?:=+>|<=+)\s+\|"
)
_COMMENT = re.compile(r"#(?:[\s#!]|$)")
#: How lines name the register: its number, or the name that some tools print for it.
_REGISTER = re.compile(r"c0000102|3221225730|KERNEL_GS_BASE", re.IGNORECASE)
_WRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)|# latency: .*, #(\d+)/(\d+),")
#: An event is looked for in so many lines that follow its beginning.
_MAX_TAIL = 6
#: After so many joins that gave nothing, some seconds' worth, this is no wrapped text.
_MAX_TRIES = 300_000
#: In a file without longer lines, lines are likely to be wrapped.
_NARROW = 120


#: An ``Event`` of a tuple, in half the time that its constructor takes.
_event: Callable[[tuple[Any, ...]], Event] = partial(tuple.__new__, Event)
#: A line at its time: what stands before it, and what after it. Both recur, line after line.
_split = re.compile(r"([^:]*\s)(\d{1,20}\.\d++): (.*+)").match
#: What stands before the time: the task's name, pid, CPU, flags.
_Head = tuple[str, int, int, str]
#: What stands after it: an event's name, and what it says.
_Body = tuple[str, Decoded | None]
_Known = TypeVar("_Known", _Head, _Body)
_Parts = tuple[str, _Head, _Body]
#: So many of each are remembered.
_REMEMBERED = 4096
#: Events whose meaning depends on those before: trace-cmd's words for the function_graph tracer.
_GRAPH_EVENTS = ("funcgraph_entry", "funcgraph_exit")
#: An event's line: number, text, layout, and its parts, or a match that they are yet to be read from; None
#: where it is only the beginning of one.
_Line = tuple[int, str, Layout, re.Match[str] | _Parts | None]


@define
class Reader:
    """Reads one file (``-``: standard input). Iterate once over ``events()``; then the counters cover the
    whole file."""

    path: Path
    lines: int = 0
    matched: int = 0
    broken: int = 0
    first_broken: int = 0
    #: Of the broken lines, those that name the register: an access, perhaps, of which nothing is known.
    unread_register: int = 0
    first_unread: int = 0
    first_unread_text: str = ""
    lost: int = 0
    overwritten: int = 0
    promised: int = -1
    layout: str = "trace"
    _counts: bool = False
    #: By flags column.
    _preemptible: dict[str, bool | None] = Factory(lambda: {"": None})
    _comment: int = -1
    _no_cpu: bool = False
    #: Joins that gave nothing.
    _tries: int = 0
    #: Some line was broken where there is no space.
    _terminal: bool = False
    _source: Source = Factory(lambda self: Source(self.path), takes_self=True)
    _bodies: Bodies = field(factory=Bodies)
    #: By their text, in the layout of the last line.
    _heads: dict[str, _Head] = field(factory=dict)
    _read: dict[str, _Body] = field(factory=dict)
    _graph_pids: dict[int, tuple[int, str]] = field(factory=dict)
    _graph_stacks: dict[int, list[str]] = field(factory=dict)
    #: By thread: a wrapper's probe that no other event followed yet; the roles of those that were dropped.
    _outer: dict[int, Event] = field(factory=dict)
    _dropped: dict[int, set[str]] = field(factory=dict)

    def again(self) -> Reader:
        """A reader of the same file, at its beginning."""
        return Reader(self.path, source=self._source)

    def text(self) -> str:
        """The file's text, uncompressed."""
        return self._source.text()

    def events(self) -> Iterator[Event]:
        """Every event of interest, in the file's order. Raises InputError."""
        layout, match = PLAIN, PLAIN.match
        heads, read = self._heads, self._read
        line: _Line | None = None  # it may go on in the next one, and is read when that is known
        tail: list[tuple[int, str]] = []
        for first, lines in self._source.blocks():
            number = first
            for number, text in enumerate(lines, first):
                lost: Event | None = None
                following: _Line | None
                if (
                    (parts := _split(text)) is not None
                    and (head := heads.get(parts[1])) is not None
                    and (body := read.get(parts[3])) is not None
                ):
                    following = (number, text, layout, (parts[2], head, body))
                elif (found := match(text)) is not None:
                    following = (number, text, layout, found)
                else:
                    looked = self._look(number, text)
                    if looked is None:
                        continue
                    if isinstance(looked, str):
                        if line is not None and len(tail) < _MAX_TAIL:
                            tail.append((number, looked))
                        else:
                            self._is_broken(number, text)
                        continue
                    following, lost = looked
                    if following is not None and following[3] is not None:
                        layout, match = following[2], following[2].match
                        heads.clear()
                if line is not None:
                    if tail or line[3] is None:
                        line, tail = self._joined(line, tail), []
                    if line is not None and (event := self._event(line)) is not None:
                        if self._outer or event.kind in ("outer", "outer return"):
                            yield from self._once(event)
                        else:
                            yield event
                line = following
                if lost is not None:
                    yield lost
            self.lines = number
        if line is not None and (line := self._joined(line, tail)) is not None:
            if (event := self._event(line)) is not None:
                yield from self._once(event)
        yield from self._outer.values()

    def _event(self, line: _Line) -> Event | None:
        """What an event's line says."""
        number, text, layout, found = line
        assert found is not None
        self.matched += 1
        try:
            if isinstance(found, tuple):
                time, (task, pid, cpu, flags), (name, got) = found
            elif layout.graph:
                return self._graph(number, found)
            else:
                time, (task, pid, cpu, flags), (name, got) = self._parts(found)
        except (ValueError, IndexError, KeyError):
            self._is_broken(number, text)
            return None
        if got is None:
            return None
        if flags not in self._preemptible:
            self._learn(flags)
        enabled = self._preemptible[flags]
        kind, data = got
        return _event((number, layout.seconds(time), cpu, pid, task, name, kind, data, enabled))

    def _parts(self, found: re.Match[str]) -> _Parts:
        """What a line says before and after its time. Raises ValueError, IndexError or KeyError."""
        comm, pid, cpu, flags, time, name, text, called = found.groups()
        head = (layouts.task(comm), int(pid), int(cpu), flags or "")
        if name:
            name = name.rpartition(":")[2]  # perf's and trace-cmd's "system:event"
            body = (name, self._bodies.decode(name, text))
            if body[1] is None and name in _GRAPH_EVENTS:
                return time, head, self._graph_function(head[1], text.rpartition("|")[2].strip())
        else:
            body = (called, self._bodies.call(called, False))
        split = _split(found.string)
        if split is not None and split.span(2) == found.span(5):
            _remember(self._heads, split[1], head)
            _remember(self._read, split[3], body)
        return time, head, body

    def _learn(self, flags: str) -> None:
        """Whether preemption was enabled: the fourth flag is the depth of preempt_disable(), on kernels
        that count it. Kernels that don't never show a number there."""
        enabled = len(flags) < 4 or flags[3] == "."
        if not enabled and not self._counts:
            self._counts = True
            self._preemptible = {"": None}  # from now on a dot says something
        self._preemptible[flags] = (enabled if self._counts else None) if len(flags) > 3 else None

    def _look(self, number: int, text: str) -> tuple[_Line | None, Event | None] | str | None:
        """A line that is not in the last one's layout: an event's line or its beginning; lost events; None
        for an annotation; the text itself where it can't be read."""
        if not text or text == SKIP or text.isspace():
            return None
        if found := layouts.find(text):
            layout, match = found
            if self.layout == "trace":
                self.layout = layout.name
            return (number, text, layout, match), None
        bare = layouts.without_prefix(text).lstrip()
        if lost := _LOST.match(bare):
            self.lost += 1
            return None, Event(number, 0.0, int(lost[1] or -1), -1, "", "lost", "lost", None)
        if started := _STARTED.match(bare):
            if not self.overwritten:
                return None
            return None, Event(number, 0.0, int(started[1]), -1, "", "buffer started", "lost", None)
        if _COMMENT.match(bare):
            self._comment = number
            if written := _WRITTEN.match(bare):
                held, total = (int(count) for count in written.groups() if count)
                self.promised = held
                self.overwritten = max(0, total - held)
            return None
        if switch := _GRAPH_SWITCH.match(bare):
            self._graph_pids[int(switch[1])] = (int(switch[3]), switch[2].strip())
            return None, None
        if _EMPTY.match(bare) or not bare:
            return None
        if number == self._comment + 1 and self._source.longest <= _NARROW and not _REGISTER.search(bare):
            return None  # a wrapped comment
        if layouts.NO_CPU.match(bare):
            self._no_cpu = True
        if layouts.begins(text):
            return (number, text, PLAIN, None), None
        return text

    def _joined(self, line: _Line, tail: list[tuple[int, str]]) -> _Line | None:
        """The line with what a mail program has put on the next ones; None if it can't be read. Lines of the
        tail that do not belong to it can't be read either."""
        if isinstance(line[3], tuple):
            line = (*line[:3], line[2].match(line[1]))
        quotation = layouts.quotation(line[1])
        raw = [text for _, text in tail]
        narrow = self._source.longest <= _NARROW
        full = [narrow and len(text) >= self._source.longest - 1 for text in (line[1], *raw)]
        joined, taken = self._with_rest(line, [text.removeprefix(quotation) for text in raw], full)
        if joined is not None and not taken:
            joined, taken = self._with_rest(line, [*map(layouts.without_prefix, raw)], full)
        if joined is None or joined[3] is None:
            joined = None
            self._is_broken(line[0], line[1])
        for number, text in tail[taken:]:
            self._is_broken(number, text)
        return joined

    def _with_rest(self, line: _Line, texts: list[str], full: list[bool]) -> tuple[_Line | None, int]:
        """A line with those of the next ones that belong to it, and how many do. None if its value may be
        only the first half of one."""
        taken = 0
        best = line
        separators = ("", " ") if full[0] else (" ", "")
        narrow = self._source.longest <= _NARROW
        whole = self._whole(line)
        for number, text in enumerate(texts, 1):
            alike = bool(TAIL.match(text)) and (narrow or "=" in text or "#GP" in text)
            if whole is None or (whole and not alike and not full[number - 1]):
                break
            at_spaces = self._join(line, texts[:number], (" ",))
            anywhere = self._join(line, texts[:number], separators)
            if whole and not self._terminal:
                if anywhere and not at_spaces:
                    if full[number - 1]:
                        return None, 0
                    break
                anywhere = at_spaces
            elif anywhere and not at_spaces and full[0]:
                self._terminal = True
            if anywhere:
                best, taken, whole = anywhere, number, self._whole(anywhere)
        if whole is None and narrow:
            # an event that does not matter: where lines are wrapped, so is its own
            while taken < len(texts) and not _REGISTER.search(texts[taken]):
                taken += 1
            best = (taken and self._join(line, texts[:taken], separators)) or best
        return best, taken

    def _join(self, line: _Line, tail: list[str], separators: tuple[str, ...]) -> _Line | None:
        """A mail program breaks lines at a space, a terminal anywhere: its lines are all of one length."""
        for between in product(separators, repeat=len(tail)):
            if self._tries > _MAX_TRIES:
                return None
            text = line[1].rstrip() if between[0] else line[1]
            for separator, more in zip(between, tail, strict=True):
                text += separator + more.strip()
            if found := layouts.find(text):
                joined = (line[0], text, *found)
                if self._whole(joined) is not False:
                    return joined
            self._tries += 1
        return None

    def _whole(self, line: _Line) -> bool | None:
        """Whether nothing of an event is missing in its line; None if nothing is known of such events."""
        _, _, layout, found = line
        if found is None:
            return False
        assert isinstance(found, re.Match)
        if layout.graph:
            body = found[5].strip()
            if not body.startswith("/*"):
                return bool(_GRAPH_CALL.match(body) or _GRAPH_END.match(body))
            if not body.endswith("*/"):
                return False
            name, _, text = body[2:-2].strip().partition(": ")
            return self._bodies.whole(name, text)
        name, text = found[6], found[7]
        return self._bodies.whole(name.rpartition(":")[2], text) if name else True

    def _once(self, event: Event) -> Iterator[Event]:
        """A wrapper (``vt_vcpu_put``) and the function that it calls (``vmx_vcpu_put``) count once: the
        wrapper's probe waits for its thread's next event."""
        outer = self._outer.pop(event.pid, None)
        role, fields = event.data if event.kind in ("outer", "outer return", "probe", "leaf") else ("", {})
        if outer is not None:
            if event.kind in ("probe", "leaf") and outer.data[0] == role:
                self._dropped.setdefault(event.pid, set()).add(role)
                event = event._replace(data=(role, outer.data[1] | fields))
            else:
                yield outer
        if event.kind == "outer":
            self._outer[event.pid] = event._replace(kind="probe")
        elif event.kind != "outer return":
            yield event
        elif role in (dropped := self._dropped.get(event.pid, set())):
            dropped.discard(role)
        else:
            yield event._replace(kind="return")

    def _is_broken(self, number: int, text: str) -> None:
        self.broken += 1
        self.first_broken = min(number, self.first_broken or number)
        if _REGISTER.search(text):
            self.unread_register += 1
            if not self.first_unread or number < self.first_unread:
                self.first_unread, self.first_unread_text = number, printable(text.strip(), 120)

    def _graph(self, number: int, found: re.Match[str]) -> Event | None:
        time, cpu_text, comm, pid_text, body = found.groups()
        cpu = int(cpu_text)
        if pid_text is not None:
            pid, comm = int(pid_text), comm.strip()
        else:
            pid, comm = self._graph_pids.get(cpu, (-2 - cpu, "?"))
        name = ""
        got: Decoded | None
        if body.startswith("/*"):
            inner = body[2:].strip().removesuffix("*/").strip()
            name, colon, text = inner.partition(": ")
            got = self._bodies.decode(name, text) if colon else None
            if got is None and (not colon or " " in name):
                name, got = "tracing_mark_write", ("marker", inner)
        else:
            name, got = self._graph_function(pid, body)
        return Event(number, float(time or 0), cpu, pid, comm, name, *got) if got else None

    def _graph_function(self, pid: int, body: str) -> tuple[str, Decoded | None]:
        """``fn() {`` is a call, ``}`` its return, ``fn();`` both with nothing in between."""
        stack = self._graph_stacks.setdefault(pid, [])
        if call := _GRAPH_CALL.match(body):
            got = self._bodies.call(call[1], False)
            if call[2] == "{":
                stack.append(call[1])
            elif got is not None:
                got = "leaf", got[1]
            return call[1], got
        if returned := _GRAPH_RETURN.match(body):
            called = stack.pop() if stack else ""
            name = returned[1] or called
            return name, self._bodies.call(name, True) if name else None
        return "", None

    @property
    def recorded(self) -> set[str]:
        """The names of the tracepoints seen so far."""
        return self._bodies.recorded

    @property
    def vendor(self) -> str:
        """``amd`` where the trace is of KVM on AMD; '' if nothing shows that."""
        return "amd" if self._bodies.amd or self._source.kvm_amd else ""

    @property
    def cut_line(self) -> bool:
        """The last line has no end."""
        return self._source.cut_line

    @property
    def cut_size(self) -> bool:
        """The file is longer than what was read."""
        return self._source.cut_size

    @property
    def complete(self) -> bool:
        """The file says how many events were written, and all of them were read."""
        missing = self.lost or self.overwritten or self.broken
        cut = self.cut_line or self.cut_size or self._source.damaged
        return self.promised == self.matched and not missing and not cut

    def notes(self) -> list[str]:
        """What to know about the file when reading the verdict."""
        notes = []
        if self.vendor:
            shown = self._bodies.amd or "module kvm_amd"
            notes.append(f"this is KVM on AMD ({printable(shown)}); vmxsim follows Intel VMX only")
        if self.lost:
            notes.append(f"{self.lost} place(s) where events were lost: what was known there was forgotten")
        if self.overwritten:
            notes.append(f"{self.overwritten} older event(s) were overwritten before the trace was saved")
        if self.broken:
            notes.append(
                f"{self.broken} line(s) can't be read, the first is line {self.first_broken}: left out"
            )
        if self.unread_register:
            notes.append(
                f"{self.unread_register} of them name(s) the register, the first is "
                f"line {self.first_unread}: {self.first_unread_text}"
            )
        if self._no_cpu:
            notes.append("lines of perf script without the CPU can't be followed: run 'perf script -F +cpu'")
        if self.cut_line:
            notes.append("the last line has no end and may be cut off: left out")
        if self._source.damaged:
            notes.append("the compressed file is cut off or damaged: read up to there")
        if self.cut_size:
            notes.append(f"only the first {source.MAX_BYTES >> 20} MiB were read")
        return notes


def _remember(known: dict[str, _Known], text: str, what: _Known) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[text] = what
