"""What a test run says at its end. It stands here because xdist's main process loads only this file."""

from __future__ import annotations

from typing import Any

MISSING_CHROMIUM = "no Chromium on PATH: install it (Debian: apt-get install chromium), or set CHROMIUM"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that the browser's tests were skipped."""
    if any(MISSING_CHROMIUM in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_sep("!", "THE EXPLORER WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(MISSING_CHROMIUM)
