"""Two vCPUs on two CPUs with nothing assumed, each design from nothing to its verdict; and Spin where it can.

    python benchmarks/together_speed.py [--designs D ...] [--vcpus N] [--no-spin]

Each design is checked on both host widths in a process of its own: its processor time and its peak of
resident memory. The aims: 5 s and 300 MB, for lazy-long-mode 30 s and 1.5 GB. Spin visits every state, so it
needs assumptions that leave few: the exported model is compiled with -O2 and searched depth first without
reduction, from model to verdict, beside a check under the same assumptions; processor time here, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import check
from vmxsim.designs import DESIGNS, find_design
from vmxsim.promela import promela, restricted
from vmxsim.promela.spin import Options, missing, run_spin

#: Assumptions that leave Spin few enough states, those that leave fewer first.
BOUNDS = [
    "one-value,no-swapgs,no-smm,no-emulation,no-cancelled-run,no-set-efer,no-mode-switch",
    "one-value,no-swapgs,no-smm,no-emulation,no-cancelled-run,no-set-efer",
    "one-value,no-swapgs,no-smm",
]
#: More states than this would not fit into a few gigabytes.
MOST_FOR_SPIN = 30_000_000


def ours(design: str, host: str, vcpus: int, names: str) -> dict[str, float | str]:
    """One check in this process."""
    result = check(design, host=host, vcpus=vcpus, assume=names)
    used = resource.getrusage(resource.RUSAGE_SELF)
    first = result.hosts[0]
    return {
        "verdict": result.verdict,
        "states": first.states,
        "depth": first.depth,
        "seconds": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
    }


def in_a_process(design: str, host: str, vcpus: int, names: str = "") -> dict[str, float | str]:
    """The same in a fresh process, so that time and memory are its own."""
    command = [sys.executable, __file__, "--one", design, host, str(vcpus), names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float | str] = json.loads(done.stdout)
    return found


def line(name: str, row: dict[str, float | str]) -> str:
    """A row of the table."""
    return (
        f"{name:<20} {row['verdict']:<9} {row['states']:>40,} states, depth {row['depth']:>4}"
        f" {row['seconds']:>7.2f} s {row['megabytes']:>6.0f} MB"
    )


def children() -> float:
    """Processor time of the programs that this one has run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def beside_spin(design: str, names: str) -> None:
    """Both under the same assumptions."""
    row = in_a_process(design, "64-bit", 2, names)
    print(f"assuming {names}\n{line('vmxsim', row)}", flush=True)
    if int(row["states"]) > MOST_FOR_SPIN:
        print(f"{'Spin -O2':<20} not tried: too many states")
        return
    assumed = restriction(names)
    model = promela(
        find_design(design), vcpus=2, long_modes=assumed.long_modes, environment=restricted(assumed)
    )
    before = children()
    run = run_spin(model, Options(count=True, hash_bits=24, depth=1_000_000))
    seconds = children() - before
    same = run.states == int(row["states"]) + 1  # one before the start
    print(
        f"{'Spin -O2':<20} {run.verdict:<9} {run.states - 1:>40,} states"
        f"{'' if same else ', NOT OURS'}, {seconds:>17.2f} s {run.memory:>6.0f} MB"
        f" (searched for {run.pan_seconds:.0f} s by the clock)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--vcpus", type=int, default=2)
    parser.add_argument("--no-spin", action="store_true")
    parser.add_argument("--one", nargs=4, help="one check in this process, as JSON")
    options = parser.parse_args()
    if options.one:
        design, host, vcpus, names = options.one
        print(json.dumps(ours(design, host, int(vcpus), names)))
        return
    print(f"{options.vcpus} vCPUs, 2 CPUs, both host widths, nothing assumed; the 64-bit host's states")
    for design in options.designs:
        print(line(design, in_a_process(design, "both", options.vcpus)), flush=True)
    if not options.no_spin and not missing():
        for names in BOUNDS:
            beside_spin("never-trap", names)


if __name__ == "__main__":
    main()
