"""Errors that teach: what was wrong, where, what was expected, and the nearest choice; and the words that
every room uses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast


class InputError(Exception):
    """Something the user supplied cannot be used. ``str()`` is the whole message.

    ``where`` is ``file:line`` or a field's name and comes first; '' if there is none.
    """

    def __init__(self, message: str, where: object = "") -> None:
        self.message = message
        self.where = printable(where, 200)
        super().__init__(f"{self.where}: {message}" if self.where else message)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: just the message, because it says what to change."""
        return [f"{type(self).__name__}: {self}"]

    def at(self, where: str) -> InputError:
        """The same error with ``where`` in front of the place that it already names."""
        return type(self)(self.message, f"{where}, {self.where}" if self.where else where)


class NotUnderstoodError(InputError):
    """C that can be read and whose meaning is not clear: nothing can be concluded from it."""


class SimulationError(InputError):
    """A design did something that the kernel must not: broke a contract, looped forever."""


class NoSuchPointError(InputError):
    """A design lacks the function or the line before which a scenario has a tick come."""


def in_browser() -> bool:
    """Whether this Python runs in a web browser, as on the course's site: nothing can be installed there, no
    program or thread started, and what computes cannot be interrupted."""
    return sys.platform == "emscripten"


def remedy(command: str) -> str:
    """How to get what is missing: ``run: pip install unidiff``, or that it cannot be had here."""
    if in_browser():
        return "not to be had in a browser, only where vmxsim is installed"
    return f"run: {command}"


def printable(text: object, limit: int = 80) -> str:
    """Text from outside, safe to print: control characters escaped, cut to ``limit``."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def nearest(word: object, choices: Iterable[str]) -> str:
    """``; did you mean 'x'?`` if a choice is close, else ''."""
    found = get_close_matches(str(word), list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def unknown(kind: str, word: object, choices: Iterable[str], where: object = "") -> InputError:
    """The error for a wrong choice: ``unknown host 'x86'; expected 64-bit or 32-bit``."""
    known = list(choices)
    expected = ", ".join(known[:-1]) + " or " + known[-1] if len(known) > 1 else "".join(known)
    shown = f"'{printable(word)}'" if isinstance(word, str) else printable(repr(word))
    return InputError(f"unknown {kind} {shown}; expected {expected}{nearest(word, known)}", where)


def counted(number: int, thing: str) -> str:
    """``1 action``, ``2 actions``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def cannot_write(path: object, error: OSError | ValueError) -> InputError:
    """The error for a file or folder that cannot be written."""
    return InputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", path)


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Around what writes to ``path``: raises InputError if it cannot be written."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise cannot_write(path, error) from None


#: What an argument of these types is called, and what it has to be; True and False are no numbers.
_TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "bool": ("True or False", lambda given: isinstance(given, bool)),
    "int": ("a whole number", lambda given: isinstance(given, Integral) and not isinstance(given, bool)),
    "float": ("a number", lambda given: isinstance(given, Real) and not isinstance(given, bool)),
    "bytes": ("bytes", lambda given: isinstance(given, bytes)),
    "Callable": ("a function", lambda given: callable(given) and not isinstance(given, type)),
    "Progress": ("a function", lambda given: callable(given) and not isinstance(given, type)),
    "Limits": ("a Limits object", lambda given: type(given).__name__ == "Limits"),
    "None": ("None", lambda given: given is None),
}

F = TypeVar("F", bound=Callable[..., Any])


def checked(function: F) -> F:
    """A function that raises InputError for an argument which is plainly of another type than it is annotated
    with. What is wrong with other arguments than flags, numbers and functions, it says better itself."""
    kinds: dict[str, list[str]] = {}
    for name, parameter in signature(function).parameters.items():
        words = re.sub(r"\[.*\]", "", str(parameter.annotation)).split(" | ")
        if _TYPES.keys() >= set(words) and not str(parameter.kind).startswith("VAR"):
            kinds[name] = words
    bind = signature(function).bind

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        for name, given in bind(*args, **kwargs).arguments.items():
            known = [_TYPES[word] for word in kinds.get(name, ())]
            if known and not any(fits(given) for _, fits in known):
                expected = " or ".join(words for words, _ in known)
                raise InputError(f"expected {expected}, not {printable(repr(given))}", name)
        return function(*args, **kwargs)

    return cast(F, run)


def one_of(kind: str, word: object, choices: Iterable[str], where: object = "") -> str:
    """The word, if it is one of the choices; raises InputError for any other, also for what is no word."""
    known = list(choices)
    if not isinstance(word, str) or word not in known:
        raise unknown(kind, word, known, where)
    return word


#: A file's name as a caller may give it.
Name = str | PathLike[str]


def file_name(given: object, field: str, expected: str) -> Name:
    """What a caller gave as a file's name. Raises InputError, for a ``field``, if it is none."""
    if not isinstance(given, (str, PathLike)):
        raise InputError(f"expected {expected}, not {printable(repr(given))}", field)
    return given


def is_there(path: Name) -> bool:
    """Whether there is such a file or folder; not for a name that none can have."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def refuse_overwriting(path: Name, overwrite: bool = False, inputs: Iterable[Name] = ()) -> None:
    """Raises InputError if ``path`` is one of ``inputs``, the files that were read; or if there is such a
    file, unless ``overwrite``. For a check before long work."""
    file = Path(path)
    try:
        if any(file.samefile(one) for one in inputs if file.exists() and Path(one).exists()):
            raise InputError("is an input: choose another name to write to", path)
        if file.is_file() and not overwrite:
            raise InputError(
                "already exists: choose another name, or overwrite it: --force, or overwrite=True in Python",
                path,
            )
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


def write_file(
    path: Name, data: str | bytes, *, overwrite: bool = False, inputs: Iterable[Name] = ()
) -> Path:
    """Write a file and return its path. Raises InputError where :func:`refuse_overwriting` does, and if it
    cannot be written."""
    refuse_overwriting(path, overwrite, inputs)
    file = Path(path)
    special = file.exists() and not file.is_file()  # a terminal, a pipe
    with writing(path), file.open("wb" if overwrite or special else "xb") as out:
        out.write(data.encode() if isinstance(data, str) else data)
    return file
