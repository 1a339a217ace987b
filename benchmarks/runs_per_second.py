"""How many runs a second ``vmxsim.run`` makes of a ten-action scenario, without pictures."""

import statistics
import time

import vmxsim

TARGET = 500  # runs a second
ACTIONS = [
    "set-msr 0xA000",
    "run",
    "guest rdmsr -> 0xA000",
    "guest wrmsr 0xB000",
    "emulate rdmsr -> 0xB000",
    "preempt cpu1",
    "guest swapgs",
    "guest swapgs",
    "exit",
    "get-msr -> 0xB000",
]
ROUNDS, RUNS = 7, 200


def main() -> None:
    def once() -> None:
        trace = vmxsim.run(ACTIONS, "dedicated-accessors", long_mode=True)
        assert not trace.violations
        assert len(trace.results) == len(ACTIONS)

    once()  # lowers the design's functions, once a process
    rates = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(RUNS):
            once()
        rates.append(RUNS / (time.perf_counter() - begin))
    print(
        f"{len(ACTIONS)} actions, dedicated-accessors: {statistics.median(rates):.0f} runs/s,"
        f" median of {ROUNDS} rounds of {RUNS} (target {TARGET})"
    )


if __name__ == "__main__":
    main()
