"""What a test run says at its end. It stands here because xdist's main process loads only this file."""

from __future__ import annotations

import os
from typing import Any

# kernels that tests start inherit it: none reads or writes the answers of whoever runs the tests
os.environ["VMXSIM_ANSWERS"] = ""

MISSING_CHROMIUM = "no Chromium on PATH: install it (Debian: apt-get install chromium), or set CHROMIUM"
MISSING_TREE = "no kernel tree: .ci/run fetches Debian's linux-source-6.1, or set VMXSIM_TEST_TREE"
MISSING_SITE = "no site in the browser: its packages come from npm and PyPI"
MISSING_HUB = (
    "no JupyterHub, or no configurable-http-proxy on PATH: pip install jupyterhub, npm install -g"
    " configurable-http-proxy"
)
#: What was not tested, by why a test was skipped.
LOUD = {
    MISSING_CHROMIUM: "THE EXPLORER WAS NOT TESTED",
    MISSING_SITE: "THE SITE IN THE BROWSER WAS NOT TESTED",
    MISSING_TREE: "NO REAL KERNEL TREE WAS TESTED",
    MISSING_HUB: "NO CLASS ON A HUB WAS TESTED",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that tests were skipped for want of something that is not part of the project."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for why, untested in LOUD.items():
        if any(why in text for text in skipped):
            terminalreporter.write_sep("!", untested, red=True, bold=True)
            terminalreporter.write_line(why)
