"""The wheels of the site, and the lock file that tells Pyodide which there are and what each needs."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from email.parser import HeaderParser
from io import BytesIO
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

#: What requirements for other systems are judged by.
_HERE = {
    "sys_platform": "emscripten",
    "platform_system": "Emscripten",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}
#: Asked for by a package, and of no use in the browser: the checker's quicker half, and
#: processes. The kernel's own stand-in takes widgetsnbextension's place.
LEFT_OUT = ("numpy", "pexpect", "psutil", "widgetsnbextension")

#: The kernel installs jedi before it starts, five megabytes for completion that IPython also has of its own.
#: This stands in for it: a wheel without a module.
NO_JEDI = {
    "jedi-0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: jedi\nVersion: 0\n",
    "jedi-0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}

#: Every file's time in a wheel of ours, so that the same files make the same wheel.
_TIME = (2020, 1, 1, 0, 0, 0)


def packed(files: Mapping[str, bytes]) -> bytes:
    """These files as a wheel; the same files give the same bytes."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in sorted(files.items()):
            out.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def part(wheel: Path, wanted: Callable[[str], bool]) -> bytes:
    """A wheel with only the wanted ones of its files."""
    with zipfile.ZipFile(wheel) as whole:
        return packed({name: whole.read(name) for name in whole.namelist() if wanted(name)})


def plain_name(wheel: Path) -> str:
    """A wheel's name once nothing compiled is in it."""
    return "-".join([*wheel.name.split("-")[:2], "py3-none-any.whl"])


def stamped(name: str, data: bytes) -> str:
    """A wheel's name with a build number from its content. A browser that has kept the last site's wheel asks
    for the new one, although the version is the same."""
    return name.replace("-py3-", f"-0{hashlib.sha256(data).hexdigest()[:12]}-py3-")


def lock(pyodide: Mapping[str, Any], wheels: list[Path], python: str) -> dict[str, Any]:
    """Pyodide's lock file with these wheels as the only packages. ``pyodide`` is its own, ``python`` the
    version of its Python.

    Raises ValueError if a wheel needs a package that is neither there nor in :data:`LEFT_OUT`.
    """
    known = {canonicalize_name(parse_wheel_filename(wheel.name)[0]) for wheel in wheels}
    environment = {**_HERE, "python_version": python, "python_full_version": f"{python}.0"}
    packages = [_entry(wheel, known, environment) for wheel in wheels]
    return {**pyodide, "packages": {package["name"]: package for package in packages}}


def _entry(wheel: Path, known: set[str], environment: Mapping[str, str]) -> dict[str, Any]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
        metadata = next(one for one in names if one.endswith(".dist-info/METADATA"))
        about = HeaderParser().parsestr(files.read(metadata).decode())
    needed = []
    for text in about.get_all("Requires-Dist") or ():
        requirement = Requirement(text)
        other = canonicalize_name(requirement.name)
        if other in LEFT_OUT or (requirement.marker and not requirement.marker.evaluate(dict(environment))):
            continue
        if other not in known:
            raise ValueError(f"{wheel.name} needs {text}: pin it in pins.toml, or leave it out in wheels.py")
        needed.append(other)
    if name == "vmxsim":
        needed.append("vmxsim-graphviz")
    return {
        "name": str(name),
        "version": str(version),
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted({_module(one) for one in names if _module(one)}),
        "depends": sorted(needed),
        "unvendored_tests": False,
        "shared_library": False,
    }


def _module(file: str) -> str:
    """The module to import for a file at a wheel's top, or in a folder there; '' for other files."""
    top, _, rest = file.partition("/")
    if not file.endswith(".py") or top.endswith((".dist-info", ".data")):
        return ""
    return top if rest else top.removesuffix(".py")
