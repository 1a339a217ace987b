"""A picture in one theme's colours: for what knows no CSS variables (slides, drawing programs, resvg)."""

from __future__ import annotations

import re

from vmxsim.errors import InputError, nearest
from vmxsim.views.style import THEMES, theme_css

#: The themes that may be asked for; ``auto`` follows whoever looks.
CHOICES = ("auto", *(theme.name for theme in THEMES))

_VARIABLE = re.compile(r"(--vx-[\w-]+):([^;}]+)")
_USE = re.compile(r"var\((--vx-[\w-]+)\)")
#: A line of the style sheet that gives the variables their colours (see ``theme_css``).
_THEME_LINE = re.compile(r"(?:^|(?<=<style>))[^\n<]*--vx-canvas:[^\n<]*\n?", re.MULTILINE)


def checked_theme(theme: str) -> str:
    """The theme's name. Raises InputError for one that does not exist."""
    if theme not in CHOICES:
        raise InputError(f"'{theme}' is none; choose {', '.join(CHOICES)}{nearest(theme, CHOICES)}", "theme")
    return theme


def flat(svg: str, theme: str) -> str:
    """``svg`` with the theme's colours in place of ``var(--x)``, without the rules that choose a theme."""
    lines = [line for line in _THEME_LINE.findall(svg) if _VARIABLE.search(line)]
    which = [one.name for one in THEMES].index(theme)
    colours = dict(_VARIABLE.findall(lines[which])) if lines else {}
    return _USE.sub(lambda use: colours.get(use[1], "none"), _THEME_LINE.sub("", svg))


def colours(theme: str) -> dict[str, str]:
    """The theme's colours by the names of their variables."""
    which = [one.name for one in THEMES].index(theme)
    return dict(_VARIABLE.findall(theme_css(".x").splitlines()[which]))
