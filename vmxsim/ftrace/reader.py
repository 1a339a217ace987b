"""Reads ftrace text (the ``trace`` file, ``trace-cmd report``, function_graph) as events.

A trace is read as far as possible. Lines that can't be read are skipped and counted; the notes say how
many there are and where the first one is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attrs import define, field

from vmxsim.errors import InputError, printable

#: MSR_KERNEL_GS_BASE, the one register this is all about.
KERNEL_GS_BASE = 0xC0000102
#: MSR_EFER; bit 8 is LME (long mode enabled), bit 10 LMA (long mode active).
EFER = 0xC0000080
EFER_LME = 1 << 8
EFER_LMA = 1 << 10
#: CR0.PG.
CR0_PG = 1 << 31

#: The role of a kernel function, whatever it is called in which release: *enter* loads the
#: guest's state, *leave* restores the host's, *put* and *load* are the calls around them.
FUNCTIONS = {
    "vmx_save_host_state": "enter",
    "vmx_prepare_guest_switch": "enter",
    "vmx_prepare_switch_to_guest": "enter",
    "vmx_load_host_state": "leave",
    "__vmx_load_host_state": "leave",
    "vmx_prepare_switch_to_host": "leave",
    "vcpu_put": "put",
    "kvm_arch_vcpu_put": "put",
    "vmx_vcpu_put": "put",
    "kvm_sched_out": "put",
    "vcpu_load": "load",
    "kvm_arch_vcpu_load": "load",
    "vmx_vcpu_load": "load",
    "kvm_sched_in": "load",
    "vmx_vcpu_run": "run",
    "vmx_get_msr": "get",
    "vmx_set_msr": "set",
    "vmx_set_efer": "efer",
    "vmx_set_efer_part": "efer_work",
    "vmx_set_cr0": "set_cr0",
    "vmx_read_guest_kernel_gs_base": "accessor_read",
    "vmx_write_guest_kernel_gs_base": "accessor_write",
    "vmx_enable_intercept_for_msr": "intercept_on",
    "vmx_disable_intercept_for_msr": "intercept_off",
}

Fields = dict[str, int]


class Event(NamedTuple):
    """An event: its line in the file (from 1), when (seconds), on which CPU, by whom.

    ``preemptible`` is whether preemption was enabled, from the flags column; None: not known. ``kind`` is
    one of the few kinds that matter to the register, and ``data`` depends on it:

    =============== ====================================================================
    kind            data
    =============== ====================================================================
    ``rdmsr``       the value read from KERNEL_GS_BASE
    ``wrmsr``       the value written to it
    ``entry``       the vCPU number of ``kvm_entry`` (it repeats across VMs)
    ``exit``        the exit reason, a word
    ``userspace``   None: KVM_RUN returns to user space
    ``msr``         (is a write, MSR number, value): a guest's access that KVM emulated
    ``cr0``         the value that the guest moves to CR0
    ``switch``      (prev pid, prev name, next pid, next name)
    ``marker``      the text written to trace_marker
    ``probe``       (function, fields): a kprobe at a function's entry
    ``return``      (function, fields): its return
    ``leaf``        (function, fields): both, with no event in between (function_graph)
    ``lost``        None: events of this CPU are missing here
    =============== ====================================================================
    """

    line: int
    time: float
    cpu: int
    pid: int
    comm: str
    name: str
    kind: str
    data: Any
    preemptible: bool | None = None


#: An event's kind and data.
Decoded = tuple[str, Any]

_U64 = (1 << 64) - 1
#: The kernel's own print format and that of trace-cmd's sched_switch plug-in.
_SWITCH = re.compile(
    r"prev_comm=(.{0,64}?) prev_pid=(\d+) prev_prio=\S+ prev_state=\S+ "
    r"==> next_comm=(.{0,64}?) next_pid=(\d+)"
    r"|(.{0,64}?):(\d+) \[-?\d+\] \S+ ==> (.{0,64}?):(\d+) \["
)
_REASON = re.compile(r"reason (\w+)")
_VCPU = re.compile(r"vcpu (\d+)")
_FIELD = re.compile(r" (\w+)=(-?\w+)")
_AT_ENTRY = re.compile(r"\(([A-Za-z_][\w.]*)\+0x0/")
_AT_RETURN = re.compile(r"<- ([A-Za-z_][\w.]*)\)?")
_ANY_RETURN = re.compile(r"\(\S.* <- ")
#: GCC's suffixes of split-off or specialised functions; ``.part.0`` is kept as ``_part``.
_SUFFIX = re.compile(r"\.(isra|constprop|cold|llvm)\b.*")
_PROBE_PREFIX = re.compile(r"^(?:ret_|p_|r_|probe_|return_)")
_PROBE_SUFFIX = re.compile(r"(?:_\d+|_ret|_return|__return|_entry|_exit)$")
#: kvm_exit reasons that some readers print as numbers (SDM volume 3, appendix C).
_REASONS = {"28": "CR_ACCESS", "0x1c": "CR_ACCESS", "31": "MSR_READ", "0x1f": "MSR_READ", "32": "MSR_WRITE"}


def _msr(kind: str) -> Callable[[str], Decoded | None]:
    def decode(text: str) -> Decoded | None:
        number, comma, rest = text.partition(",")
        if not comma or int(number, 16) != KERNEL_GS_BASE or "#GP" in rest:
            return None
        word, _, value = rest.strip().partition(" ")
        if word != "value":
            raise ValueError("no value")
        return kind, int(value, 16) & _U64

    return decode


def _entry(text: str) -> Decoded:
    found = _VCPU.search(text)
    return "entry", int(found[1]) if found else 0


def _exit(text: str) -> Decoded:
    found = _REASON.search(text)
    if not found:
        raise ValueError("no exit reason")
    return "exit", _REASONS.get(found[1], found[1])


def _kvm_msr(text: str) -> Decoded | None:
    words = text.split()
    if "#GP" in text:
        return None
    return "msr", (words[0] == "msr_write", int(words[1], 16), int(words[3], 16))


def _kvm_cr(text: str) -> Decoded | None:
    words = text.split()
    if words[0] != "cr_write" or words[1] != "0":
        return None
    return "cr0", int(words[3], 16)


def _switch(text: str) -> Decoded:
    found = _SWITCH.match(text)
    if not found:
        raise ValueError("neither of the two known layouts of sched_switch")
    g = found.groups()
    prev_comm, prev, next_comm, next_ = g[:4] if g[1] is not None else g[4:]
    return "switch", (int(prev), prev_comm, int(next_), next_comm)


_DECODERS: dict[str, Callable[[str], Decoded | None]] = {
    "read_msr": _msr("rdmsr"),
    "write_msr": _msr("wrmsr"),
    "kvm_entry": _entry,
    "kvm_exit": _exit,
    "kvm_userspace_exit": lambda _text: ("userspace", None),
    "kvm_msr": _kvm_msr,
    "kvm_cr": _kvm_cr,
    "sched_switch": _switch,
}
_MARKERS = ("tracing_mark_write", "print", "bprint")


def _canonical(symbol: str) -> str:
    if ".part." in symbol:
        symbol = symbol.split(".part.")[0] + "_part"
    return _SUFFIX.sub("", symbol)


class Bodies:
    """Decodes events by name; remembers which function each kprobe's name stands for.

    ``recorded``: the names of the tracepoints seen, whatever register or CPU an event was about.
    """

    def __init__(self) -> None:
        self.recorded: set[str] = set()
        self._probes: dict[str, tuple[str, str] | None] = {}

    def decode(self, name: str, text: str) -> Decoded | None:
        """The event's kind and data; None for an event that does not matter here.

        Raises ValueError or IndexError if the text does not fit the event's name.
        """
        decoder = _DECODERS.get(name)
        if decoder is not None:
            self.recorded.add(name)
            return decoder(text)
        if text.startswith("("):
            return self._probe(name, text)
        if name.startswith(_MARKERS):
            _, _, rest = text.partition("tracing_mark_write: ")
            return "marker", rest or text
        return None

    def call(self, symbol: str, returning: bool) -> Decoded | None:
        """A function that the function or function_graph tracer shows: a probe without fields."""
        role = FUNCTIONS.get(_canonical(symbol))
        if role is None:
            return None
        return ("return" if returning else "probe"), (role, {})

    def _probe(self, name: str, text: str) -> Decoded | None:
        if name not in self._probes:
            self._probes[name] = self._role(name, text)
        if (known := self._probes[name]) is None:
            return None
        kind, role = known
        fields: Fields = {}
        for key, value in _FIELD.findall(text):
            try:
                fields[key] = int(value, 0) & _U64
            except ValueError:
                continue  # a string field of somebody's own probe
        return kind, (role, fields)

    def _role(self, name: str, text: str) -> tuple[str, str] | None:
        """A probe's function: from the symbol that the kernel prints, else from the probe's name
        (trace-cmd prints bare addresses when it has no symbols)."""
        returning = bool(_ANY_RETURN.match(text))
        found = (_AT_RETURN if returning else _AT_ENTRY).search(text)
        bare = _PROBE_PREFIX.sub("", name.rpartition(":")[2])
        for symbol in (found[1] if found else "", bare, _PROBE_SUFFIX.sub("", bare)):
            role = FUNCTIONS.get(_canonical(symbol))
            if role is not None:
                return ("return" if returning else "probe"), role
        return None


#: Longer files are read up to this size, and the notes say so.
MAX_BYTES = 1 << 29
_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 14

# TASK-PID (TGID)? [CPU] flags? TIME: name: text | name <-caller. A task's name may hold spaces and dashes.
_LINE = re.compile(
    r"\s*(.{1,40}?)-(\d+)\s+(?:\([\s\d-]+\)\s+)?\[(\d+)\]\s+(?:([^\s\d]\S{2,9})\s+)?(\d+(?:\.\d+)?):\s+"
    r"(?:([\w.:/-]+)(?:\+0x\w+/0x\w+)?:\s*(.*)|([\w.]+)(?:\s+\[\w+\])?\s+<-.*)"
)
# TIME |? CPU) TASK-PID |? flags |? duration | body
_GRAPH = re.compile(r"\s*(?:(\d+\.\d+)\s+\|\s+)?(\d+)\)\s+(?:(\S.*?)-(\d+)\s+\|)?(?:[^|/{}();]*\|)+\s*(\S.*)")
_GRAPH_SWITCH = re.compile(r"\s*(\d+)\)\s+\S.*?-\d+\s+=>\s+(\S.*?)-(\d+)\s*$")
_GRAPH_CALL = re.compile(r"([\w.]+)(?: \[\w+\])?\s*\(.*?\)\s*(?:\[\w+\]\s*)?([{;])")
_GRAPH_RETURN = re.compile(r"\}(?: /\* ([\w.]+))?")
_LOST = re.compile(r"CPU:?\s*(\d+).*(?:LOST|DROPPED|lost)")
_STARTED = re.compile(r"#* CPU (\d+) buffer started")
_EMPTY = re.compile(r"CPU \d+ is empty|cpus=|version = |\s*-{10,}")
#: How lines name the register: its number, or the name that some tools print for it.
_REGISTER = re.compile(r"c0000102|KERNEL_GS_BASE", re.IGNORECASE)
_WRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)")


@define
class Reader:
    """Reads one file. Iterate once over ``events()``; then the counters cover the whole file."""

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
    cut_line: bool = False
    cut_size: bool = False
    layout: str = "trace"
    _counts: bool = False
    _bodies: Bodies = field(factory=Bodies)
    _graph_pids: dict[int, tuple[int, str]] = field(factory=dict)
    _graph_stacks: dict[int, list[str]] = field(factory=dict)

    def events(self) -> Iterator[Event]:
        """Every event of interest, in the file's order. Raises InputError."""
        decode = self._bodies.decode
        for number, text in enumerate(self._text(), 1):
            self.lines = number
            found = _LINE.match(text)
            if found is None:
                yield from self._other(number, text)
                continue
            self.matched += 1
            comm, pid, cpu, flags, time, name, body, called = found.groups()
            try:
                got = decode(name, body) if name else self._bodies.call(called, False)
                if name and got is None and ":" in name:  # perf's and trace-cmd's "system:event"
                    got = decode(name.rpartition(":")[2], body)
            except (ValueError, IndexError):
                self._is_broken(number, text)
                continue
            if got is not None:
                enabled = self._enabled(flags)
                yield Event(number, float(time), int(cpu), int(pid), comm, name or called, *got, enabled)

    def _enabled(self, flags: str | None) -> bool | None:
        """Whether preemption was enabled: the fourth flag is the depth of preempt_disable(), on kernels
        that count it. Kernels that don't never show a number there."""
        if flags is None or len(flags) < 4:
            return None
        if flags[3] != ".":
            self._counts = True
            return False
        return True if self._counts else None

    def _text(self) -> Iterator[str]:
        """The file's lines without their ends; never more than a bounded part of it in memory."""
        try:
            with self.path.open("rb") as file:
                rest = b""
                size = 0
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    if size == len(chunk) and b"\0" in chunk[:4096] and not _has_events(chunk):
                        raise InputError(_what_it_is(chunk), printable(self.path))
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
                    if len(rest) > _LONGEST_LINE:
                        rest = rest[: _LONGEST_LINE // 2]  # no line of a trace: keep memory bounded
                    if size >= MAX_BYTES:
                        self.cut_size = True
                        rest = b""
                        break
        except OSError as error:
            raise InputError(f"can't be read: {error.strerror}", printable(self.path, 300)) from error
        # A last line without an end may be cut in the middle of a value: it is not used.
        self.cut_line = bool(rest.strip())

    def _is_broken(self, number: int, text: str) -> None:
        self.broken += 1
        self.first_broken = self.first_broken or number
        if _REGISTER.search(text):
            self.unread_register += 1
            if not self.first_unread:
                self.first_unread, self.first_unread_text = number, printable(text.strip(), 120)

    def _other(self, number: int, text: str) -> Iterator[Event]:
        """A line in another layout, an annotation, or a line that can't be read."""
        if not text or text.isspace():
            return
        if lost := _LOST.match(text):
            self.lost += 1
            yield Event(number, 0.0, int(lost[1]), -1, "", "lost", "lost", None)
        elif started := _STARTED.match(text):
            if self.overwritten:
                yield Event(number, 0.0, int(started[1]), -1, "", "buffer started", "lost", None)
        elif text.startswith("#"):
            if written := _WRITTEN.match(text):
                self.promised = int(written[1])
                self.overwritten = max(0, int(written[2]) - self.promised)
        elif graph := _GRAPH.match(text):
            self.matched += 1
            self.layout = "function_graph"
            if event := self._graph(number, graph):
                yield event
        elif switch := _GRAPH_SWITCH.match(text):
            self._graph_pids[int(switch[1])] = (int(switch[3]), switch[2].strip())
        elif not _EMPTY.match(text):
            self._is_broken(number, text)

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
            try:
                got = self._bodies.decode(name, text) if colon else None
            except (ValueError, IndexError):
                self._is_broken(number, found[0])
                return None
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
    def complete(self) -> bool:
        """The file says how many events were written, and all of them were read."""
        missing = self.lost or self.overwritten or self.broken or self.cut_line or self.cut_size
        return self.promised == self.matched and not missing

    def notes(self) -> list[str]:
        """What to know about the file when reading the verdict."""
        notes = []
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
        if self.cut_line:
            notes.append("the last line has no end and may be cut off: left out")
        if self.cut_size:
            notes.append(f"only the first {MAX_BYTES >> 20} MiB were read")
        return notes


def _what_it_is(start: bytes) -> str:
    if start[3:10] == b"tracing":
        return "trace-cmd's binary file, not text; run 'trace-cmd report -i FILE > TEXT' first"
    return "a binary file; expected ftrace text: /sys/kernel/tracing/trace, saved with cat"


def _has_events(chunk: bytes) -> bool:
    """Whether a chunk contains a line of a trace."""
    lines = chunk.decode("utf-8", "replace").split("\n")
    return any(_LINE.match(line[:_LONGEST_LINE]) or _GRAPH.match(line[:_LONGEST_LINE]) for line in lines)
