"""The front end's files, put together: for a notebook's widget and for a page that stands alone.

A module of the browser can import nothing that lies beside it there, neither in a notebook nor
in a single file. So the parts, one idea a file, are joined in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from vmxsim.views.style import HUES, owner_class, theme_css

#: What plays films, in the order in which the parts build on each other.
PLAYER = ("dom", "picture", "source", "timeline", "pane", "gates", "stage", "deck")

_HERE = files("vmxsim.web")


@cache
def script(parts: Sequence[str]) -> str:
    """The named parts as one ES module."""
    return "\n".join(_HERE.joinpath(f"{part}.js").read_text("utf-8") for part in parts)


@cache
def style(names: Sequence[str] = ("player", "gates", "stage"), scope: str = ".vmxsim-player") -> str:
    """Colours of both themes under ``scope``, then the named style sheets, then the owners' lanes."""
    sheets = "".join(_HERE.joinpath(f"{name}.css").read_text("utf-8") for name in names)
    return theme_css(scope) + sheets + _lanes()


def _lanes() -> str:
    """The timeline's spans in their owners' colours."""
    rules = []
    for owner in HUES:
        name = owner_class(owner)
        key = name.removeprefix("owner-")
        rules.append(
            f".vmxsim-player .vp-span.{name}"
            f"{{background:var(--vx-{key}-tint);border-left-color:var(--vx-{key}-line)}}\n"
        )
    return "".join(rules)
