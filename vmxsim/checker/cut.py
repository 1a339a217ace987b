"""Why a search ended early, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import evolve, frozen

#: Called regularly with (states found, states in the last layer); may raise to end the search.
Watch = Callable[[int, int], None]


@frozen
class Cut:
    """Why a search ended early: what happened, the command-line option that sets this limit, and what is
    known all the same. ``undecided``: it did not end early, but what it found is neither yes nor no.
    ``str()`` says all of it."""

    words: str
    option: str = ""
    known: str = ""
    undecided: bool = False

    @property
    def without_option(self) -> str:
        """The same for a reader who has no command line."""
        return "; ".join(filter(None, (self.words, self.known)))

    def __str__(self) -> str:
        words = f"{self.words} ({self.option})" if self.option else self.words
        return evolve(self, words=words).without_option


class CutShort(Exception):
    """A search hit one of its limits: ``cut`` says which."""

    def __init__(self, words: str, option: str = "") -> None:
        super().__init__(words)
        self.cut = Cut(words, option)


INTERRUPTED = "it was interrupted"

#: What ends a search early; see :func:`cut_of`.
ENDINGS = (CutShort, KeyboardInterrupt, MemoryError)


def cut_of(end: BaseException) -> Cut:
    """What one of :data:`ENDINGS` means for the search that it ended."""
    if isinstance(end, CutShort):
        return end.cut
    return Cut("the memory ran out" if isinstance(end, MemoryError) else INTERRUPTED)


@contextmanager
def until_cut(found: Any, watch: Watch | None) -> Iterator[None]:
    """Around the loop of a search: what ends it early becomes ``found.cut``, so that what it found until
    then counts. A search that nobody watches has nobody to look at that: there it is raised."""
    try:
        yield
    except ENDINGS as end:
        if watch is None:
            raise
        found.cut = cut_of(end)
