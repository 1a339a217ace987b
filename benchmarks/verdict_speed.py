"""Seconds to a verdict, every design and host width, beside Spin on the exported model.

    python benchmarks/verdict_speed.py [--designs D ...] [--no-spin]

Default bounds, both starting modes together. Spin is counted from model to verdict: export,
generation, gcc, run; depth first, no reduction, like the checker; gcc with -O0 (-O2 compiles for
most of a minute and saves half a second) and with Spin's own checks of array bounds
(-DNOBOUNDCHECK leaves them out and saves about a second). The aims: 0.3 s, and ten times sooner
than Spin.
"""

from __future__ import annotations

import argparse
import statistics
import time

from vmxsim.checker import check as tables
from vmxsim.checker.check import check
from vmxsim.designs import DESIGNS
from vmxsim.promela import promela
from vmxsim.promela.spin import Options, missing, run_spin
from vmxsim.simulation.scenario import HOSTS

AIM = 0.3


def ours(design: str, host: str, times: int = 3) -> tuple[float, str, int]:
    """Median seconds of a check from nothing, the verdict, the states."""
    seconds = []
    for _ in range(times):
        tables._tables.clear()
        start = time.perf_counter()
        result = check(design, host=host)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result.verdict, result.hosts[0].states


def spins(design: str, host: str) -> tuple[float, str, str]:
    """Seconds that Spin takes from model to verdict, the verdict, the phases."""
    start = time.perf_counter()
    model = promela(DESIGNS[design], bits=int(host[:2]))
    export = time.perf_counter() - start
    run = run_spin(model, Options(optimize="-O0"))
    phases = (
        f"export {export:.2f} spin {run.spin_seconds:.2f} gcc {run.gcc_seconds:.2f} run {run.pan_seconds:.2f}"
    )
    return export + run.spin_seconds + run.gcc_seconds + run.pan_seconds, run.verdict, phases


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--no-spin", action="store_true")
    options = parser.parse_args()
    with_spin = not options.no_spin and not missing()
    if not with_spin:
        print("without Spin (asked for, or not installed: apt install spin gcc)")
    check(options.designs[0])  # imports
    all_seconds, ratios = [], []
    for design in options.designs:
        for host in HOSTS:
            seconds, verdict, states = ours(design, host)
            all_seconds.append(seconds)
            line = f"{design:<20} {host}  {verdict:<9} {states:>9,} states {seconds:6.3f} s"
            if with_spin:
                spin_seconds, spin_verdict, phases = spins(design, host)
                ratios.append(spin_seconds / seconds)
                same = "" if spin_verdict == verdict else f"  SPIN SAYS {spin_verdict}"
                line += f"   Spin {spin_seconds:5.2f} s ({phases})  {ratios[-1]:4.0f} times{same}"
            print(line, flush=True)
    slowest = max(all_seconds)
    print(f"median {statistics.median(all_seconds):.3f} s, slowest {slowest:.3f} s (aim {AIM} s)")
    if ratios:
        middle = statistics.median(ratios)
        print(f"sooner than Spin: {min(ratios):.0f} to {max(ratios):.0f} times, median {middle:.0f}")


if __name__ == "__main__":
    main()
