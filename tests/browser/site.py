"""The site in the browser: built once, and served under a sub-path as a pages host does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.browser.lab import ROOT, Errors

#: Fetched once for the tests, the benchmarks and 'make site'.
DOWNLOADS = ROOT / "build" / "downloads"
_PATH = "/someone/vmxsim/"

_READY = """name => {
  const shown = window.jupyterapp?.shell.currentWidget;
  return shown?.context?.path === name && shown.sessionContext?.session?.kernel;
}"""
_RAN = """() => jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim())
  .every((cell) => cell.model.executionCount)"""
_WRONG = """() => jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code')
  .flatMap((cell) => cell.outputArea.model.toJSON())
  .filter((output) => output.output_type === 'error' || output.name === 'stderr')
  .map((output) => output.evalue ?? String(output.text))"""
_EXECUTE = """async (code) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const found = [];
  const asked = kernel.requestExecute({ code });
  asked.onIOPub = ({ header, content }) => found.push([header.msg_type,
    String(content.text ?? content.evalue ?? content.data?.['text/plain'] ?? '')]);
  await asked.done;
  return found.filter(([kind]) => kind !== 'status' && kind !== 'execute_input');
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix(_PATH[:-1]) if path.startswith(_PATH) else "/none")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{_PATH}"
    finally:
        server.shutdown()
        server.server_close()


class SitePage:
    """A page of JupyterLite on the site."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors = Errors(page)

    def ready(self, notebook: str) -> None:
        """Wait until a notebook is shown, and its kernel asked for."""
        self.page.wait_for_function(_READY, arg=notebook)

    def run_all(self) -> None:
        """Run all cells; returns at once."""
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def ran(self, seconds: float = 240) -> list[str]:
        """Wait until all cells have run, or one went wrong; what went wrong."""
        self.page.wait_for_function(f"() => ({_RAN})() || ({_WRONG})().length", timeout=1000 * seconds)
        wrong: list[str] = self.page.evaluate(_WRONG)
        return wrong

    def execute(self, code: str) -> list[tuple[str, str]]:
        """Execute code in the kernel; the kinds and texts of what it shows."""
        return [tuple(one) for one in self.page.evaluate(_EXECUTE, code)]
