"""Lines a second of ``vmxsim replay``: reading, following and judging, end to end.

    python benchmarks/replay_speed.py [--lines N] [--json]

Long traces are made by repeating what a real kernel traced: each round at times of its own, so that
thread states carry over from round to round as in one long run. The aim is 100,000 lines a second.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vmxsim.ftrace.recording import example_path, read, verdict

AIM = 100_000
_PROBE = re.compile(r"\d: \w+: \(")
_TIME = re.compile(r"(?<= )(\d+)\.(\d{6}): ")


def later(line: str, seconds: int) -> str:
    """A line of the trace, so much later."""
    return _TIME.sub(lambda found: f"{int(found[1]) + seconds}.{found[2]}: ", line, count=1)


def rounds(source: list[str], count: int) -> list[str]:
    """``count`` lines: the source again and again, each round after the one before."""
    head = [line for line in source if line.startswith("#") and "entries" not in line]
    body = [line for line in source if not line.startswith("#")]
    times = [int(found[1]) for line in body if (found := _TIME.search(line))]
    length = times[-1] - times[0] + 1
    out = list(head)
    number = 0
    while len(out) < count:
        out += [later(line, number * length) for line in body]
        number += 1
    return out[:count]


def variants(count: int) -> dict[str, list[str]]:
    """Kinds of traces that differ in what the follower has to do."""
    migrate = example_path("migrate").read_text(encoding="utf-8").splitlines()
    clean = example_path("s1.guest-state-loaded").read_text(encoding="utf-8").splitlines()
    return {
        "all probes, two CPUs": rounds(migrate, count),
        "all probes, one CPU": rounds(clean, count),
        "no probes, two CPUs": rounds([line for line in migrate if not _PROBE.search(line)], count),
    }


def measure(text: list[str]) -> tuple[float, str]:
    """Lines a second of the best of three readings, and the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "long.trace"
        file.write_text("\n".join(text) + "\n", encoding="utf-8")
        best = 0.0
        for _ in range(3):
            start = time.perf_counter()
            told = verdict(read(file))
            best = max(best, len(text) / (time.perf_counter() - start))
    return best, told["verdict"]


def main() -> int:
    """Print a line for each kind; exit status 1 where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name, text in variants(arguments.lines).items():
        speed, told = measure(text)
        results[name] = {"lines_per_second": round(speed), "verdict": told}
        if not arguments.json:
            print(f"{name:22} {speed:10,.0f} lines/s   {told}", flush=True)
    if arguments.json:
        print(json.dumps({"lines": arguments.lines, "aim": AIM, "results": results}))
    return int(any(result["lines_per_second"] < AIM for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
