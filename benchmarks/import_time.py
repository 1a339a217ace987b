"""How long ``import vmxsim`` takes in a fresh Python, beyond Python's own start."""

import statistics
import subprocess
import sys
import time

TARGET = 0.3  # seconds
ROUNDS = 15


def start(code: str) -> float:
    """Seconds from starting a Python to its end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def main() -> None:
    for name, code in (
        ("import vmxsim", "import vmxsim"),
        ("import vmxsim; vmxsim.run", "import vmxsim; vmxsim.run"),
        ("import vmxsim; vmxsim.explore", "import vmxsim; vmxsim.explore"),
    ):
        start(code)  # compiles what was never imported
        # taken in turn, so that a busy moment slows both
        pairs = [(start("pass"), start(code)) for _ in range(ROUNDS)]
        seconds = statistics.median(full - bare for bare, full in pairs)
        target = f" (target {TARGET} s)" if code == "import vmxsim" else ""
        print(f"{name}: {seconds:.3f} s, median of {ROUNDS}{target}")


if __name__ == "__main__":
    main()
