"""The course in the browser, from the built site: first picture, toggle, verdict, and a table with progress.

Targets: 30 s to the first picture, 150 ms median for a toggle, 3 s for the seed's verdict; 'why' shows how
far it is. On a busy machine, look at the processor time: it is the browser's, of all its processes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from in_browser import tell
from toggle_latency import TOGGLE

from deploy.site.build import build
from deploy.site.fetch import Failed
from tests.browser.lab import chromium
from tests.browser.site import DOWNLOADS, SitePage, served

_FIRST = "00-start-here.ipynb"


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary) / "site"
        started = time.perf_counter()
        try:
            build(site, DOWNLOADS)
        except Failed as error:
            sys.exit(f"site_speed.py: {error}")
        files = [path for path in site.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        print(f"site: {size:.1f} MB in {len(files)} files, built in {time.perf_counter() - started:.0f} s")
        with served(site) as address, chromium() as browser:
            _measure(browser, f"{address}lab/index.html?path={_FIRST}")


class _Clock:
    """Measures a browser: time on the clock, and the processor time of all its processes, both in ms."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser.new_browser_cdp_session()
        self.clock: list[float] = []
        self.processor: list[float] = []

    @contextmanager
    def once(self) -> Iterator[None]:
        """Around what is measured."""
        clock, processor = time.perf_counter(), self._used()
        yield
        self.clock.append(1000 * (time.perf_counter() - clock))
        self.processor.append(1000 * (self._used() - processor))

    def _used(self) -> float:
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        return float(sum(process["cpuTime"] for process in processes))

    def tell(self, what: str, target: float) -> None:
        """Print it, and start anew."""
        tell(what, self.clock, target)
        print(f"    of processor time at least {min(self.processor):.0f} ms")
        self.clock, self.processor = [], []


def _measure(browser: Any, address: str) -> None:
    clock = _Clock(browser)
    while True:
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(300_000)
        page = context.new_page()
        with clock.once():
            page.goto(address)
            lite = SitePage(page)
            lite.ready(_FIRST)
            lite.run_all()
            page.locator(".vmxsim-player[data-step]").first.wait_for()
        if len(clock.clock) == 3:
            break
        context.close()
    clock.tell("from the link to the first picture", 30_000)
    lite.ran()
    page.locator(".vmxsim-explorer").first.scroll_into_view_if_needed()
    with clock.once():
        taken = page.evaluate(TOGGLE)
    tell("toggle to first new picture", taken, 150)
    print(f"    of processor time {clock.processor.pop() / len(taken):.0f} ms")
    clock.clock.clear()
    for call, times, target in (
        ("check('dedicated-accessors')", 3, 3000),
        ("check('never-trap')", 3, 3000),
        ("why('dedicated-accessors')", 1, 60_000),
    ):
        for _ in range(times):
            with clock.once():
                shown = lite.execute(f"vmxsim.{call};")
        told = sum(kind == "update_display_data" for kind, _ in shown)
        clock.tell(f"{call}, with {told} lines of progress", target)


if __name__ == "__main__":
    main()
