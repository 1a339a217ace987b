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
from vmxsim.teaching.course import FIRST, USUAL_COPY, find_course, work_on

#: Defaults of JupyterLab's settings (overrides.json).
SETTINGS = Path(__file__).resolve().parents[1] / "data" / "lab"
#: JupyterLab's own first choice of port.
DEFAULT_PORT = 8888


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


def folder_to_open(named: Path | None = None, refresh: bool = False, copy: bool = False) -> Path:
    """The folder to serve: a checkout's notebooks, else a working copy of the course, which is made or added
    to. A folder that is ``named``, ``refresh`` or ``copy`` asks for a working copy in a checkout as well.

    Raises InputError if there is no course, or if the working copy cannot be made.
    """
    course, checkout = find_course()
    if checkout and not (named or refresh or copy):
        return course
    done = work_on(course, (named or Path(USUAL_COPY)).absolute(), refresh)
    if str(done):
        click.echo(done, err=True)
    return done.folder


def open_lab(folder: Path, no_browser: bool = False, port: int | None = None) -> None:
    """Serve the notebooks in ``folder`` with JupyterLab until it is stopped; open the first one in a browser
    unless ``no_browser``.

    Raises InputError if the port is taken. If JupyterLab itself fails, it says why and raises SystemExit.
    """
    if port and not is_free(port):
        raise InputError(f"port {port} is taken; leave --port out to use the next free one", "--port")
    # A kernel spec in the user's home may be called python3 too and start a Python without vmxsim.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(server_arguments(folder, no_browser, port))


@click.command("lab")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to serve on (a free one from 8888 on).")
@click.option(
    "--dir",
    "named",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"The working copy of the course to open; it is made if it is not there (./{USUAL_COPY}).",
)
@click.option("--refresh", is_flag=True, help="Bring new versions of the course into the working copy.")
@click.option("--copy-only", is_flag=True, help="Make the working copy, print its folder, and end.")
def lab_command(
    no_browser: bool, port: int | None, named: Path | None, refresh: bool, copy_only: bool
) -> int:
    """Open JupyterLab on the first notebook.

    In a checkout these are the notebooks there. Elsewhere it is a working copy of the course that the package
    carries: what you change in it is never overwritten. --refresh brings what you have not changed up to
    date, and puts a new version beside what you have.
    """
    if not copy_only and find_spec("jupyterlab") is None:
        raise InputError(f"JupyterLab is not installed: {sys.executable} -m pip install jupyterlab")
    folder = folder_to_open(named, refresh, copy_only)
    if copy_only:
        click.echo(folder)
    else:
        open_lab(folder, no_browser, port)
    return FINE
