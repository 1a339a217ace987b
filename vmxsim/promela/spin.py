"""Run Spin on an exported model: translate, compile, search, and parse the results.

If one process is not enough, ``Options.gcc`` takes -DNCORE=2 with -DMEMLIM=8000 (several
processes with a shared table of states), -DCOLLAPSE or -DMA=100 (less memory, slower), or
-DBITSTATE with ``pan=("-w32",)`` (only hashes, so the search may miss states).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from attrs import frozen

from vmxsim.errors import InputError

#: Spin's steps for one transition (choice, join, section), and before the first one.
STEPS_A_TRANSITION, STEPS_AT_START = 3, 2


@frozen
class Options:
    """How to run Spin.

    ``count``: count states instead of looking for violations; ``watch``: bits of the invariants
    to assert; ``breadth_first``: find the shortest trail; ``depth`` bounds the search. ``compiler``
    takes gcc's options: tcc compiles at once, and what it makes runs as quickly as gcc's with -O0.
    """

    count: bool = False
    watch: int = 0
    breadth_first: bool = False
    compiler: str = "gcc"
    optimize: str = "-O2"
    depth: int = 3_000_000
    hash_bits: int = 21
    gcc: tuple[str, ...] = ()
    pan: tuple[str, ...] = ()


@frozen
class SpinRun:
    """What Spin reported.

    ``transitions`` are Spin's, two for one of ours; ``trail`` is the number of steps to the
    violation, None if there is none; ``complete``: nothing cut the search short. ``memory`` is
    in megabytes and includes the hash table.
    """

    verdict: str
    states: int
    transitions: int
    depth: int
    trail: int | None
    complete: bool
    state_bytes: int
    memory: float
    spin_seconds: float
    gcc_seconds: float
    pan_seconds: float
    output: str

    @property
    def steps(self) -> int | None:
        """The number of our transitions up to the violation."""
        if self.trail is None:
            return None
        return (self.trail - STEPS_AT_START) // STEPS_A_TRANSITION


def missing(compiler: str = "gcc") -> list[str]:
    """The required programs that are not installed."""
    return [name for name in ("spin", compiler) if shutil.which(name) is None]


def run_spin(model: str, options: Options | None = None, folder: Path | None = None) -> SpinRun:
    """Search a model's states with Spin, in ``folder`` or in a temporary folder.

    Raises InputError if Spin or the compiler is missing or fails.
    """
    options = options or Options()
    if absent := missing(options.compiler):
        needed = f"{' and '.join(absent)} (Debian: apt install spin {options.compiler})"
        raise InputError(f"not installed: {needed}", "spin")
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="vmxsim-spin-") as name:
            return run_spin(model, options, Path(name))
    (folder / "model.pml").write_text(model, encoding="utf-8")
    defines = ["-DCOUNT"] * options.count + [f"-DWATCH={options.watch}"] * bool(options.watch)
    spin, _ = _timed(["spin", *defines, "-a", "model.pml"], folder)
    search = ["-DBFS"] if options.breadth_first else []
    flags = ["-w", "-DSAFETY", "-DNOREDUCE", *search, options.optimize, *options.gcc]
    gcc, _ = _timed([options.compiler, *flags, "-o", "pan", "pan.c"], folder)
    pan = ["./pan", "-n", f"-m{options.depth}", f"-w{options.hash_bits}", *options.pan]
    seconds, output = _timed(pan, folder)
    return _read(output, spin, gcc, seconds)


def _timed(command: list[str], folder: Path) -> tuple[float, str]:
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    output = done.stdout + done.stderr
    if done.returncode or "Error:" in output:
        raise InputError(f"{command[0]} failed: {output.strip()[:2000]}", "spin")
    return perf_counter() - start, output


def _read(output: str, spin: float, gcc: float, pan: float) -> SpinRun:
    broken = re.search(r"assertion violated (.*) \(at depth (\d+)\)", output)
    cut = re.search(r"max search depth too small|out of memory|Search not completed|Bit statespace", output)
    if "NOT_MODELLED" in output or (broken and "&32" in broken[1]):
        raise InputError(
            "the design preempts the scheduler itself, or nests preempt_disable() deeper than 15: the model"
            " does not support that",
            "spin",
        )
    before = output.split(" statespace search for")[0]
    if re.search(r"invalid end state|d_step|pan:\d+: (?!assertion)", before):
        raise InputError(f"Spin cannot run the model: {output.strip()[:500]}", "spin")
    if not broken and (len(re.findall(r"errors: 0", output)) != 1):
        raise InputError(f"unexpected output of Spin: {output.strip()[:500]}", "spin")
    return SpinRun(
        verdict="violated" if broken else "incomplete" if cut else "safe",
        states=_number(r"([\d.e+]+) states, stored", output),
        transitions=_number(r"([\d.e+]+) transitions", output),
        depth=_number(r"depth reached (\d+)", output),
        trail=int(broken[2]) if broken else None,
        complete=not (broken or cut),
        state_bytes=_number(r"State-vector (\d+) byte", output),
        memory=float(_found(r"([\d.]+)\s+total actual memory", output)),
        spin_seconds=spin,
        gcc_seconds=gcc,
        pan_seconds=pan,
        output=output,
    )


def _found(pattern: str, output: str) -> str:
    found = re.search(pattern, output)
    return found[1] if found else "0"


def _number(pattern: str, output: str) -> int:
    return int(float(_found(pattern, output)))
