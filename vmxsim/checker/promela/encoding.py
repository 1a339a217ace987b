"""Python's values as numbers of Promela, and the names under which the model shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from vmxsim.errors import InputError
from vmxsim.model.value import Value

#: Names of the values of the register, by number (see ``checker/values.py``).
VALUE_NAMES = ("RESET", "FIRST", "SECOND", "GUEST_BASE", "HOST", "PLAIN", "DESCRIPTOR", "UNKNOWN")


class Encoding:
    """Gives every word a number and a name. None is the number that nothing else has."""

    def __init__(self, values: tuple[Value, ...], names: Iterable[str]) -> None:
        self._numbers = {value: n for n, value in enumerate(values)}
        self._taken = {*VALUE_NAMES, "NONE", *names}
        self.words: dict[str, str] = {"": "NOTHING"}

    def text(self, x: Any) -> str:
        """How the model writes a Python value."""
        if x is None:
            return "NONE"
        if isinstance(x, Value):
            return VALUE_NAMES[self._numbers[x]]
        if isinstance(x, str):
            return self._word(x)
        number = wrapped(x)
        if number == -(1 << 31):
            return "(1 << 31)"
        return str(number) if number >= 0 else f"({number})"

    def code(self, x: Any, none: int = -1) -> int:
        """The number of a Python value; ``none`` for None."""
        if x is None:
            return none
        if isinstance(x, Value):
            return self._numbers[x]
        if isinstance(x, str):
            self._word(x)
            return list(self.words).index(x)
        return wrapped(x)

    def _word(self, word: str) -> str:
        name = self.words.get(word)
        if name is None:
            name = stem = re.sub(r"\W", "_", word).upper()
            while name in self._taken:
                name += f"_{stem}"
            self._taken.add(name)
            self.words[word] = name
        return name

    def distinct(self, values: Iterable[Any], where: str) -> None:
        """Raises InputError where two of the values have the same number in the model."""
        known: dict[int, Any] = {}
        for x in values:
            other = known.setdefault(self.code(x, none=1 << 40), x)
            if other != x:
                raise InputError(
                    f"the Promela model cannot tell {other!r} from {x!r} in one variable: keep numbers, words"
                    " and values of the register apart",
                    where,
                )


def wrapped(number: int) -> int:
    """A number as a 32-bit int of Promela holds it."""
    return (int(number) + (1 << 31)) % (1 << 32) - (1 << 31)
