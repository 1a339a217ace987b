"""``vmxsim.export``: a run, a recording or a counterexample in a form to pass on."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

from vmxsim.errors import (
    InputError,
    Name,
    checked,
    file_name,
    one_of,
    printable,
    refuse_overwriting,
    remedy,
    write_file,
    writing,
)
from vmxsim.exports.mail import mail
from vmxsim.exports.markdown import markdown
from vmxsim.exports.page import page, slot_of
from vmxsim.exports.report import Report, chosen_steps, report
from vmxsim.exports.storyboard import storyboard
from vmxsim.exports.subject import Subject, design_or_title, subject
from vmxsim.progress import counting
from vmxsim.simulation.compare import align
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Trace
from vmxsim.views.film import still
from vmxsim.views.standalone import checked_theme, standalone

#: The smallest and the largest scale of a PNG.
SCALES = (0.1, 8.0)

_SANS = ("DejaVu Sans", "Segoe UI", "Helvetica", "Arial", "Liberation Sans", "Noto Sans")
_MONO = ("DejaVu Sans Mono", "Consolas", "Menlo", "Courier New", "Liberation Mono", "Noto Sans Mono")


def write_pictures(
    trace: Trace,
    numbers: Sequence[int],
    folder: Path,
    kind: str,
    theme: str = "auto",
    scale: float = 1.0,
    overwrite: bool = False,
    inputs: Sequence[Name] = (),
) -> list[Path]:
    """Write ``step-0000.svg`` (or ``.png``) and so on for the scenes ``numbers``; return the files.

    With ``auto`` as the theme, an SVG follows the viewer's preference and a PNG is light. Raises
    InputError if the folder cannot be written, if one of the files is one of ``inputs`` or is there already
    (unless ``overwrite``), and if no drawing program is installed.
    """
    if not (isinstance(scale, (int, float)) and SCALES[0] <= scale <= SCALES[1]):
        raise InputError(
            f"expected a number from {SCALES[0]:g} to {SCALES[1]:g}, not {printable(repr(scale))}",
            "scale",
        )
    written = [folder / f"step-{number:04}.{kind}" for number in numbers]
    for file in written:
        refuse_overwriting(file, overwrite, inputs)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    done = 0
    try:
        for number, file in counting("picture", list(zip(numbers, written, strict=True))):
            svg = still(trace, number, f"step-{number}")
            if kind == "png":
                drawn: str | bytes = png(standalone(svg, "light" if theme == "auto" else theme), scale)
            else:
                drawn = standalone(svg, theme)
            write_file(file, drawn, overwrite=overwrite)
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{done} of {len(written)} pictures are in {folder}") from None
    return written


def png(svg: str, scale: float = 1.0) -> bytes:
    """Render an SVG from :func:`~vmxsim.views.standalone.standalone` as a PNG, ``scale`` times its size.

    Raises InputError if resvg is not installed or cannot draw it.
    """
    try:
        import resvg_py
    except ImportError:
        raise InputError(
            f"PNG files need the package resvg-py: {remedy('pip install resvg-py')}; SVG files do not",
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
    """An installed sans-serif and monospace family; without them, resvg silently drops text.

    Raises InputError if a font is missing.
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
                f"none of the fonts {', '.join(families)} is installed: install one"
                " (Debian: apt-get install fonts-dejavu-core); '--to svg' needs no font",
                "png",
            )
        found.append(family)
    return found[0], found[1]


#: The export formats and what each is.
FORMATS = {
    "html": "one page that steps through it, without server or network",
    "markdown": "for a review thread",
    "mail": "plain text of 75 columns for a mailing list",
    "storyboard": "sheets of A4 to print, or to make a PDF of",
    "svg": "a file for each step",
    "png": "a file for each step",
}


@checked
def export(
    trace: Any,
    to: str = "html",
    path: str | Path | None = None,
    *,
    theme: str = "auto",
    steps: str | Sequence[int] | None = None,
    scale: float = 1.0,
    per_page: int = 2,
    glossary: bool = False,
    overwrite: bool = False,
    **traits: Any,
) -> Any:
    """A run, a recording or a counterexample in another form.

    ``trace`` is a trace from ``vmxsim.run`` or a recording's ``read``, a Counterexample, a CheckResult (its
    counterexample is exported), a design to check (its class, its id or ``FILE.py:NAME``) or, for ``html``,
    a pair of traces to show side by side. ``to`` is a key of :data:`FORMATS`. Returns the text or, with
    ``path``, writes a file and returns its path. ``svg`` and ``png`` need a folder as ``path`` and return a
    list of paths.

    ``theme`` is ``auto`` (an HTML page and SVG files follow the viewer's preference, the rest is light),
    ``light`` or ``dark``. ``steps`` is ``telling`` (the default for text), ``all`` (the default for
    pictures) or a list of numbers (0 is the start, negative numbers count from the end). ``scale`` enlarges
    PNG files; ``per_page`` puts 2 or 4 pictures on a sheet of the storyboard; ``glossary`` explains the words
    of a mail at its end. A file that is there already is not written to, unless ``overwrite``; the recording
    or design file that is exported, never. Any other keyword is for ``html`` and sets one of the player's
    traits, such as ``gates`` or ``answers``.

    Raises InputError for anything that cannot be exported or written.
    """
    one_of("format", to, FORMATS, "to")
    if path is not None:
        file_name(path, "path", "a file's name")
    checked_theme(theme)
    if traits and to != "html":
        raise InputError(f"{', '.join(map(printable, traits))}: known to html only", "export")
    if glossary and to != "mail":
        raise InputError("known to mail only", "glossary")
    if steps is not None and to == "html":
        raise InputError("an HTML page always has every step", "steps")
    pair, pictures = isinstance(trace, (tuple, list)), to in ("svg", "png")
    if pair and to != "html":
        raise InputError(f"two traces side by side are for html only; export them to {to} one by one", "to")
    if path is not None and not pictures:
        refuse_overwriting(path, overwrite)
    every = [subject(one) for one in (trace if pair else [trace])]
    inputs = [file for one in every for file in one.files]
    if pictures:
        if path is None:
            raise InputError(f"{to} writes one file per step: name a folder for them", "path")
        numbers = chosen_steps(every[0], "all" if steps is None else steps)
        return write_pictures(every[0].shown, numbers, Path(path), to, theme, scale, overwrite, inputs)
    made = (
        _side_by_side(every, theme, traits)
        if pair
        else _text(every[0], to, theme, steps, per_page, glossary, traits)
    )
    return made if path is None else write_file(path, made, overwrite=overwrite, inputs=inputs)


def _text(
    about: Subject, to: str, theme: str, steps: Any, per_page: int, glossary: bool, traits: dict[str, Any]
) -> str:
    if to == "html":
        return _page(about, theme, traits)
    if to == "mail":
        return mail(report(about, steps, short=True), glossary)
    if to == "storyboard":
        told = report(about, "telling" if steps is None else steps)
        return storyboard(told, "light" if theme == "auto" else theme, per_page)
    return markdown(report(about, steps))


def _page(about: Subject, theme: str, traits: dict[str, Any]) -> str:
    told = report(about)
    schedule = f"Schedule: {', '.join(about.shown.actions)}." if about.scenario else ""
    lost = f" {told.blamed.label} {told.lost}: {told.why}" if told.lost else ""
    where = f"✖ {about.invariant} is broken in step {about.broken}." if about.invariant else ""
    return page(
        about.shown,
        headline=told.headline,
        said=[f"{told.claim}.", schedule],
        rests_on=told.rests_on,
        broken=f"{where} {told.found}{lost}".strip(),
        footer=told.footer,
        theme=theme,
        **traits,
    )


def _side_by_side(pair: Sequence[Subject], theme: str, traits: dict[str, Any]) -> str:
    if len(pair) != 2:
        raise InputError(f"expected a pair of traces, not {len(pair)}", "trace")
    told = [report(about) for about in pair]
    shown = [_headed(one) for one in told]
    pairs = align(*shown)
    broken = [
        f"✖ {one.about.invariant} is broken in step {slot_of(pairs, side, one.about.broken)}"
        f" (its own step {one.about.broken}) of {one.headline}. {one.found}"
        for side, one in enumerate(told)
        if one.about.invariant
    ]
    names = [design_or_title(one.about) for one in told]
    same = shown[0].actions == shown[1].actions
    said = f"The same schedule on {names[0]} and on {names[1]}: {', '.join(shown[0].actions)}."
    return page(
        *shown,
        headline=f"{names[0]} beside {names[1]}",
        said=[said] * same + [f"{one.headline}." for one in told if not one.about.invariant],
        broken=" ".join(broken),
        footer=next((one.footer for one in told if one.rests_on), told[0].footer),
        rests_on=[text for one in told for text in one.rests_on],
        theme=theme,
        **traits,
    )


def _headed(told: Report) -> Trace:
    """The trace, headed by its own design and finding: the schedule's title may be about another one."""
    trace = told.about.shown
    if isinstance(trace, RunTrace):
        trace = copy(trace)
        trace.title = told.headline
    return trace
