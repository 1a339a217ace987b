"""The course as a static site: built twice the same, without a solution in it, and at work in a browser."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from deploy.site.build import build
from deploy.site.fetch import OutOfReach
from tests.browser.lab import ROOT
from tests.browser.learner import serious
from tests.browser.site import DOWNLOADS, SitePage, served
from tests.conftest import MISSING_SITE

_FIRST = "00-start-here.ipynb"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not os.environ.get("VMXSIM_TEST_SITE"):
        pytest.skip(MISSING_SITE)
    folder = tmp_path_factory.mktemp("site") / "site"
    try:
        build(folder, DOWNLOADS)
    except OutOfReach as error:
        pytest.skip(f"{MISSING_SITE}: {error}")
    return folder


def tree(folder: Path) -> dict[str, str]:
    """The digest of each file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def texts(data: bytes, name: str) -> Iterator[str]:
    """What is written in a file, the files in a wheel included; of a notebook its cells."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(BytesIO(data)) as inside:
            for one in inside.namelist():
                yield from texts(inside.read(one), one)
    elif name.endswith(".ipynb"):
        yield from ("".join(cell["source"]) for cell in json.loads(data)["cells"])
    else:
        yield data.decode(errors="replace")


@cache
def solutions() -> tuple[str, ...]:
    """The text of each lab's solution."""
    sources = (ROOT / "notebooks" / "labs" / "source").glob("*.ipynb")
    cells = [text for path in sources for text in texts(path.read_bytes(), path.name)]
    return tuple(
        found.strip()
        for text in cells
        for found in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text, re.DOTALL)
    )


def test_no_solution_is_on_the_site(site: Path) -> None:
    assert len(solutions()) >= 8 and min(map(len, solutions())) > 20
    for path in site.rglob("*"):
        if path.is_file():
            assert "labs/source" not in path.as_posix()
            for text in texts(path.read_bytes(), path.name):
                assert not any(solution in text for solution in solutions()), path
    listed = json.loads((site / "api/contents/labs/all.json").read_text())
    assert "source" not in [one["name"] for one in listed["content"]] and len(listed["content"]) == 9


def test_it_is_small_and_the_same_when_it_is_built_again(site: Path, tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) <= 46e6
    build(tmp_path / "again", DOWNLOADS)
    assert tree(tmp_path / "again") == tree(site)


def test_the_course_runs_in_the_browser_and_asks_no_other_host(site: Path, browser: Any) -> None:
    with served(site) as address:
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        context.set_default_timeout(120_000)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        front = context.new_page()
        front.goto(address)
        _front_page(front, address)
        with front.expect_popup() as opened:
            front.get_by_role("link", name="Start the course").click()
        lite = SitePage(opened.value)
        lite.ready(_FIRST)
        lite.run_all()
        _explorer(lite.page)
        assert lite.ran() == []
        _answers(lite)
        # JupyterLite's service worker asks for itself at the root, whatever the path
        heartbeat = address.replace("someone/vmxsim/", "api/service-worker-heartbeat")
        own = (address, heartbeat, "data:", "blob:")
        assert [url for url in asked if not url.startswith(own)] == []
        assert any("pyodide.asm.wasm" in url for url in asked), "the kernel's own requests are seen, too"
        assert lite.errors.found == []
        context.close()


def _front_page(page: Any, address: str) -> None:
    """Readable in both themes and widths, and every link leads somewhere."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page) == []
    links = page.evaluate("[...document.querySelectorAll('a')].map((link) => link.href)")
    assert len(links) >= 18 and all(link.startswith(address) for link in links)
    for link in links:
        assert page.request.get(link).ok, link
        notebook = link.partition("?path=")[2]
        assert not notebook or page.request.get(f"{address}files/{notebook}").ok, link
    counterexample = page.get_by_role("link", name="The shortest schedule that breaks a patch")
    counterexample.click()
    player = page.locator(".vmxsim-player[data-step]")
    before = player.get_attribute("data-step")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("was => document.querySelector('.vmxsim-player').dataset.step !== was", arg=before)
    page.go_back()


def _explorer(page: Any) -> None:
    """The first pictures come, a toggle changes the run, and the seed is checked."""
    explorer = page.locator(".vmxsim-explorer").first
    player = explorer.locator(".vmxsim-player[data-step]")
    player.scroll_into_view_if_needed()
    assert player.locator("svg [data-place]").count() >= 4
    title = "() => document.querySelector('.vmxsim-explorer .vmxsim-player').textContent"
    before = page.evaluate(title)
    explorer.locator(".widget-checkbox input").first.click()
    page.wait_for_function(f"was => ({title})() !== was", arg=before)
    explorer.get_by_role("button", name="Check every schedule").click()
    assert explorer.get_by_role("button", name="Stop", exact=True).count() == 0
    explorer.get_by_role("button", name="Check dedicated-accessors").click()
    explorer.locator(".vmxsim-check-findings").get_by_text("violated").first.wait_for()


def _answers(lite: SitePage) -> None:
    """Answers outlive the kernel, under the notebook's own name."""
    told = "import vmxsim, json; print(list(json.load(open('/drive/vmxsim-answers.json'))['notebooks']))"
    lite.page.locator(".vp-gate.shown .vp-option").first.click()
    lite.page.wait_for_timeout(1500)
    assert lite.execute(told) == [("stream", f"['{_FIRST}']"), ("stream", "\n")]
