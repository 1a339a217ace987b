"""What stands after an event's name, decoded: one small function for each event of interest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vmxsim.ftrace.events import FUNCTIONS, KERNEL_GS_BASE, Fields

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
    """Decodes events by name; remembers which function each kprobe's name stands for."""

    def __init__(self) -> None:
        self._probes: dict[str, tuple[str, str] | None] = {}

    def decode(self, name: str, text: str) -> Decoded | None:
        """The event's kind and data; None for an event that tells nothing here.

        Raises ValueError (or IndexError) where the text is not what the event's name promises.
        """
        decoder = _DECODERS.get(name)
        if decoder is not None:
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
        known = self._probes[name]
        if known is None:
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
        for symbol in (found[1] if found else "", *_names(name)):
            role = FUNCTIONS.get(_canonical(symbol))
            if role is not None:
                return ("return" if returning else "probe"), role
        return None


def _names(name: str) -> list[str]:
    bare = _PROBE_PREFIX.sub("", name.rpartition(":")[2])
    return [bare, _PROBE_SUFFIX.sub("", bare)]
