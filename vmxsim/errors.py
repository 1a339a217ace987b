"""Errors that teach: what was wrong, where, what was expected, the nearest choice."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Something the user gave cannot be used. ``str()`` is the whole message.

    ``where`` is ``file:line`` or a field's name, shown in front; '' where there is none.
    """

    def __init__(self, message: str, where: str = "") -> None:
        self.message = message
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message alone, for it says what to change."""
        return [f"{type(self).__name__}: {self}"]

    def at(self, where: str) -> InputError:
        """The same error with the place in front of the one it already names."""
        return type(self)(self.message, f"{where}, {self.where}" if self.where else where)


class SimulationError(InputError):
    """A design did what the kernel must not: broke a contract, looped forever."""


def printable(text: object, limit: int = 80) -> str:
    """Text from outside, safe to print: control characters escaped, cut to ``limit``."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def nearest(word: str, choices: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a choice is near, else ''."""
    found = get_close_matches(str(word), list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""
