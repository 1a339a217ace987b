"""Fetches what pins.toml names, from npm and PyPI, and accepts nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PINS = Path(__file__).with_name("pins.toml")
#: What the tools share with the browser.
_SHARED = ("anywidget", "jupyterlab-widgets", "packaging", "traitlets")

#: Packages by name, with their versions and hashes.
Pinned = Mapping[str, Mapping[str, str]]


class Failed(Exception):
    """The site cannot be built; the message says what and why."""


class OutOfReach(Failed):
    """npm or PyPI cannot be asked."""


def pins() -> dict[str, Any]:
    """What pins.toml says."""
    return tomllib.loads(PINS.read_text("utf-8"))


def npm_package(name: str, folder: Path) -> Path:
    """A package from npm, unpacked in ``folder``. It is not fetched again if it is there."""
    pin = pins()["npm"][name]
    what = f"{name}@{pin['version']}"
    archive = folder / f"{name.strip('@').replace('/', '-')}-{pin['version']}.tgz"
    if not archive.is_file():
        if shutil.which("npm") is None:
            raise OutOfReach(
                f"npm is not installed, and {what} comes from there (Debian: apt-get install npm)"
            )
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run(["npm", "pack", "--loglevel=error", what], f"{what} cannot be had from npm", folder)
        except Failed as error:
            raise OutOfReach(str(error)) from None
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if integrity != pin["integrity"]:
        archive.unlink()
        raise Failed(f"{what} is not what pins.toml names: its integrity is {integrity}")
    unpacked = archive.with_suffix("")
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(unpacked, filter="data")
    return unpacked / "package"


def wheels(pinned: Pinned, folder: Path, how: Sequence[str] = ()) -> list[Path]:
    """These wheels from PyPI, in ``folder``; ``how`` are pip's options for another system than this one.
    They are not fetched again if they are there."""
    wanted = {pin["sha256"] for pin in pinned.values()}
    if not wanted <= set(_by_digest(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        listed = folder / "requirements.txt"
        rows = [f"{name}=={pin['version']} --hash=sha256:{pin['sha256']}\n" for name, pin in pinned.items()]
        listed.write_text("".join(rows))
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", *how]
        try:
            pip("download", *options, f"--dest={folder}", f"--requirement={listed}")
        except Failed as error:
            if "DO NOT MATCH THE HASHES" in str(error):
                raise
            raise OutOfReach(f"the wheels that pins.toml names cannot be had: {error}") from None
    found = _by_digest(folder)
    return sorted(found[digest] for digest in wanted)


def _by_digest(folder: Path) -> dict[str, Path]:
    return {hashlib.sha256(wheel.read_bytes()).hexdigest(): wheel for wheel in folder.glob("*.whl")}


def tools(folder: Path, environment: Path) -> Path:
    """A new virtual environment with what builds the site, whose wheels are in ``folder``; its Python."""
    pinned = pins()
    wanted = {**pinned["tools"], **{name: pinned["browser"][name] for name in _SHARED}}
    found = wheels(wanted, folder)
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip(f"--python={python}", "install", "--quiet", "--no-deps", "--no-index", *map(str, found))
    return python


def pip(*arguments: str) -> None:
    """Run pip. Raises Failed with what it said."""
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], "pip failed")


def run(command: Sequence[str], what: str, folder: Path | None = None, **environment: str) -> None:
    """Run a program; where it fails, raise Failed: ``what`` failed, and what the program said."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(f"{what}:\n{(done.stderr.strip() or done.stdout.strip())[-3000:]}")
