"""Bundles the JavaScript and CSS of the front end, for notebook widgets and for exported pages.

Neither a widget nor a single-file page can import modules from other files, so the parts are joined in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from vmxsim.views.style import HUES, owner_class, theme_css

#: The parts of the player; each uses only those before it.
PLAYER = ("dom", "picture", "source", "timeline", "pane", "gates", "stage", "deck")

_HERE = files("vmxsim.web")


@cache
def script(parts: Sequence[str]) -> str:
    """The named parts as one ES module."""
    return "\n".join(_HERE.joinpath(f"{part}.js").read_text("utf-8") for part in parts)


@cache
def style(names: Sequence[str] = ("player", "gates", "stage"), scope: str = ".vmxsim-player") -> str:
    """The themes' colors under ``scope``, the named style sheets, and for the player the owners' colors."""
    sheets = "".join(_HERE.joinpath(f"{name}.css").read_text("utf-8") for name in names)
    if "player" in names:
        sheets += "".join(
            f".vmxsim-player .vp-span.{owner_class(owner)}"
            f"{{background:var(--vx-{owner}-tint);border-left-color:var(--vx-{owner}-line)}}\n"
            for owner in HUES
        )
    return theme_css(scope) + sheets
