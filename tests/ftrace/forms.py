"""Forms in which people pass traces on, made from a recording's plain lines by the documented layouts.

``FORMS[name](lines)`` gives the lines of such a file, or its bytes. What a form does not carry (the flags
column in ``perf script``) is lost; every event, its time and its values stay.
"""

from __future__ import annotations

import bz2
import gzip
import html
import lzma
import quopri
import re
import textwrap
from collections.abc import Callable, Iterator

_PLAIN = re.compile(
    r"(?P<comm>\s*\S.*)-(?P<pid>\d+)\s+\[(?P<cpu>\d+)\] (?P<flags>\S+)\s+(?P<time>\d+\.\d+): "
    r"(?P<name>[\w.]+)(?:\+0x\w+/0x\w+)?: (?P<body>.*)"
)
_SWITCH = re.compile(
    r"prev_comm=(.*) prev_pid=(\d+) prev_prio=(\d+) prev_state=(\S+) ==> "
    r"next_comm=(.*) next_pid=(\d+) next_prio=(\d+)"
)
_SYSTEMS = {"read_msr": "msr", "write_msr": "msr", "sched_switch": "sched"}
#: Numbers of exit reasons in raw fields; any other is only told from these three.
_REASONS = {"CR_ACCESS": 28, "MSR_READ": 31, "MSR_WRITE": 32}


def _events(lines: list[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        if found := _PLAIN.match(line):
            yield {**found.groupdict(), "comm": found["comm"].strip()}
        else:
            assert line.startswith("#"), line


def _plug_in(name: str, body: str) -> str:
    """As the plug-ins of libtraceevent print it, which trace-cmd and perf load."""
    if name == "sched_switch":
        return _SWITCH.sub(r"\1:\2 [\3] \4 ==> \5:\6 [\7]", body)
    if body.startswith("("):  # no symbols of modules
        address = "(ffffffffc0401230 <- ffffffffc0801000)" if " <- " in body else "(ffffffffc0401230)"
        return re.sub(r"^\([^)]*\)", address, body)
    return body


def _raw(name: str, body: str, number: Callable[[int], str]) -> str:
    """As fields: the names that the events' format files have."""
    if name in ("read_msr", "write_msr"):
        msr, value = re.match(r"(\w+), value (\w+)", body).groups()  # type: ignore[union-attr]
        return f"msr={number(int(msr, 16))} val={number(int(value, 16))} failed={number('#GP' in body)}"
    if name == "sched_switch":
        prev, pid, _, _, following, next_pid, _ = _SWITCH.match(body).groups()  # type: ignore[union-attr]
        prio, state = number(120), number(1)
        return (
            f"prev_comm={prev} prev_pid={number(int(pid))} prev_prio={prio} prev_state={state} "
            f"next_comm={following} next_pid={number(int(next_pid))} next_prio={prio}"
        )
    if name == "kvm_entry":
        vcpu = int(re.search(r"vcpu (\d+)", body)[1])  # type: ignore[index]
        return f"vcpu_id={number(vcpu)} rip={number(0xFFF0)}"
    if name == "kvm_exit":
        reason = _REASONS.get(re.search(r"reason (\w+)", body)[1], 10)  # type: ignore[index]
        return f"exit_reason={number(reason)} guest_rip={number(0xFFF0)} isa={number(1)} info1={number(0)}"
    if name == "kvm_msr":
        what, msr, _, value = body.split()[:4]
        write = number(what == "msr_write")
        return f"write={write} ecx={number(int(msr, 16))} data={number(int(value, 16))} exception={number(0)}"
    if name == "kvm_cr":
        what, cr, _, value = body.split()[:4]
        return f"rw={number(what == 'cr_write')} cr={number(int(cr))} val={number(int(value, 16))}"
    if name == "kvm_userspace_exit":
        return f"reason={number(2)} errno={number(0)}"
    if body.startswith("("):
        fields = re.sub(r"=(0x\w+|\d+)", lambda found: "=" + number(int(found[1], 0)), body.partition(")")[2])
        if " <- " in body:
            return f"__probe_func={number(1)} __probe_ret_ip={number(2)}{fields}"
        return f"__probe_ip={number(1)}{fields}"
    return body


def _report(lines: list[str], start: str, text: Callable[[str, str], str]) -> list[str]:
    out = ["cpus=2"]
    for e in _events(lines):
        number = int(e["cpu"])
        out.append(f"{start.format(number=number, **e)} {e['name'] + ':':<21} {text(e['name'], e['body'])}")
    return out


def trace_cmd(lines: list[str]) -> list[str]:
    """``trace-cmd report``."""
    return _report(lines, "{comm:>16}-{pid:<5} [{cpu}] {time:>12}:", _plug_in)


def trace_cmd_latency(lines: list[str]) -> list[str]:
    """``trace-cmd report -l``."""
    return _report(lines, "{comm:>8.8}-{pid:<5} {number:>3}{flags} {time:>12}:", _plug_in)


def trace_cmd_nanoseconds(lines: list[str]) -> list[str]:
    """``trace-cmd report -t``."""
    return [re.sub(r"(\d\.\d{6}): ", r"\g<1>000: ", line, count=1) for line in trace_cmd(lines)]


def trace_cmd_raw(lines: list[str]) -> list[str]:
    """``trace-cmd report -R``."""
    return _report(
        lines,
        "{comm:>16}-{pid:<5} [{cpu}] {time:>12}:",
        lambda name, body: _raw(name, body, lambda value: str(int(value))),
    )


def fields(lines: list[str]) -> list[str]:
    """``echo 1 > options/fields``."""
    return _report(
        lines,
        "{comm:>16}-{pid:<7} [{cpu}] {flags} {time:>12}:",
        lambda name, body: _raw(name, body, lambda value: f"{int(value):#x} ({int(value)})"),
    )[1:]


def _perf(lines: list[str], start: str) -> list[str]:
    out = ["# ========", "# captured on    : Sat Nov 28 10:00:00 2026", "# ========", "#"]
    for e in _events(lines):
        comm = "swapper" if e["pid"] == "0" else e["comm"]
        name = e["name"].removeprefix("ret_") + ("__return" if e["name"].startswith("ret_") else "")
        system = _SYSTEMS.get(e["name"], "probe" if e["body"].startswith("(") else "kvm")
        head = start.format(comm=comm, pid=e["pid"], cpu=e["cpu"], time=e["time"])
        out.append(f"{head}: {system + ':' + name:>24}: {_plug_in(e['name'], e['body'])}")
    return out


def perf(lines: list[str]) -> list[str]:
    """``perf script``."""
    return _perf(lines, "{comm:>16} {pid:>7} [{cpu}] {time:>12}")


def perf_tid(lines: list[str]) -> list[str]:
    """``perf script -F comm,pid,tid,cpu,time,period,event,trace``."""
    return [
        re.sub(r"(\d\.\d{6}: )", r"\1         1 ", line, count=1)
        for line in _perf(lines, "{comm:>16} {pid:>7}/{pid:<7} [{cpu}] {time:>12}")
    ]


def perf_bare(lines: list[str]) -> list[str]:
    """``perf script --ns -F tid,cpu,time,event,trace``."""
    return _perf(lines, "{pid:>7} [{cpu}] {time:>12}000")


def latency(lines: list[str]) -> list[str]:
    """``echo 1 > options/latency-format``."""
    out = ["# tracer: nop", "#", "# nop latency trace v1.1.5 on 6.1.0", "# " + "-" * 68]
    for line in lines:
        if found := re.match(r"# entries-in-buffer/entries-written: (\d+)/(\d+)", line):
            out += [
                f"# latency: 0 us, #{found[1]}/{found[2]}, CPU#0 | (M:preempt VP:0, KP:0, SP:0 HP:0 #P:2)",
                "#",
            ]
    for number, e in enumerate(_events(lines)):
        time = e["time"].replace(".", "").lstrip("0")
        out.append(
            f"{e['comm']:>8.8}-{e['pid']:<7} {int(e['cpu']):>3}{e['flags']} {time:>4}us{' +!#'[number % 4]}: "
            f"{e['name']}: {e['body']}"
        )
    return out


def dump(lines: list[str]) -> list[str]:
    """``ftrace_dump_on_oops``, as the console shows it."""
    events = [line for line in latency(lines) if not line.startswith("#")]
    rule = "-" * 33
    return [
        f"[   99.{number:06}] {text}"
        for number, text in enumerate(["Dumping ftrace buffer:", rule, *events, rule])
    ]


def syslog(lines: list[str]) -> list[str]:
    """The same in /var/log/kern.log."""
    return [f"Nov 28 10:00:00 host-1 kernel: {line}" for line in dump(lines)]


def journal(lines: list[str]) -> list[str]:
    """``journalctl -k -o short-iso``."""
    return [f"2026-11-28T10:00:00+00:00 host-1 kernel: {re.sub(r'^.{15}', '', line)}" for line in dump(lines)]


def console(lines: list[str]) -> list[str]:
    """A dump by a kernel that shows levels and callers, over a serial line."""
    return [f"<4>{line[:14]}[  T118] {line[15:]}\r" for line in dump(lines)]


def human_dmesg(lines: list[str]) -> list[str]:
    """``dmesg -T``."""
    return [f"[Sat Nov 28 10:00:00 2026] {line[15:]}" for line in dump(lines)]


def decoded(lines: list[str]) -> list[str]:
    """Through the kernel's ``decode_msr.py``."""
    names = {"c0000102": "MSR_KERNEL_GS_BASE", "c0000080": "MSR_EFER"}
    out = []
    for line in lines:
        found = re.search(r"(?:read|write)_msr: ([0-9a-f]+)", line)
        if found and found[1] in names:
            line = line.replace(" " + found[1], f" {names[found[1]]}({found[1]})")
        out += [line, ""]
    return out


def counter(lines: list[str]) -> list[str]:
    """``echo counter > trace_clock``."""
    return [
        re.sub(r"(\d+)\.(\d{6}): ", lambda f: f"{int(f[1] + f[2]):>12}: ", line, count=1) for line in lines
    ]


def quoted(lines: list[str]) -> list[str]:
    """Quoted in an answer to an answer."""
    return [
        "On Saturday, somebody wrote:",
        "> > Here is the trace:",
        "> >",
        *(f"> > {line}" for line in lines),
    ]


def barred(lines: list[str]) -> list[str]:
    return [f"| {line}" for line in lines]


def _wrap(line: str, width: int) -> list[str]:
    return textwrap.wrap(
        line,
        width,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [line]


def wrapped(lines: list[str]) -> list[str]:
    """Broken at spaces by a mail program."""
    return [piece for line in lines for piece in _wrap(line, 74)]


def wrapped_and_quoted(lines: list[str]) -> list[str]:
    return [f"> {piece}" for line in lines for piece in _wrap(line, 76)]


def terminal(lines: list[str]) -> list[str]:
    """Copied from a window of 80 columns: broken anywhere."""
    return [line[at : at + 80] for line in lines for at in range(0, len(line) or 1, 80)]


def quoted_printable(lines: list[str]) -> bytes:
    return quopri.encodestring(("\n".join(lines) + "\n").encode())


def coloured(lines: list[str]) -> list[str]:
    """As ``grep --color=always`` and a pager leave it."""
    return [re.sub(r"(c0000102|kvm\w*)", "\x1b[01;31m\x1b[K\\1\x1b[m\x1b[K", line) for line in lines]


def web_page(lines: list[str]) -> list[str]:
    return ["<html><body><pre>", *(html.escape(line) for line in lines), "</pre></body></html>"]


def indented(lines: list[str]) -> list[str]:
    """A code block."""
    return ["```", *(f"\t    {line}" for line in lines), "```"]


def numbered(lines: list[str]) -> list[str]:
    """``cat -n``."""
    return [f"{number:>6}\t{line}" for number, line in enumerate(lines, 1)]


def _bytes(lines: list[str], end: str = "\n", encoding: str = "utf-8") -> bytes:
    return (end.join(lines) + end).encode(encoding)


def mixed(lines: list[str]) -> list[str]:
    """Each third in a form of its own."""
    third = len(lines) // 3
    return perf(lines[:third]) + lines[third : 2 * third] + dump(lines[2 * third :])


FORMS: dict[str, Callable[[list[str]], list[str] | bytes]] = {
    "trace-cmd report": trace_cmd,
    "trace-cmd report -l": trace_cmd_latency,
    "trace-cmd report -t": trace_cmd_nanoseconds,
    "trace-cmd report -R": trace_cmd_raw,
    "options/fields": fields,
    "perf script": perf,
    "perf script pid/tid": perf_tid,
    "perf script --ns": perf_bare,
    "latency-format": latency,
    "ftrace dump": dump,
    "syslog": syslog,
    "journal": journal,
    "serial console": console,
    "dmesg -T": human_dmesg,
    "decode_msr.py": decoded,
    "counter clock": counter,
    "quoted": quoted,
    "barred": barred,
    "wrapped": wrapped,
    "wrapped and quoted": wrapped_and_quoted,
    "terminal": terminal,
    "quoted-printable": quoted_printable,
    "colours": coloured,
    "web page": web_page,
    "indented": indented,
    "numbered": numbered,
    "mixed": mixed,
    "CRLF": lambda lines: _bytes(lines, "\r\n"),
    "byte order mark": lambda lines: b"\xef\xbb\xbf" + _bytes(lines),
    "UTF-16": lambda lines: _bytes(lines, encoding="utf-16"),
    "gzip": lambda lines: gzip.compress(_bytes(lines)),
    "xz": lambda lines: lzma.compress(_bytes(lines)),
    "bzip2": lambda lines: bz2.compress(_bytes(lines)),
}
#: Forms whose events have other times than the trace file.
OTHER_TIMES = {"counter clock"}
#: Forms of the file, not of its lines.
PACKED = {"CRLF", "byte order mark", "UTF-16", "gzip", "xz", "bzip2"}
#: Forms that function_graph's lines have, too.
ANY_TRACER = (
    "quoted",
    "barred",
    "wrapped",
    "terminal",
    "wrapped and quoted",
    "quoted-printable",
    "colours",
    "web page",
    "indented",
    "CRLF",
    "byte order mark",
    "gzip",
)
