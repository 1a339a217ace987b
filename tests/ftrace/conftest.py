"""Recordings to read, and what can be done to them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vmxsim.ftrace.recording import EXAMPLES, Recording, example_path, read

HERE = Path(__file__).parent / "traces"
SEED = ("s1.dedicated-accessors", "s3.dedicated-accessors")
#: Recordings in which nothing is wrong.
CLEAN = (
    "efer",
    "fep",
    "fgraph",
    "long",
    "migrate",
    "preempt",
    "prot32",
    "two",
    "s1.guest-state-loaded",
    "s1.host-from-thread",
)


def lines(name: str) -> list[str]:
    """A recording's lines, without the test program's own markers."""
    if name in EXAMPLES:
        text = example_path(name).read_text(encoding="utf-8")
    else:
        text = gzip.decompress((HERE / f"{name}.trace.gz").read_bytes()).decode()
    return [line for line in text.splitlines() if "tracing_mark_write" not in line and "/* [" not in line]


def without_probes(text: list[str]) -> list[str]:
    """As if no kprobe had been set: the events alone."""
    return [line for line in text if not re.search(r"\d: \w+: \(", line)]


def as_report(text: list[str]) -> list[str]:
    """In the layout of ``trace-cmd report``: no flags, addresses for symbols, its own sched_switch."""
    out = ["cpus=1"]
    for line in text:
        found = re.match(r"(\s*\S.*-\d+)\s+\[(\d+)\] (\S+)\s+(\d+\.\d+): (\w+): (.*)", line)
        if not found:
            continue
        task, cpu, _, time, name, body = found.groups()
        if name == "sched_switch":
            body = re.sub(
                r"prev_comm=(.*) prev_pid=(\d+) prev_prio=(\d+) prev_state=(\S+) ==> "
                r"next_comm=(.*) next_pid=(\d+) next_prio=(\d+)",
                r"\1:\2 [\3] \4 ==> \5:\6 [\7]",
                body,
            )
        if body.startswith("("):
            address = "(ffffffffc0401230 <- ffffffffc0801000)" if " <- " in body else "(ffffffffc0401230)"
            body = re.sub(r"^\([^)]*\)", address, body)
        out.append(f"{task}   [{cpu}]  {time}: {name + ':':<22} {body}")
    return out


@pytest.fixture
def reading(tmp_path: Path) -> Callable[[list[str]], Recording]:
    """Reads a list of lines as a trace file."""

    def reads(text: list[str]) -> Recording:
        file = tmp_path / "a.trace"
        file.write_text("\n".join(text) + "\n", encoding="utf-8")
        return read(file)

    return reads
