"""When a search ends before it is complete, and who hears of its progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define, field

from vmxsim.checker.control import CutShort

#: States after which a search is cut short if nobody says otherwise.
MAX_STATES = 20_000_000

INTERRUPTED = "it was interrupted"

#: Told (states found, seconds) now and then.
Progress = Callable[[int, float], None]


@define(eq=False)
class Limits:
    """Limits of one check. ``stopped`` says whether the reader asked to stop."""

    max_states: int = MAX_STATES
    max_seconds: float | None = None
    progress: Progress | None = None
    stopped: Callable[[], bool] = lambda: False
    started: float = field(factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since the check began."""
        return time.perf_counter() - self.started

    def watch(self, states: int, layer: int = 0) -> None:
        """Raises CutShort where a limit is reached."""
        if self.stopped():
            raise CutShort(INTERRUPTED)
        if layer and states >= self.max_states:
            raise CutShort(f"{self.max_states:,} states were found (--max-states)")
        seconds = self.seconds
        if self.max_seconds is not None and seconds >= self.max_seconds:
            raise CutShort(f"{self.max_seconds:g} seconds were over (--max-seconds)")
        if self.progress:
            self.progress(states, seconds)
