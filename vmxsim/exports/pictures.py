"""A trace as a sequence of files, one a step: SVG, or PNG drawn by resvg."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vmxsim.errors import InputError, printable
from vmxsim.exports.flat import flat
from vmxsim.trace import Trace
from vmxsim.views.film import still

#: How much larger than its size in CSS pixels a PNG may be.
SCALES = (0.1, 8.0)

_SANS = ("DejaVu Sans", "Segoe UI", "Helvetica", "Arial", "Liberation Sans", "Noto Sans")
_MONO = ("DejaVu Sans Mono", "Consolas", "Menlo", "Courier New", "Liberation Mono", "Noto Sans Mono")


def write_pictures(
    trace: Trace, numbers: Sequence[int], folder: Path, kind: str, theme: str, scale: float
) -> list[Path]:
    """Write ``step-0000.svg`` (or ``.png``), and so on, for the scenes ``numbers``; returns the files.

    ``theme`` ``auto``: an SVG follows whoever looks at it, a PNG is light. Raises InputError
    for a folder that cannot be written and where there is nothing to draw with.
    """
    if not (isinstance(scale, (int, float)) and SCALES[0] <= scale <= SCALES[1]):
        raise InputError(
            f"{printable(repr(scale))} where a number from {SCALES[0]:g} to {SCALES[1]:g} was expected",
            "scale",
        )
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            file = folder / f"step-{number:04}.{kind}"
            svg = still(trace, number, f"step-{number}")
            if kind == "png":
                file.write_bytes(png(flat(svg, "light" if theme == "auto" else theme), scale))
            else:
                file.write_text(svg if theme == "auto" else flat(svg, theme), encoding="utf-8")
            written.append(file)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(folder, 200)) from None
    return written


def png(svg: str, scale: float = 1.0) -> bytes:
    """A flat SVG (:func:`~vmxsim.exports.flat.flat`) as a PNG, ``scale`` times its size.

    Raises InputError where resvg is not installed or cannot draw it.
    """
    try:
        import resvg_py
    except ImportError:
        raise InputError(
            "PNG files need the package resvg-py: run 'pip install resvg-py' (or pip install 'vmxsim[png]');"
            " '--to svg' needs nothing more",
            "png",
        ) from None
    sans, mono = _fonts()
    try:
        drawn = resvg_py.svg_to_bytes(
            svg_string=svg, zoom=scale, sans_serif_family=sans, monospace_family=mono
        )
    except ValueError as error:
        raise InputError(f"resvg cannot draw this picture: {printable(error, 300)}", "png") from None
    return bytes(drawn)


@cache
def _fonts() -> tuple[str, str]:
    """A sans-serif and a monospace family that are here: resvg leaves out a text for which it finds none.

    Raises InputError where there is no font.
    """
    import resvg_py

    def draws(family: str, text: str) -> bytes:
        attributes = f'width="40" height="20"><text y="15" font-family="{family}">{text}</text>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}</svg>'
        return bytes(resvg_py.svg_to_bytes(svg_string=svg))

    found = []
    for families in (_SANS, _MONO):
        family = next((name for name in families if draws(name, "Mg") != draws(name, "")), None)
        if family is None:
            raise InputError(
                f"there is none of the fonts {', '.join(families)}: install one of them"
                " (Debian: apt-get install fonts-dejavu-core); '--to svg' needs none",
                "png",
            )
        found.append(family)
    return found[0], found[1]
