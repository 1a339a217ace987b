"""The visual language of all pictures: the colors of owners, the look of each status, the themes.

The hues are the Okabe-Ito palette (https://jfly.uni-koeln.de/color/), which people with the common
color vision deficiencies can tell apart. A bare hue often lacks the contrast that lines need, so each
theme has three colors per owner: the *hue* itself (a bar), a *line* (the hue, darkened or lightened to a
contrast of 3:1) and a *tint* (the background of a cell, on which text has a contrast of 4.5:1). Color never
carries meaning alone: each owner also has a word, and each status has a word, a mark and a line style.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from attrs import frozen

from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.trace import STAR, Cell

#: Okabe-Ito hue of each owner. Further guests and threads reuse these (see :func:`hue`).
HUES = {
    "vcpu0": "#0072B2",
    "vcpu1": "#56B4E9",
    "thread0": "#E69F00",
    "thread1": "#D55E00",
    "plain": "#009E73",
    "descriptor": "#CC79A7",
    "unknown": "#8A8A8A",
}

#: Mark of each status. Its line style is in :func:`css`.
STATUS_MARKS = {
    "live": "★",
    "copy": "=",
    "stale": "≠",
    "foreign": "✕",
    "unused": "–",
    "unknown": "?",
}

#: What each status means, for legends.
STATUS_MEANINGS = {
    "live": STAR,
    "copy": "holds it too: equal to the live one",
    "stale": "its owner's, but no longer the true value",
    "foreign": "another owner's value is in this place",
    "unused": "nothing reads it now",
    "unknown": "the recording does not show it",
}

#: Shown in place of a number.
NOTHING_STORED = "—"
NOT_KNOWN = "?"


@frozen
class Theme:
    """Colors that do not depend on an owner, as ``#rrggbb``."""

    name: str
    canvas: str
    panel: str
    ink: str
    muted: str
    wire: str
    move: str
    danger: str
    tint: float


LIGHT = Theme("light", "#ffffff", "#f4f5f7", "#16181d", "#565d68", "#a9b0ba", "#16181d", "#a3230a", 0.13)
DARK = Theme("dark", "#14161a", "#1f2329", "#f3f4f6", "#aab2bd", "#59616d", "#f3f4f6", "#ff9d80", 0.20)
THEMES = (LIGHT, DARK)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(colour: str, other: str, share: float) -> str:
    """A mix of two colors; ``share`` (0 to 1) is the amount of ``other``."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, 0 (black) to 1 (white)."""
    parts = [c / 255 for c in _channels(colour)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two colors as WCAG 2 defines it, 1 to 21."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def hue(owner: str) -> str:
    """The owner's Okabe-Ito hue; ``vcpu2`` shares that of ``vcpu0``, and so on."""
    for family in ("vcpu", "thread"):
        number = owner.removeprefix(family)
        if number != owner and number.isdecimal():
            return HUES[f"{family}{int(number) % 2}"]
    return HUES.get(owner, HUES["unknown"])


def tint(owner: str, theme: Theme) -> str:
    """The background of a cell that holds the owner's value."""
    return mix(theme.panel, hue(owner), theme.tint)


def line(owner: str, theme: Theme) -> str:
    """The owner's hue, mixed with ink until its contrast is 3:1 on canvas, panel and tint."""
    grounds = (theme.canvas, theme.panel, tint(owner, theme))
    for percent in range(0, 101, 2):
        colour = mix(hue(owner), theme.ink, percent / 100)
        if all(contrast(colour, ground) >= 3.1 for ground in grounds):
            return colour
    raise ValueError(f"no readable line color for owner {owner!r} in the {theme.name} theme")


def status_words(status: str) -> str:
    """Mark and word: ``★ live``."""
    return f"{STATUS_MARKS.get(status, '?')} {status}"


def holder_words(owner: str) -> str:
    """The owner of a cell's value in words; '' stands for no owner."""
    return owner_words(owner) if owner else "nothing stored"


def owner_class(owner: str) -> str:
    """The CSS class of an owner. Only letters, digits and ``-``, even for a recording's names."""
    return "owner-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in owner or "none")


def _variables(theme: Theme, owners: Iterable[str]) -> str:
    names = ("canvas", "panel", "ink", "muted", "wire", "move", "danger")
    parts = [f"--vx-{name}:{getattr(theme, name)}" for name in names]
    for owner in owners:
        key = owner_class(owner).removeprefix("owner-")
        parts += [
            f"--vx-{key}:{hue(owner)}",
            f"--vx-{key}-line:{line(owner, theme)}",
            f"--vx-{key}-tint:{tint(owner, theme)}",
        ]
    return ";".join(parts)


def theme_css(scope: str = ".vmxsim-picture", owners: Iterable[str] = HUES) -> str:
    """The colors as CSS variables on the elements that ``scope`` selects.

    They are ``--vx-canvas``, ``-panel``, ``-ink``, ``-muted``, ``-wire``, ``-move``, ``-danger``, and for
    each owner ``--vx-OWNER``, ``--vx-OWNER-line`` and ``--vx-OWNER-tint``. The theme is that of JupyterLab
    (``data-jp-theme-light``), of an enclosing ``data-theme`` attribute, or the browser's preference.
    """
    owners = list(owners)
    light, dark = (_variables(theme, owners) for theme in THEMES)
    return (
        f"{scope}{{{light}}}\n"
        f"@media (prefers-color-scheme:dark){{{scope}{{{dark}}}}}\n"
        f'[data-jp-theme-light="true"] {scope},[data-theme="light"] {scope},'
        f'{scope}[data-theme="light"]{{{light}}}\n'
        f'[data-jp-theme-light="false"] {scope},[data-theme="dark"] {scope},'
        f'{scope}[data-theme="dark"]{{{dark}}}\n'
    )


MONO = 'ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace'
SANS = 'system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif'

_PICTURE = """
P{background:var(--vx-canvas);color:var(--vx-ink);font-family:SANS}
P text{fill:var(--vx-ink);font-family:SANS}
P .canvas{fill:var(--vx-canvas)}
P .later{visibility:hidden}
P .box-frame{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1}
P .box.here .box-frame{stroke:var(--vx-ink);stroke-width:2}
P .box-title{font-size:12px;font-weight:700}
P .sign{font-family:SANS;font-weight:700;fill:var(--vx-ink)}
P .plate{font-size:11px;fill:var(--vx-muted)}
P .plate-value{font-family:MONO;font-weight:700;fill:var(--vx-ink)}
P .fact-runs{font-size:11px}
P .fact-name{font-size:11px;fill:var(--vx-muted)}
P .fact-value{font-size:11px;text-anchor:end}
P .cell-ground{fill:var(--vx-panel)}
P .cell-frame{fill:none;stroke:var(--vx-muted);stroke-width:1.25}
P .cell-bar{fill:var(--vx-muted);stroke:var(--vx-muted)}
P .cell-hatch,P .cell-ring{visibility:hidden}
P .cell-ring{fill:none;stroke:var(--vx-move);stroke-width:1.5}
P .cell.changed .cell-ring{visibility:visible}
P .hatch-line{stroke:var(--vx-muted);stroke-width:1.5}
P .cell text{paint-order:stroke;stroke:var(--vx-panel);stroke-width:0}
P .cell-label{font-size:11px;font-family:MONO}
P .cell-value{font-size:14px;font-weight:700;font-family:MONO}
P .cell-owner{font-size:11px}
P .cell-status{font-size:11px;font-weight:600;text-anchor:end}
P .status-live .cell-frame{stroke-width:3}
P .status-live .cell-status{font-weight:800}
P .status-copy .cell-frame{stroke-width:1.25}
P .status-stale .cell-frame{stroke-width:2;stroke-dasharray:7 4}
P .status-foreign .cell-frame{stroke-width:2.5}
P .status-foreign .cell-hatch{visibility:visible}
P .status-foreign text{stroke-width:4}
P .status-unused .cell-frame{stroke-width:1}
P .status-unused .cell-value{font-weight:400}
P .status-unused text{fill:var(--vx-muted)}
P .status-unknown .cell-frame{stroke-width:1.75;stroke-dasharray:2 4;stroke-linecap:round}
P .move{visibility:hidden}
P .move.on{visibility:visible}
P .move-line{fill:none;stroke:var(--vx-canvas);stroke-width:6}
P .move-line+.move-line{stroke:var(--vx-move);stroke-width:2.5}
P .move-head{fill:var(--vx-move)}
P .move-pill{fill:var(--vx-move);stroke:var(--vx-canvas);stroke-width:1.5}
P .move-text{fill:var(--vx-canvas);font-size:11px;font-weight:700;font-family:MONO;text-anchor:middle}
P.large text{font-size:18px}
P.large .cell-value{font-size:19px}
P .caption-title{font-size:11px;fill:var(--vx-muted)}
P .caption-words{font-size:12px}
P .caption-words.strong{font-weight:700}
P .caption-if{font-size:12px;fill:var(--vx-muted)}
P .caption-danger{font-size:12px;font-weight:600;fill:var(--vx-danger)}
P .option{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1.2}
P .option.right{stroke:var(--vx-plain-line);stroke-width:2.5}
P .option.wrong{stroke:var(--vx-danger);stroke-width:2.5;stroke-dasharray:7 5}
"""

#: The rules for each owner; its name stands in place of ``OWNER``.
_PICTURE_OWNER = """
P .owner-OWNER .cell-ground{fill:var(--vx-OWNER-tint)}
P .owner-OWNER .cell-frame{stroke:var(--vx-OWNER-line)}
P .owner-OWNER .cell-bar{fill:var(--vx-OWNER);stroke:var(--vx-OWNER-line)}
P .owner-OWNER text{stroke:var(--vx-OWNER-tint)}
"""
_STATE_OWNER = """
P .owner-OWNER .ground{fill:var(--vx-OWNER-tint)}
P .owner-OWNER .bar{fill:var(--vx-OWNER-line)}
"""


def css(scope: str = ".vmxsim-picture", owners: Iterable[str] = HUES) -> str:
    """The style sheet of a picture: :func:`theme_css` and rules for each status and move."""
    return _css(scope, tuple(owners))


@lru_cache(maxsize=32)  # films mostly have the same few owners
def _css(scope: str, owners: tuple[str, ...]) -> str:
    return theme_css(scope, owners) + _scoped(_PICTURE, scope) + _owned(_PICTURE_OWNER, scope, owners)


def cell_state(cell: Cell) -> tuple[str, str, str]:
    """(value, owner, status) of a cell as text. An unknown value has the owner ``unknown``, none has ''."""
    if cell.value is not None:
        return str(cell.value), cell.value.owner, cell.status
    if cell.status == "unknown":
        return NOT_KNOWN, "unknown", cell.status
    return NOTHING_STORED, "", cell.status


_STATE_SPACE = """
P{background:var(--vx-canvas);font-family:SANS}
P text{fill:var(--vx-ink);font-size:13px;font-family:SANS}
P .canvas{fill:var(--vx-canvas)}
P .frame{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1.5}
P .guest .frame{stroke:var(--vx-ink);stroke-width:2.5}
P .ring{fill:none;stroke:var(--vx-ink);stroke-width:1.5}
P .wrong .frame{stroke:var(--vx-danger);stroke-dasharray:9 5}
P .wrong .verdict{fill:var(--vx-danger);font-weight:700}
P .title,P .number{font-weight:700}
P .number{font-size:15px;fill:var(--vx-muted)}
P .place,P .stays{fill:var(--vx-muted)}
P .stays{font-size:12px;font-family:MONO}
P .value{font-family:MONO;font-size:12px;font-weight:700}
P .worth{text-anchor:end;font-size:12px}
P .owner{font-size:12px}
P .status-live .ground{stroke:var(--vx-ink);stroke-width:1.5}
P .status-stale .ground{stroke-dasharray:5 3;stroke-width:1.5}
P .status-foreign .ground{stroke:var(--vx-danger);stroke-width:2}
P .status-live .worth,P .status-foreign .worth{font-weight:700}
P .ground{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1}
P .status-none .ground{stroke:none}
P .bar{fill:var(--vx-muted)}
P .edge .line{fill:none;stroke:var(--vx-muted);stroke-width:1.75}
P .edge .head{fill:var(--vx-muted)}
P .edge .label{fill:var(--vx-canvas);stroke:none}
P .edge text{font-size:12px;text-anchor:middle;font-family:MONO}
P .breaks .line{stroke:var(--vx-danger);stroke-width:2.5;stroke-dasharray:8 4}
P .breaks .head{fill:var(--vx-danger)}
P .breaks text{fill:var(--vx-danger);font-weight:700}
P .sink .frame{stroke:var(--vx-danger);stroke-width:3;fill:var(--vx-canvas)}
P .sink .cross{fill:none;stroke:var(--vx-danger);stroke-width:6;stroke-linecap:round}
P .sink text{fill:var(--vx-danger);font-weight:700}
"""


def statespace_css(owners: Iterable[str]) -> str:
    """The style sheet of a state space, for the owners of the values in it."""
    scope, owners = ".vmxsim-statespace", list(owners)
    return theme_css(scope, owners) + _scoped(_STATE_SPACE, scope) + _owned(_STATE_OWNER, scope, owners)


def _scoped(rules: str, scope: str) -> str:
    """Rules with the fonts filled in, and ``scope`` in place of ``P``."""
    rules = rules.replace("SANS", SANS).replace("MONO", MONO).replace("\nP ", f"\n{scope} ")
    rules = rules.replace("\nP{", f"\n{scope}{{").replace("\nP.", f"\n{scope}.")
    return rules.replace(",P ", f",{scope} ").lstrip()


def _owned(rules: str, scope: str, owners: Iterable[str]) -> str:
    keys = (owner_class(owner).removeprefix("owner-") for owner in owners)
    return "".join(_scoped(rules, scope).replace("OWNER", key) for key in keys)
