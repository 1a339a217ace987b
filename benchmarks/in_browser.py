"""What the browser's benchmarks share: a JupyterLab, a page, and how medians are printed."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.lab import Lab, chromium, open_notebook

EXPLORE = "import vmxsim\nvmxsim.explore()"


@contextmanager
def lab_and_page() -> Iterator[tuple[Lab, Any]]:
    """A JupyterLab of its own and an empty page. Leaves the program where there is no Chromium."""
    with tempfile.TemporaryDirectory() as home:
        lab = Lab(Path(home))
        try:
            with chromium() as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                page.set_default_timeout(60_000)
                yield lab, page
        except RuntimeError as error:
            sys.exit(f"{Path(sys.argv[0]).name}: {error}")
        finally:
            lab.close()


def open_explorer(lab: Lab, page: Any) -> None:
    """The explorer, drawn and at rest."""
    open_notebook(page, lab, lab.write("explorer.ipynb", [EXPLORE]))
    page.locator(".vmxsim-player[data-step]").wait_for()
    page.locator(".vmxsim-player").scroll_into_view_if_needed()
    page.wait_for_timeout(1500)


def measure(what: str, script: str, target: float) -> None:
    """Run ``script`` in the explorer's page, print what it took."""
    with lab_and_page() as (lab, page):
        open_explorer(lab, page)
        tell(what, page.evaluate(script), target)


def tell(what: str, milliseconds: Sequence[float], target: float) -> None:
    """Print the median, the quickest and the slowest, and the target."""
    median = statistics.median(milliseconds)
    spread = f"{min(milliseconds):.1f} to {max(milliseconds):.1f} ms in {len(milliseconds)} runs"
    print(f"{what}: median {median:.1f} ms, {spread} (target {target:g} ms)")
