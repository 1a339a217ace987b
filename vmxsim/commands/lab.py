"""``vmxsim lab``: JupyterLab on the first notebook."""

from __future__ import annotations

import click

from vmxsim.commands.output import FINE


@click.command("lab")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to serve on (a free one from 8888 on).")
def lab_command(no_browser: bool, port: int | None) -> int:
    """Open JupyterLab on the first notebook."""
    from vmxsim.lab import open_lab

    open_lab(no_browser, port)
    return FINE
