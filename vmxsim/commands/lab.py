"""``vmxsim lab``: JupyterLab on the first notebook.

The server runs in this process, and the notebooks' ``python3`` kernel is this Python, so that ``import
vmxsim`` in a cell finds what the command line runs.
"""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from vmxsim.commands.common import FINE
from vmxsim.errors import InputError

FIRST = "00-start-here.ipynb"
#: Defaults of JupyterLab's settings (overrides.json).
SETTINGS = Path(__file__).resolve().parents[1] / "data" / "lab"
#: JupyterLab's own first choice of port.
DEFAULT_PORT = 8888


def find_notebooks() -> Path:
    """The folder of the notebooks: the one beside this package in a clone, else ``notebooks`` in the current
    directory. Raises InputError if neither holds the first notebook."""
    beside = Path(__file__).resolve().parents[2] / "notebooks"
    for folder in (beside, Path.cwd() / "notebooks"):
        if (folder / FIRST).is_file():
            return folder
    raise InputError(
        f"the notebooks are not in {beside}: they come with a clone of the project, not with the installed"
        " package. Clone the project and run 'make lab' there, or run 'vmxsim lab' in a directory that"
        f" holds notebooks/{FIRST}"
    )


def is_free(port: int) -> bool:
    """Whether a server on this machine can listen on the port."""
    with socket.socket() as probe:
        # as the server does: a port that lingers after its server has ended is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def server_arguments(folder: Path, no_browser: bool, port: int | None) -> list[str]:
    """JupyterLab's arguments to serve ``folder``, opened on the first notebook, on ``port`` or else on the
    first free port from 8888 on."""
    arguments = [f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{FIRST}"]
    arguments += [f"--ServerApp.port={port or DEFAULT_PORT}", f"--ServerApp.port_retries={0 if port else 50}"]
    # No question about news covers the first notebook, and nothing is fetched from outside. These are
    # defaults; the user's own settings win. (JupyterLab 4.6 asks even if news_url is None.)
    arguments += [f"--LabApp.app_settings_dir={SETTINGS}", "--LabApp.news_url=None"]
    arguments += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    if no_browser:
        arguments.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container there may be no other user
    return arguments


def open_lab(no_browser: bool = False, port: int | None = None) -> None:
    """Serve the notebooks with JupyterLab until it is stopped; open the first one in a browser unless
    ``no_browser``.

    Raises InputError if JupyterLab or the notebooks are missing or the port is taken. If JupyterLab itself
    fails, it says why and raises SystemExit.
    """
    if find_spec("jupyterlab") is None:
        raise InputError(f"JupyterLab is not installed: {sys.executable} -m pip install jupyterlab")
    folder = find_notebooks()
    if port and not is_free(port):
        raise InputError(f"port {port} is taken; leave --port out to use the next free one", "--port")
    # A kernel spec in the user's home may be called python3 too and start a Python without vmxsim.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(server_arguments(folder, no_browser, port))


@click.command("lab")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to serve on (a free one from 8888 on).")
def lab_command(no_browser: bool, port: int | None) -> int:
    """Open JupyterLab on the first notebook."""
    open_lab(no_browser, port)
    return FINE
