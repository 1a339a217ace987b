"""A picture that looks the same in every renderer, and not just in a browser.

The style sheets use CSS variables, which librsvg, resvg, Inkscape and PDF converters do not know: they
would paint everything black. So each element also gets its styles as plain attributes. An attribute yields
to any style sheet, and the style sheet is wrapped in ``@supports``, which only browsers read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from xml.etree import ElementTree

import cssselect2
import tinycss2

from vmxsim.errors import unknown
from vmxsim.views.style import THEMES

#: The themes that may be asked for; ``auto`` follows the reader's.
CHOICES = ("auto", *(theme.name for theme in THEMES))

_SVG = "http://www.w3.org/2000/svg"
_USE = re.compile(r"var\((--vx-[\w-]+)\)")
_VARIABLE = re.compile(r"(--vx-[\w-]+):([^;}]+)")
#: Properties that SVG also has as attributes.
_ATTRIBUTES = {
    "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "paint-order", "opacity",
    "visibility", "font-family", "font-size", "font-weight", "text-anchor",
}  # fmt: skip

#: What makes a style sheet one for browsers only.
_BROWSERS = ("@supports (color:var(--vx)){\n", "}\n")

#: The ``font`` shorthand, which is no attribute: weight, size and family.
_FONT = re.compile(r"(\d+) (\S+) (.+)")

ElementTree.register_namespace("", _SVG)


def checked_theme(theme: str) -> str:
    """The theme's name. Raises InputError for one that does not exist."""
    if theme not in CHOICES:
        raise unknown("theme", theme, CHOICES, "theme")
    return theme


def standalone(svg: str, theme: str = "auto") -> str:
    """``svg`` with plain attributes in the theme's colors.

    With ``auto`` they are the light theme's, and the style sheet stays for browsers; otherwise it goes. A
    picture that went through here with ``auto`` can do so again with another theme.
    """
    root = ElementTree.fromstring(svg)
    style = root.find(f"{{{_SVG}}}style")
    if style is None:
        return svg
    sheet = (style.text or "").removeprefix(_BROWSERS[0]).removesuffix(_BROWSERS[1])
    matcher = _matcher(sheet, "dark" if theme == "dark" else "light")
    for element in cssselect2.ElementWrapper.from_xml_root(root).iter_subtree():
        found: dict[str, str] = {}
        for _, _, _, declarations in sorted(matcher.match(element), key=lambda match: match[:2]):
            found.update(declarations)
        for name, value in found.items():
            element.etree_element.set(name, value)
    if theme == "auto":
        style.text = sheet.join(_BROWSERS)
    else:
        root.remove(style)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


@lru_cache(maxsize=32)
def _matcher(sheet: str, theme: str) -> cssselect2.Matcher:
    """The style sheet's rules, as attributes with the theme's colors in place of the variables."""
    matcher = cssselect2.Matcher()
    for rule in tinycss2.parse_stylesheet(flat(sheet, theme), skip_comments=True, skip_whitespace=True):
        if rule.type != "qualified-rule":
            continue
        declarations: dict[str, str] = {}
        for one in tinycss2.parse_declaration_list(rule.content, skip_comments=True, skip_whitespace=True):
            if one.type != "declaration":
                continue
            value = tinycss2.serialize(one.value).strip()
            if one.lower_name == "font" and (font := _FONT.fullmatch(value)):
                declarations |= {"font-weight": font[1], "font-size": font[2], "font-family": font[3]}
            elif one.lower_name in _ATTRIBUTES:
                declarations[one.lower_name] = value
        if declarations:
            for selector in cssselect2.compile_selector_list(rule.prelude):
                matcher.add_selector(selector, declarations)
    return matcher


def flat(sheet: str, theme: str) -> str:
    """A style sheet with the theme's colors in place of the variables, without the rules that define them."""
    # it defines them twice or more: first the light ones, last the dark ones
    lines = [line for line in sheet.splitlines(True) if "--vx-canvas:" in line]
    colors = dict(_VARIABLE.findall(lines[-1 if theme == "dark" else 0])) if lines else {}
    kept = "".join(line for line in sheet.splitlines(True) if line not in lines)
    return _USE.sub(lambda use: colors.get(use[1], "none"), kept)
