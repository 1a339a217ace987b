"""Fills the HTML templates of this folder. What they print is escaped unless the template says otherwise."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vmxsim.views.drawing import long_text, text

_TEMPLATES = Environment(
    loader=PackageLoader("vmxsim", "exports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {
    "text": lambda value: Markup(text(value)),
    "long": lambda words: Markup(long_text(words)),
}


def filled(name: str, **fields: Any) -> str:
    """The template ``name`` with these fields; its filters are ``text`` and ``long`` (text of any length)."""
    return _TEMPLATES.get_template(name).render(fields)
