"""Bounds of growing size for two vCPUs on two CPUs: assumptions that leave 10^3 to 10^7 states."""

SMALL = ["one-value", "no-swapgs", "no-smm"]
KINDS = [*SMALL, "no-emulation", "no-cancelled-run", "no-set-efer"]
STILL = [*KINDS, "no-mode-switch"]
QUIET = [*STILL, "no-set-msr", "no-get-msr", "starts-in-long-mode"]

#: From the smallest to the largest; the names of assumptions.
SIZES: list[list[str]] = [
    [*QUIET, "no-exit"],
    QUIET,
    [*STILL, "starts-in-long-mode"],
    STILL,
    KINDS,
    SMALL,
    ["no-swapgs", "no-smm", "no-emulation"],
    ["no-swapgs", "no-smm"],
]
