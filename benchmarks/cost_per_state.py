"""Nanoseconds for each state of two vCPUs on two CPUs, from thousands of states to tens of millions.

    python benchmarks/cost_per_state.py [--svg FILE] [--design D]

The aim is a flat curve from 10^4 to 10^7. ``--svg`` draws it.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from bounds import SIZES

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import kept_table
from vmxsim.checker.product import product, thread_graph
from vmxsim.checker.reach import reachable
from vmxsim.designs import find_design
from vmxsim.kernel.machine import Host


def measure(design: str, names: list[str], least: float = 0.3) -> tuple[int, float]:
    """States and seconds of one search: the best of as many as fit in ``least`` seconds."""
    assumed = restriction(names)
    found = reachable(kept_table(find_design(design), Host(), assumed))
    graphs = [thread_graph(found, 2, assumed.moves, cpu) for cpu in (0, 1)]
    best, total = math.inf, 0.0
    while total < least:
        start = time.perf_counter()
        both = product(*graphs, 2)
        seconds = time.perf_counter() - start
        best, total = min(best, seconds), total + seconds
    return both.states, best


def curve_svg(points: list[tuple[int, float]], design: str) -> str:
    """The curve as SVG: states on a logarithmic axis, nanoseconds a state."""
    width, height, left, bottom = 640, 320, 70, 50
    top = max(500.0, max(cost for _, cost in points) * 1.1)

    def x(states: float) -> float:
        return left + (math.log10(states) - 3) / 5 * (width - left - 20)

    def y(cost: float) -> float:
        return height - bottom - cost / top * (height - bottom - 20)

    words = "; ".join(f"{states:,} states: {cost:.0f} ns each" for states, cost in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' aria-labelledby="t d" font-family="sans-serif" font-size="14">',
        f'<title id="t">Cost of a state, {design}, 2 vCPUs on 2 CPUs</title><desc id="d">{words}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for power in range(3, 9):
        at = x(10**power)
        parts.append(f'<path d="M{at:.1f} 20V{height - bottom}" stroke="#dddddd"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{height - bottom + 20}" text-anchor="middle" fill="#333333">10'
            f'<tspan dy="-6" font-size="10">{power}</tspan></text>'
        )
    step = 100 if top < 1200 else 500
    for cost in range(0, int(top) + 1, step):
        parts.append(
            f'<path d="M{left} {y(cost):.1f}H{width - 20}" stroke="#dddddd"/>'
            f'<text x="{left - 8}" y="{y(cost) + 5:.1f}" text-anchor="end" fill="#333333">{cost}</text>'
        )
    line = " ".join(f"{x(states):.1f},{y(cost):.1f}" for states, cost in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0072B2" stroke-width="3"/>')
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(c):.1f}" r="5" fill="#0072B2"/>' for s, c in points]
    middle = height // 2 - 20
    parts.append(
        f'<text x="{(width + left) // 2}" y="{height - 10}" text-anchor="middle" fill="#333333">states</text>'
        f'<text x="18" y="{middle}" text-anchor="middle" fill="#333333" transform="rotate(-90 18 {middle})">'
        "nanoseconds a state</text></svg>"
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--design", default="never-trap")
    options = parser.parse_args()
    points = []
    print(f"{options.design}, 2 vCPUs, 2 CPUs, 64-bit host")
    for names in SIZES:
        states, seconds = measure(options.design, names)
        cost = seconds / states * 1e9
        points.append((states, cost))
        print(f"{states:>12,} states {seconds:>8.3f} s {cost:>7.0f} ns a state  assuming {','.join(names)}")
    wanted = [cost for states, cost in points if states >= 1e4]
    least, most = min(wanted), max(wanted)
    print(f"from 10^4 states on: {least:.0f} to {most:.0f} ns, ratio {most / least:.2f}")
    if options.svg:
        options.svg.write_text(curve_svg(points, options.design), encoding="utf-8")


if __name__ == "__main__":
    main()
