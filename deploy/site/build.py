"""``make site``: the course as a static site that runs in the browser, without server, install or network.

    python -m deploy.site.build [--into build/site] [--downloads build/downloads]

JupyterLite is the front end, Pyodide the Python. Everything that is not this project's comes from npm and
PyPI, as pins.toml names it, and stands in the site itself: its pages ask no other host for anything. Built
twice from the same files, it is the same, byte by byte.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.site import graphviz
from deploy.site.fetch import Failed, npm_package, pins, run, tools, wheels
from deploy.site.front_page import write_front_page
from deploy.site.wheels import NO_JEDI, lock, packed, part, plain_name, stamped
from vmxsim.teaching.course import course_files

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "notebooks"

#: The site's apps: all of JupyterLab, and one notebook at a time.
APPS = ("lab", "notebooks")
#: What a kernel loads before its first cell.
_LOADED = ("comm", "ipykernel", "ipython", "jedi", "micropip", "piplite", "pyodide-kernel", "vmxsim")
#: Python for the browser.
_PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_PYTHON = "3.14"
#: The time of every file that tells one: 2026-01-01.
_EPOCH = "1767225600"
_TIME = "2026-01-01T00:00:00Z"


def build(into: Path, downloads: Path) -> None:
    """Build the site in ``into``, in place of what is there.

    Raises Failed if something cannot be fetched or built; then what was there stays.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        python = tools(downloads / "tools", work / "tools")
        _pyodide(work / "lite" / "static" / "pyodide", python, downloads)
        (work / "lite" / "jupyter-lite.json").write_text(json.dumps(_settings(), indent=1))
        made = work / "site"
        _jupyterlite(python, work / "lite", made)
        _contents(made)
        write_front_page(made, COURSE)
        shutil.rmtree(into, ignore_errors=True)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, into)


def _pyodide(folder: Path, python: Path, downloads: Path) -> None:
    """Python for the browser, every wheel, and the list of them."""
    folder.mkdir(parents=True)
    pyodide = npm_package("pyodide", downloads / "npm")
    for name in _PYODIDE:
        shutil.copy(pyodide / name, folder)
    pinned = pins()
    any_system = [f"--python-version={_PYTHON}", "--implementation=py", "--abi=none", "--platform=any"]
    for wheel in wheels(pinned["browser"], downloads / "browser", any_system):
        shutil.copy(wheel, folder)
    for wheel in _kernel_wheels(python):
        shutil.copy(wheel, folder)
    linux = [f"--python-version={_PYTHON}", "--implementation=cp", "--platform=manylinux2014_x86_64"]
    for wheel in wheels(pinned["halves"], downloads / "halves", linux):
        (folder / plain_name(wheel)).write_bytes(part(wheel, lambda name: not name.endswith(".so")))
    (folder / "jedi-0-py3-none-any.whl").write_bytes(packed(NO_JEDI))
    viz = npm_package("@viz-js/viz", downloads / "npm")
    version = pinned["npm"]["@viz-js/viz"]["version"]
    files = graphviz.wheel_files((viz / "lib" / "backend.js").read_text("utf-8"), version)
    own = _own_wheel(python, folder.parent)
    for name, data in (
        (f"vmxsim_graphviz-{version}-py3-none-any.whl", packed(files)),
        # the course stands beside the wheel, and the labs' solutions nowhere
        (own.name, part(own, lambda name: not name.startswith("vmxsim/data/course/"))),
    ):
        (folder / stamped(name, data)).write_bytes(data)
    own.unlink()
    listed = lock(
        json.loads((pyodide / "pyodide-lock.json").read_text()), sorted(folder.glob("*.whl")), _PYTHON
    )
    (folder / "pyodide-lock.json").write_text(json.dumps(listed, indent=1))


def _kernel_wheels(python: Path) -> list[Path]:
    """What jupyterlite-pyodide-kernel brings for its kernel; of two widgetsnbextensions neither."""
    extension = python.parents[1] / "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
    schema = (extension / "static" / "schema" / "kernel.v0.schema.json").read_text()
    if f"/v{pins()['npm']['pyodide']['version']}/" not in schema:
        raise Failed("jupyterlite-pyodide-kernel goes with another version of pyodide than pins.toml names")
    found = sorted((extension / "static" / "pypi").glob("*.whl"))
    return [wheel for wheel in found if not wheel.name.startswith("widgetsnbextension-")]


def _own_wheel(python: Path, folder: Path) -> Path:
    """vmxsim's own wheel, as it would be installed anywhere."""
    command = [str(python), "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run(command, "vmxsim's wheel cannot be built", ROOT, SOURCE_DATE_EPOCH=_EPOCH)
    return next(folder.glob("vmxsim-*.whl"))


def _settings() -> dict[str, Any]:
    """JupyterLite's settings: nothing is looked for on another host."""
    kernel = {
        "disablePyPIFallback": True,
        "loadPyodideOptions": {"packages": _LOADED, "lockFileURL": "./static/pyodide/pyodide-lock.json"},
    }
    return {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "vmxsim",
            "contentsAllJsonFile": "all.json",
            "exposeAppInBrowser": True,
            "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
        },
    }


def _jupyterlite(python: Path, lite: Path, made: Path) -> None:
    apps = [f"--apps={app}" for app in APPS]
    where = [f"--lite-dir={lite}", f"--output-dir={made}", "--no-libarchive"]
    command = [str(python), "-m", "jupyterlite_core", "build", *where, *apps, "--no-sourcemaps"]
    own = {"HOME": str(lite.parent), "JUPYTER_CONFIG_DIR": str(lite.parent), "JUPYTER_PREFER_ENV_PATH": "1"}
    run(command, "JupyterLite cannot be built", lite, SOURCE_DATE_EPOCH=_EPOCH, **own)


def _contents(made: Path) -> None:
    """The course's files, and the list of each folder that JupyterLite asks for: what its own addon does
    with a whole Jupyter server."""
    for name in course_files(COURSE):
        target = made / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(COURSE / name, target)
    files = made / "files"
    for folder in [files, *(path for path in files.rglob("*") if path.is_dir())]:
        listed = made / "api" / "contents" / folder.relative_to(files) / "all.json"
        listed.parent.mkdir(parents=True, exist_ok=True)
        inside = [_listed(path, files) for path in sorted(folder.iterdir())]
        listed.write_text(
            json.dumps({**_listed(folder, files), "content": inside, "format": "json"}, indent=1)
        )


def _listed(path: Path, files: Path) -> dict[str, Any]:
    """A file or folder as Jupyter's contents API describes it, without its content."""
    kind = "directory" if path.is_dir() else "notebook" if path.suffix == ".ipynb" else "file"
    name = "" if path == files else path.name
    return {
        "name": name,
        "path": path.relative_to(files).as_posix() if name else "",
        "type": kind,
        "size": None if path.is_dir() else path.stat().st_size,
        "mimetype": mimetypes.guess_type(path.name)[0] if kind == "file" else None,
        "content": None,
        "format": None,
        "created": _TIME,
        "last_modified": _TIME,
        "writable": True,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make site", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--downloads", type=Path, default=ROOT / "build" / "downloads")
    given = parser.parse_args()
    try:
        build(given.into.absolute(), given.downloads.absolute())
    except (Failed, ValueError) as error:
        sys.exit(f"make site: {error}")
    size = sum(path.stat().st_size for path in given.into.rglob("*") if path.is_file())
    print(f"{given.into}: {size / 1e6:.1f} MB; to look at it: python -m http.server -d {given.into}")


if __name__ == "__main__":
    main()
