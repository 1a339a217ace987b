"""Time to make all frames of a 60-step run: one layout, every frame by restyling (aim: 150 ms median).

Run: python benchmarks/frames_speed.py
"""

from __future__ import annotations

from itertools import count
from statistics import median
from time import perf_counter

import vmxsim
from vmxsim.simulation.run import RunTrace
from vmxsim.views.film import film, still

_RUNS = 30


def _trace() -> RunTrace:
    """The first run of at least 60 steps: in and out of the guest, as often as it takes."""
    for rounds in count(1):
        trace = vmxsim.run(["run", "exit"] * rounds, design="dedicated-accessors", long_mode=True)
        if len(trace.steps) >= 60:
            return trace
    raise AssertionError


def main() -> None:
    """Print the figures."""
    steps = len(_trace().steps)
    start = perf_counter()
    film(_trace())
    first = perf_counter() - start
    films = []
    for _ in range(_RUNS):
        trace = _trace()  # a new run each time: nothing is remembered from the last
        start = perf_counter()
        film(trace)
        films.append(perf_counter() - start)
    trace = _trace()
    start = perf_counter()
    for index in range(steps + 1):
        still(trace, index)
    stills = perf_counter() - start
    typical = median(films) * 1000
    print(f"film of {steps} steps, layout included: median {typical:.1f} ms, first {first * 1000:.0f} ms")
    print(f"per frame: {typical / (steps + 1):.2f} ms; as {steps + 1} stills: {stills * 1000:.0f} ms")


if __name__ == "__main__":
    main()
