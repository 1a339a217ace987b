"""What an event's text means for the register, whichever tool printed it.

The same event reads differently in the kernel's own print format, through the plug-ins of trace-cmd and
perf, and as raw fields (``trace-cmd report -R``, ``options/fields``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

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
#: Where KVM is built with TDX (Linux 6.16 on), each of these only calls the function named ``vmx_`` instead.
WRAPPERS = {
    f"vt_{name}": FUNCTIONS[f"vmx_{name}"]
    for name in (
        "prepare_switch_to_guest",
        "vcpu_load",
        "vcpu_put",
        "vcpu_run",
        "get_msr",
        "set_msr",
        "set_efer",
        "set_cr0",
    )
}
#: Functions that only KVM on AMD has.
_AMD_FUNCTIONS = {
    "svm_prepare_guest_switch",
    "svm_prepare_switch_to_guest",
    "svm_prepare_host_switch",
    "svm_vcpu_load",
    "svm_vcpu_put",
    "svm_vcpu_run",
    "__svm_vcpu_run",
    "svm_vcpu_enter_exit",
    "svm_handle_exit",
    "svm_get_msr",
    "svm_set_msr",
    "svm_set_efer",
    "svm_set_cr0",
}
_AMD_EVENTS = {"kvm_skinit", "kvm_invlpga"}

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

    The reader itself also meets ``outer`` and ``outer return``: a probe at one of :data:`WRAPPERS`.
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
#: The kernel's own print format, that of the sched_switch plug-in, and raw fields.
_SWITCH = re.compile(
    r"prev_comm=(.{0,64}?) prev_pid=(\d+) prev_prio=\S+ prev_state=\S+ "
    r"==> next_comm=(.{0,64}?) next_pid=(\d+) next_prio=-?\d+"
    r"|(.{0,64}?):(\d+) \[-?\d+\] \S+ ==> (.{0,64}?):(\d+) \[-?\d+\]"
    r"|prev_comm=(.{0,64}?) prev_pid=(0x\w+|\d+)\b.*? "
    r"next_comm=(.{0,64}?) next_pid=(0x\w+|\d+)\b.* next_prio="
)
_REASON = re.compile(r"reason:? (\w+)")
_VCPU = re.compile(r"vcpu (\d+)|vcpu_id=(\w+)")
_FIELD = re.compile(r"(\w+)=(-?\w+)")
_NAMED = re.compile(r"\w+\(([0-9a-f]+)\)")
_AT_ENTRY = re.compile(r"\(([A-Za-z_][\w.]*)\+0x0/")
_AT_RETURN = re.compile(r"<- ([A-Za-z_][\w.]*)\)?")
_ANY_RETURN = re.compile(r"\(\S.* <- ")
_ADDRESSES = re.compile(r"__probe_\w+=\S+(?: \(-?\d+\))?")
_PROBE = ("(", "__probe_ip=", "__probe_func=")
#: GCC's suffixes of split-off or specialised functions; ``.part.0`` is kept as ``_part``.
_SUFFIX = re.compile(r"\.(isra|constprop|cold|llvm)\b.*")
_PROBE_PREFIX = re.compile(r"^(?:ret_|p_|r_|probe_|return_)")
_PROBE_SUFFIX = re.compile(r"(?:_\d+|_ret|_return|__return|_entry|_exit)$")
#: kvm_exit reasons that some readers print as numbers (SDM volume 3, appendix C).
_REASONS = {28: "CR_ACCESS", 31: "MSR_READ", 32: "MSR_WRITE"}
#: Words of an event's text of which a mail program may have put the rest on the next line; never prose.
_WORDS = (
    r"[\w.]+=\S*|(?:0?x)?[0-9a-f]+[,)]?|rip|value|vcpu|info\d?|\w*(?:intr_info|error_code)|==>|<-|\(?#GP\)?"
    r"|\(\d+\)|\[[\w-]+\]\)?|\)"
)
TAIL = re.compile(rf"\s*(?:(?:(?:{_WORDS})(?:\s+|$))+(?:\*/)?|\*/|/\* [\w.]+(?: \[\w+\])? \*/)$")


def _raw(text: str) -> Fields:
    """Raw fields: ``msr=3221225730 val=0 failed=0``, or with ``0xc0000102 (3221225730)`` for a value."""
    return {key: int(value, 0) for key, value in _FIELD.findall(text) if value.lstrip("-")[:1].isdigit()}


def _msr(kind: str) -> Callable[[str], Decoded | None]:
    def decode(text: str) -> Decoded | None:
        number, comma, rest = text.partition(",")
        if not comma:
            fields = _raw(text)
            if fields["msr"] & 0xFFFFFFFF != KERNEL_GS_BASE or fields.get("failed"):
                return None
            return kind, fields["val"] & _U64
        if "(" in number and (named := _NAMED.fullmatch(number)):  # as decode_msr.py writes it
            number = named[1]
        if int(number, 16) != KERNEL_GS_BASE or "#GP" in rest:
            return None
        word, _, value = rest.strip().partition(" ")
        if word != "value":
            raise ValueError("no value")
        return kind, int(value, 16) & _U64

    return decode


def _entry(text: str) -> Decoded:
    found = _VCPU.search(text)
    return "entry", int(found[1] or found[2], 0) if found else 0


def _kvm_msr(text: str) -> Decoded | None:
    if text.startswith("msr_"):
        words = text.split()
        if "#GP" in text:
            return None
        return "msr", (words[0] == "msr_write", int(words[1], 16), int(words[3], 16))
    fields = _raw(text)
    if fields.get("exception"):
        return None
    return "msr", (bool(fields["write"]), fields["ecx"] & 0xFFFFFFFF, fields["data"] & _U64)


def _kvm_cr(text: str) -> Decoded | None:
    if text.startswith("cr_"):
        words = text.split()
        if words[0] != "cr_write" or words[1] != "0":
            return None
        return "cr0", int(words[3], 16)
    fields = _raw(text)
    return ("cr0", fields["val"] & _U64) if fields["rw"] and not fields["cr"] else None


def _switch(text: str) -> Decoded:
    found = _SWITCH.match(text)
    if not found:
        raise ValueError("none of the known layouts of sched_switch")
    g = found.groups()
    prev_comm, prev, next_comm, next_ = g[:4] if g[1] is not None else g[4:8] if g[5] is not None else g[8:]
    return "switch", (int(prev, 0), prev_comm, int(next_, 0), next_comm)


_DECODERS: dict[str, Callable[[str], Decoded | None]] = {
    "read_msr": _msr("rdmsr"),
    "write_msr": _msr("wrmsr"),
    "kvm_entry": _entry,
    "kvm_userspace_exit": lambda _text: ("userspace", None),
    "kvm_msr": _kvm_msr,
    "kvm_cr": _kvm_cr,
    "sched_switch": _switch,
}
#: When nothing of an event's text is on the next line.
_WHOLE = {
    "read_msr": re.compile(r".*\bvalue [0-9a-f]+(?: #GP)?\s*$|.*\bval=.*\bfailed=\S+"),
    "kvm_entry": re.compile(r".*vcpu(?:_id=| )\d"),
    "kvm_exit": re.compile(r".*\breason \w+(?: \(?\w+\)?)? rip \S|.*exit_reason=\d.*isa=\d"),
    "kvm_msr": re.compile(r"msr_\w+ [0-9a-f]+ = 0x[0-9a-f]+(?: \(#GP\))?\s*$|.*\bdata=.*exception="),
    "kvm_cr": re.compile(r"cr_\w+ \d+ = 0x[0-9a-f]+\s*$|.*\bval=\S+"),
    "sched_switch": _SWITCH,
    "kvm_userspace_exit": re.compile(r"reason \w+ \(-?\d+\)|reason=\d"),
    "_": re.compile(r"(?:\w+=(?:0x[0-9a-f]+|-?\d+|[0-9a-f]{16}|\"[^\"]*\")(?: \(-?\d+\))?(?:\s+|$))+$"),
    "(": re.compile(
        r"\((?:[\w.+/]+(?: \[\w+\])?|\[unknown/kretprobe'd\])(?: <- [\w.]+(?: \[\w+\])?)?\)"
        r"(?:\s+[\w.]+=(?:\"[^\"]*\"|[^\s=]+))*\s*$"
    ),
}
_WHOLE["write_msr"] = _WHOLE["read_msr"]
#: More names of events than this, and they are no names.
_MANY = 10_000
_MARKERS = ("tracing_mark_write", "print", "bprint")


def _canonical(symbol: str) -> str:
    if ".part." in symbol:
        symbol = symbol.split(".part.")[0] + "_part"
    return _SUFFIX.sub("", symbol)


class Bodies:
    """Decodes events by name; remembers which function each kprobe's name stands for.

    ``recorded``: the names of the tracepoints seen, whatever register or CPU an event was about. ``amd``:
    what shows that this is KVM on AMD, '' if nothing does.
    """

    def __init__(self) -> None:
        self.recorded: set[str] = set()
        self.amd = ""
        self._probes: dict[str, tuple[str, str] | None] = {}
        self._calls: dict[str, tuple[str, bool] | None] = {}
        self._ignored: set[str] = set()
        self._reasons = set(_REASONS.values())
        self._decoders = _DECODERS | {"kvm_exit": self._exit}

    def decode(self, name: str, text: str) -> Decoded | None:
        """The event's kind and data; None for an event that does not matter here.

        Raises ValueError, IndexError or KeyError if the text does not fit the event's name.
        """
        decoder = self._decoders.get(name)
        if decoder is not None:
            self.recorded.add(name)
            return decoder(text)
        if text.startswith(_PROBE):
            return self._probe(name, text)
        if name in self._ignored:
            return None
        if name.startswith(_MARKERS):
            _, _, rest = text.partition("tracing_mark_write: ")
            return "marker", rest or text
        if name == "function":  # trace-cmd's words for the function tracer
            return self.call(text.split()[0], False)
        if name in _AMD_EVENTS:
            self.amd = self.amd or f"event {name}"
        elif name.startswith("kvm_nested_vmexit") and (found := _REASON.search(text)):
            self._look_at(name, found[1], text)
        elif len(self._ignored) < _MANY:
            self._ignored.add(name)
        return None

    def whole(self, name: str, text: str) -> bool | None:
        """Whether all of the event's text is there; None for an event of which nothing is known."""
        if not text:
            return False
        if name not in self._decoders:
            return bool(_WHOLE[text[0]].match(text)) if text[0] in "(_" else None
        try:
            if not _WHOLE[name].match(text):
                return False
            self.decode(name, text)
        except (ValueError, IndexError, KeyError):
            return False
        return True

    def call(self, symbol: str, returning: bool) -> Decoded | None:
        """A function that the function or function_graph tracer shows: a probe without fields."""
        if symbol not in self._calls:
            self._calls[symbol] = self._function(symbol)
        if (known := self._calls[symbol]) is None:
            return None
        role, outer = known
        return _kind(returning, outer), (role, {})

    def _function(self, symbol: str) -> tuple[str, bool] | None:
        """A function's role, and whether it is a wrapper of the one that has that role."""
        symbol = _canonical(symbol)
        if symbol in _AMD_FUNCTIONS:
            self.amd = self.amd or f"function {symbol}"
        if (role := FUNCTIONS.get(symbol)) is not None:
            return role, False
        return (WRAPPERS[symbol], True) if symbol in WRAPPERS else None

    def _exit(self, text: str) -> Decoded:
        if found := _REASON.search(text):
            reason = found[1]
            if reason in self._reasons:
                return "exit", reason
            if reason[0].isdigit():
                reason = _REASONS.get(int(reason, 0), reason)
        else:
            fields = _raw(text)
            number = fields["exit_reason"] & 0xFFFF
            reason = _REASONS.get(number, str(number))
            if fields.get("isa") == 2:
                self.amd = self.amd or "kvm_exit with isa=2"
        self._look_at("kvm_exit", reason, text)
        if not reason[0].isdigit():
            self._reasons.add(reason)
        return "exit", reason

    def _look_at(self, name: str, reason: str, text: str) -> None:
        """Intel's exit reasons are in capitals, AMD's are not, or begin with EXIT or VMEXIT."""
        words = reason.islower() and not reason[0].isdigit()
        if words or reason.startswith(("EXIT_", "VMEXIT_")) or f"{reason} excp" in text:
            self.amd = self.amd or f"{name} reason {reason}"

    def _probe(self, name: str, text: str) -> Decoded | None:
        if name not in self._probes:
            self._probes[name] = self._role(name, text)
        if (known := self._probes[name]) is None:
            return None
        kind, role = known
        return kind, (role, _fields(text))

    def _role(self, name: str, text: str) -> tuple[str, str] | None:
        """A probe's function: from the symbol that the kernel prints, else from the probe's name
        (trace-cmd prints bare addresses when it has no symbols)."""
        returning = bool(_ANY_RETURN.match(text)) or "__probe_ret_ip=" in text
        found = (_AT_RETURN if returning else _AT_ENTRY).search(text)
        bare = _PROBE_PREFIX.sub("", name)
        for symbol in (found[1] if found else "", bare, _PROBE_SUFFIX.sub("", bare)):
            if (known := self._function(symbol)) is not None:
                return _kind(returning, known[1]), known[0]
        return None


def _fields(text: str) -> Fields:
    """What a probe shows, by field: its numbers."""
    fields: Fields = {}
    shown = text.partition(")")[2] if text[0] == "(" else _ADDRESSES.sub("", text)
    for word in shown.split():
        key, _, value = word.partition("=")
        try:
            fields[key] = int(value, 0) & _U64
        except ValueError:
            continue  # a string field of somebody's own probe
    return fields


def _kind(returning: bool, outer: bool) -> str:
    if outer:
        return "outer return" if returning else "outer"
    return "return" if returning else "probe"
