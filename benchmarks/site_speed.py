"""The course in the browser, from the built site: first picture, toggle, verdict, and a table with progress.

Targets: 30 s to the first picture, 150 ms median for a toggle, 3 s for the seed's verdict; 'why' shows how
far it is. The page shares the machine with everything else: look at the quickest of several runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from in_browser import tell
from toggle_latency import TOGGLE

from deploy.site.build import build
from deploy.site.fetch import Failed
from tests.browser.lab import chromium
from tests.browser.site import DOWNLOADS, SitePage, served

_FIRST = "00-start-here.ipynb"
_TIMED = """\
import time, vmxsim
started = time.perf_counter()
vmxsim.{}
print(time.perf_counter() - started)
"""


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


def _measure(browser: object, address: str) -> None:
    first: list[float] = []
    while True:
        context = browser.new_context(viewport={"width": 1280, "height": 1000})  # type: ignore[attr-defined]
        context.set_default_timeout(120_000)
        page = context.new_page()
        started = time.perf_counter()
        page.goto(address)
        lite = SitePage(page)
        lite.ready(_FIRST)
        lite.run_all()
        page.locator(".vmxsim-player[data-step]").first.wait_for()
        first.append(1000 * (time.perf_counter() - started))
        if len(first) == 3:
            break
        context.close()
    tell("from the link to the first picture", first, 30_000)
    lite.ran()
    page.locator(".vmxsim-explorer").first.scroll_into_view_if_needed()
    tell("toggle to first new picture", page.evaluate(TOGGLE), 150)
    for call, target in (
        ("check('dedicated-accessors')", 3000),
        ("check('never-trap')", 3000),
        ("why('dedicated-accessors')", 60_000),
    ):
        taken, told = [], 0
        for _ in range(1 if "why" in call else 3):
            shown = lite.execute(_TIMED.format(call))
            taken.append(1000 * float(next(text for kind, text in shown if kind == "stream")))
            told = sum(kind == "update_display_data" for kind, _ in shown)
        tell(f"{call} ({told} lines of progress)", taken, target)


if __name__ == "__main__":
    main()
