"""How tests are shared out among workers, and what a run says at its end. It stands here because xdist's main
process loads only this file."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

# kernels that tests start inherit it: none reads or writes the answers of whoever runs the tests
os.environ["VMXSIM_ANSWERS"] = ""
# Python looks for cycles of garbage after every 700 new objects, and tests keep many: a tenth of their time
gc.set_threshold(20_000, 10, 10)

MISSING_CHROMIUM = "no Chromium on PATH: install it (Debian: apt-get install chromium), or set CHROMIUM"
MISSING_TREE = "no kernel tree: .ci/run fetches Debian's linux-source-6.1, or set VMXSIM_TEST_TREE"
MISSING_SITE = "the site has a target of its own, which needs npm: make test-site"
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


def pytest_collection_finish() -> None:
    """What is there by now stays: nobody need look through it again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """A file is one worker's. Of the browser's files all but the longest are, so that not every worker loads
    a JupyterLab."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            shared = file.startswith("tests/browser/") and not file.endswith("/test_course.py")
            return "tests/browser" if shared else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that tests were skipped for want of something that is not part of the project."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for why, untested in LOUD.items():
        if any(why in text for text in skipped):
            terminalreporter.write_sep("!", untested, red=True, bold=True)
            terminalreporter.write_line(why)
