"""From opening a notebook's page to its first widget on screen (target 5 s median)."""

from __future__ import annotations

import time

from in_browser import EXPLORE, lab_and_page, open_notebook, tell


def main() -> None:
    taken = []
    with lab_and_page() as (lab, page):
        for i in range(3):
            name = lab.write(f"first{i}.ipynb", [EXPLORE])
            start = time.perf_counter()
            open_notebook(page, lab, name)
            page.locator(".vmxsim-player[data-step]").wait_for()
            taken.append(1000 * (time.perf_counter() - start))
    tell("first widget visible", taken, 5000)


if __name__ == "__main__":
    main()
