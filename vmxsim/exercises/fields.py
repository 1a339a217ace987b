"""Converters of the fields of goals and exercises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def as_tuple(given: Iterable[Any]) -> tuple[Any, ...]:
    """Any sequence; a text is one item, not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def as_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names; a text may hold several, with commas between them."""
    texts = (given,) if isinstance(given, str) else given
    return tuple(name.strip() for text in texts for name in str(text).split(",") if name.strip())
