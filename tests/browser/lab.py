"""A real JupyterLab and a headless Chromium, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Nothing of the browser may want the network or a GPU.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

#: What the console says of JupyterLab itself, whatever the notebook holds.
_NOT_OURS = ("favicon", "ResizeObserver loop", "Failed to load resource", "deprecated", "WebGL")


def find_chromium() -> str | None:
    """The Chromium of this machine: ``CHROMIUM``, else the first of the usual names on PATH."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Lab:
    """A JupyterLab server over a temporary directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.notebooks = home / "notebooks"
        self.notebooks.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings("apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
        # cells that are scrolled out of view stay in the page, where a test can find them, but are not drawn
        self._settings("notebook-extension/tracker", {"windowingMode": "contentVisibility"})
        self._settings("apputils-extension/themes", {"theme": "JupyterLab Light"})
        #: Pages that show no notebook, and those that show one, the latest last.
        self.free: list[LabPage] = []
        self.used: list[LabPage] = []
        self._log = (home / "jupyter.log").open("wb")
        places = {
            name: str(home / name.lower())
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        }
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={self.notebooks}",
                f"--LabApp.user_settings_dir={home / 'settings'}",
                f"--LabApp.workspaces_dir={home / 'workspaces'}",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.extension_manager=readonly",
            ],
            env={**os.environ, **places, "HOME": str(home), "PYTHONPATH": path},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=home,
        )
        self._wait()

    def _settings(self, plugin: str, values: dict[str, Any]) -> None:
        file = self.home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    def _wait(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise RuntimeError(f"JupyterLab did not start:\n{(self.home / 'jupyter.log').read_text()[-3000:]}")

    def close(self) -> None:
        """Stop the server, its kernels with it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def write(self, name: str, cells: Sequence[str]) -> str:
        """A notebook of code cells; returns its name."""
        book = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell{i}",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": text,
                }
                for i, text in enumerate(cells)
            ],
        }
        (self.notebooks / name).write_text(json.dumps(book))
        return name

    def address(self, notebook: str) -> str:
        """Where a notebook opens, in a workspace of its own."""
        return f"{self.url}/lab/workspaces/{Path(notebook).stem}/tree/{notebook}?token={self.token}"


class Errors:
    """What a page's console complained of that is not JupyterLab's own."""

    def __init__(self, page: Any) -> None:
        self.found: list[str] = []
        page.on("console", lambda message: message.type == "error" and self._add(message.text))
        page.on("pageerror", lambda error: self._add(str(error)))

    def _add(self, text: str) -> None:
        if not any(word in text for word in _NOT_OURS):
            self.found.append(text)


_CONNECTED = """name => {
  const shown = window.jupyterapp?.shell.currentWidget;
  const session = shown?.sessionContext?.session;
  return shown?.context?.path === name && session?.kernel?.connectionStatus === 'connected'
    && session.kernel.status === 'idle';
}"""

#: End the kernel of every notebook, close it unsaved, and show the page as it was at first.
_CLEAR = """async () => {
  const shell = jupyterapp.shell;
  for (const shown of [...shell.widgets('main')].filter((widget) => widget.context)) {
    await shown.sessionContext.shutdown();
    shown.context.model.dirty = false;
    shown.close();
  }
  if (shell.leftCollapsed) await jupyterapp.commands.execute('application:toggle-left-area');
}"""


def open_notebook(page: Any, lab: Lab, notebook: str) -> None:
    """Load JupyterLab with a notebook, wait until its kernel is *connected* ('idle' is said too early),
    run all."""
    page.goto(lab.address(notebook))
    page.wait_for_function(_CONNECTED, arg=notebook)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


class LabPage:
    """A page that shows a notebook in JupyterLab.

    JupyterLab takes longer to load than most tests to run, so a page whose notebook is closed serves
    the next one. All pages share one context.
    """

    def __init__(self, browser: Any, lab: Lab) -> None:
        if not browser.contexts:  # the first one is JupyterLab's
            browser.new_context(reduced_motion="reduce")
        self.page = browser.contexts[0].new_page()
        self.page.set_default_timeout(60_000)
        self.lab = lab
        self.errors = Errors(self.page)
        #: What was asked of others than this server.
        self.outside: list[str] = []
        own = (lab.url, lab.url.replace("http", "ws", 1), "data:", "blob:")
        self.page.on("request", lambda r: r.url.startswith(own) or self.outside.append(r.url))

    def show(self, notebook: str, width: int, theme: str) -> None:
        """Open a notebook and run all its cells."""
        self.lab.used.append(self)
        self.page.bring_to_front()  # Chromium paints no page that is behind another
        self.page.set_viewport_size({"width": width, "height": 1000})
        if self.page.url == "about:blank":
            self.page.goto(self.lab.address(notebook))
        else:
            self._execute("docmanager:open", path=notebook)
        self.page.wait_for_function(_CONNECTED, arg=notebook)
        self._execute("apputils:change-theme", theme=theme)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")

    def _execute(self, command: str, **how: Any) -> None:
        run = "async ([command, how]) => { await jupyterapp.commands.execute(command, how); }"
        self.page.evaluate(run, [command, how])

    def close(self) -> None:
        """Close the notebook, and complain of errors in the console and of what came from elsewhere."""
        found = [*self.errors.found, *self.outside]
        self.lab.used.remove(self)
        if self.lab.used:
            self.lab.used[-1].page.bring_to_front()
        if found:
            self.page.close()
        assert not found
        self.page.evaluate(_CLEAR)
        self.errors.found.clear()
        self.lab.free.append(self)


def lab_page(browser: Any, lab: Lab, notebook: str, width: int = 1280, dark: bool = False) -> LabPage:
    """A notebook that runs, in a page that is free, or in a new one."""
    found = lab.free.pop() if lab.free else LabPage(browser, lab)
    found.show(notebook, width, f"JupyterLab {'Dark' if dark else 'Light'}")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser. Raises RuntimeError where there is none."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        raise RuntimeError(
            "no Chromium on PATH: install it (Debian: apt-get install chromium), or set CHROMIUM"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
