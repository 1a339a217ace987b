"""Two vCPUs on two CPUs, explored in full: states a second and memory, beside Spin on the exported model.

    python benchmarks/product_speed.py [--design D] [--assume NAMES] [--no-spin]

Spin is compiled with -O2 and searches depth first without reduction. The aims: three times
Spin's states a second at half its memory; in plain Python half Spin's states a second. Memory
is what the search adds to the process (the peak of resident memory, measured in a process of
its own), for Spin what it reports.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from bounds import SMALL

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import kept_table
from vmxsim.checker.product import product, thread_graph
from vmxsim.checker.reach import reachable
from vmxsim.designs import find_design
from vmxsim.kernel.machine import Host
from vmxsim.promela import promela, restricted
from vmxsim.promela.spin import Options, missing, run_spin


def search(design: str, names: str, plain: bool) -> dict[str, float]:
    """One search in this process."""
    assumed = restriction(names)
    found = reachable(kept_table(find_design(design), Host(), assumed))
    graphs = [thread_graph(found, 2, assumed.moves, cpu) for cpu in (0, 1)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    both = product(*graphs, 2, plain=plain)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"states": both.states, "seconds": seconds, "megabytes": grown}


def in_a_process(design: str, names: str, plain: bool) -> dict[str, float]:
    """The same in a fresh process, so that its memory is its own."""
    command = [sys.executable, __file__, "--design", design, "--assume", names, "--one"]
    done = subprocess.run(command + ["--plain"] * plain, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--design", default="never-trap")
    parser.add_argument("--assume", default=",".join(SMALL))
    parser.add_argument("--no-spin", action="store_true")
    parser.add_argument("--one", action="store_true", help="one search in this process, as JSON")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(search(options.design, options.assume, options.plain)))
        return
    print(f"{options.design}, 2 vCPUs, 2 CPUs, 64-bit host, assuming {options.assume}")
    rows = [("numpy", in_a_process(options.design, options.assume, False))]
    rows.append(("plain Python", in_a_process(options.design, options.assume, True)))
    if not options.no_spin and not missing():
        assumed = restriction(options.assume)
        model = promela(
            find_design(options.design),
            vcpus=2,
            long_modes=assumed.long_modes,
            environment=restricted(assumed),
        )
        run = run_spin(model, Options(count=True, hash_bits=24, depth=1_000_000))
        rows.append(("Spin -O2", {"states": run.states, "seconds": run.pan_seconds, "megabytes": run.memory}))
    speeds = {}
    for name, row in rows:
        speeds[name] = row["states"] / row["seconds"]
        print(
            f"{name:<13} {row['states']:>12,.0f} states {row['seconds']:>7.2f} s"
            f" {speeds[name] / 1e6:>6.2f} M states/s {row['megabytes']:>8.0f} MB"
            f" {row['megabytes'] * 1e6 / row['states']:>6.1f} bytes a state"
        )
    if "Spin -O2" in speeds:
        memory = {name: row["megabytes"] for name, row in rows}
        for name in ("numpy", "plain Python"):
            print(
                f"{name}: {speeds[name] / speeds['Spin -O2']:.2f} times Spin's states a second,"
                f" {memory[name] / memory['Spin -O2']:.2f} of its memory"
            )


if __name__ == "__main__":
    main()
