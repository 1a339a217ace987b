"""How a tool lays out an event's line, and what mail, a browser or syslog put around it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import NamedTuple


class Layout(NamedTuple):
    """A layout of lines. ``match`` gives the task's name, pid, CPU, flags, time, the event's name and text,
    and, in the function tracer's lines, the function; but a function_graph line's parts are its own."""

    name: str
    match: Callable[[str], re.Match[str] | None]
    seconds: Callable[[str], float] = float
    graph: bool = False


#: What stands after the time: [system:]name[+offset]: text, or a function and its caller.
_EVENT = (
    r"(?:([\w./-]++(?::\w[\w./-]*+)?+)(?:\+0x\w+/0x\w+)?:\s*+(.*+)"
    r"|([\w.]+)(?:\(.*\))?(?:\s+\[\w+\])?\s+<-.*)"
)
# TASK-PID (TGID)? [CPU] flags? TIME. A task's name may hold spaces and dashes.
_PLAIN = r"\s*+([^-]{0,40}(?:-.{1,40}?)??)-(\d{1,10}+)\s++(?:\([\s\d-]+\)\s+)?\[(\d{1,6}+)\]\s++"
# perf script: TASK PID/TID? [CPU] TIME, the task and the period only if asked for.
_PERF = r"\s*(?:(\S.{0,40}?)\s+)?(?:\d+/\s*)?(\d{1,10})\s+\[(\d{1,6})\]\s+"
# options/latency-format, an ftrace dump, trace-cmd report -l: TASK-PID CPUflags TIME
_LATENCY = r"\s*(.{1,40}?)-(\d{1,10})\s+(\d{1,6})([^\s\d]\S{2,9})\s+"
# options/latency-format and options/verbose: TASK PID CPU flags preempt-count number [TIME] TIMEms (+DELAYms)
_VERBOSE = r"\s*(\S.{0,40}?)\s+(\d{1,10})\s+(\d{1,6})\s+\d+\s+[0-9a-f]{8}\s+[0-9a-f]{8,}\s+"

PLAIN = Layout(
    "trace", re.compile(rf"{_PLAIN}(?:([^\s\d]\S{{2,9}})\s++)?(\d{{1,20}}+(?:\.\d++)?):\s++{_EVENT}").match
)
#: TIME |? CPU) TASK-PID |? flags |? duration | body
GRAPH = Layout(
    "function_graph",
    re.compile(
        r"\s*(?:(\d{1,20}\.\d+)\s+\|\s+)?(\d{1,6})\)\s+(?:(\S.*?)-(\d{1,10})\s+\|)?(?:[^|/{}();]*\|)+\s*(\S.*)"
    ).match,
    graph=True,
)
LAYOUTS = (
    PLAIN,
    GRAPH,
    Layout(
        "perf script",
        re.compile(rf"{_PERF}((?!))?(?:[A-Za-z]\S*\s+)?(\d+\.\d+):\s+(?:\d+\s+)?{_EVENT}").match,
    ),
    Layout(
        "latency format",
        re.compile(rf"{_LATENCY}(\d{{1,20}})us\S?\s*:\s+{_EVENT}").match,
        lambda text: int(text) / 1_000_000,
    ),
    Layout("latency format", re.compile(rf"{_LATENCY}(\d{{1,20}}(?:\.\d+)?):\s+{_EVENT}").match),
    Layout(
        "latency format",
        re.compile(rf"{_VERBOSE}((?!))?\[[0-9a-f]+\]\s+(\d{{1,20}}\.\d+)ms\s+\(\S+\):\s+{_EVENT}").match,
        lambda text: float(text) / 1000,
    ),
)
#: The beginning of a line whose event a mail program has put on the next line.
_BEGINNING = re.compile(rf"{_PLAIN}|{_PERF}\d|{_LATENCY}|\s*(?:\d+\.\d+\s+\|\s+)?\d+\)\s[^=]*$", re.ASCII)

_PREFIXES = (
    r"[>|]",  # a quotation
    r"\d+(?:\t|:(?=\s))",  # cat -n, grep -n
    r"<\d{1,3}>",  # a level
    r"\d+,\d+,\d+,[^;]{1,20};",  # /dev/kmsg
    r"\[\s*\+?\d+\.\d+(?: <\s*\d+\.\d+>)?\]",  # printk's time; dmesg -d and -e
    r"\[\s*[TC]\d+\]",  # printk's caller
    r"\[\w{3}(?: \w{3} [\d ]\d [\d:]{8} \d{4}|\d\d \d\d:\d\d)\]",  # dmesg -T and -e
    r"[a-z]+\s*:[a-z]+\s*:(?=\s)",  # dmesg -x
    r"\w{3} [\d ]\d [\d:]{8}(?:\.\d+)?\s",  # syslog's time
    r"(?:\w{3} )?\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d| [A-Z]+)?\s",
    r"\d{9,10}\.\d+\s",
    r"(?:[\w.-]+ )?kernel(?:\[\d+\])?:",
)
_PREFIX = re.compile(rf"(?:\s*(?:{'|'.join(_PREFIXES)}))+\s?")
_QUOTATION = re.compile(r"(?:\s*[>|])+ ?")
_STAMP = re.compile(r"\d\]|kernel")
#: perf script without the CPU.
NO_CPU = re.compile(r"\s*(?:\S.{0,40}?\s+)?(?:\d+/\s*)?\d+\s+\d+\.\d+:\s+(?:\d+\s+)?[\w-]+:[\w.-]+:\s")
_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_TAG = re.compile(r"</?(?:pre|code|tt|p|div|span|br|td|tr|font|blockquote|html|body)\b[^<>]*>", re.IGNORECASE)


def find(text: str) -> tuple[Layout, re.Match[str]] | None:
    """The layout of an event's line, as it stands or behind a prefix."""
    return next(((layout, found) for layout in (*LAYOUTS, *_PREFIXED) if (found := layout.match(text))), None)


def quotation(text: str) -> str:
    """The quotation marks in front of a line."""
    found = _QUOTATION.match(text)
    return found[0] if found else ""


def without_prefix(text: str) -> str:
    """A line without quotation marks and the stamps of a log."""
    found = _PREFIX.match(text)
    return text[found.end() :] if found else text


def _prefixed(layout: Layout) -> Layout:
    def match(text: str) -> re.Match[str] | None:
        found = _PREFIX.match(text)
        return layout.match(text[found.end() :]) if found else None

    return layout._replace(match=match)


_PREFIXED = [_prefixed(layout) for layout in LAYOUTS]


def task(name: str | None) -> str:
    """A task's name without what a quoted or logged line has before it."""
    return without_prefix(name).strip() or name if name else ""


def begins(text: str) -> bool:
    """Whether an event's line begins here and may go on in the next one: so does each line of a log."""
    bare = without_prefix(text)
    return bool(_STAMP.search(text, 0, len(text) - len(bare)) or _BEGINNING.match(bare))


def without_markup(text: str) -> str:
    """A line without colours, tags and entities, non-breaking spaces and NULs."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "<" in text:
        text = _TAG.sub("", text)
    if "&" in text:
        text = html.unescape(text)
    return text.replace("\xa0", " ").replace("\0", "").replace("\ufeff", "")
