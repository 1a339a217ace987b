"""Work that goes on while the reader does something else, can be stopped, and tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Thread

#: Told (states found, seconds).
Progress = Callable[[int, float], None]
#: Does something long: gets whom to tell and whom to ask whether it is to stop.
Work = Callable[[Progress, Callable[[], bool]], object]

#: Seconds between two words of progress: more often than this nobody reads them.
_PAUSE = 0.2


class Background:
    """One piece of work at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def running(self) -> bool:
        """Whether something is being done."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Work, told: Progress) -> None:
        """Begin ``work``; it must not raise. ``told`` hears of its progress a few times a second."""
        self._stop = stop = Event()
        last = time.perf_counter()

        def tell(states: int, seconds: float) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= _PAUSE:
                last = now
                told(states, seconds)

        # the context says which cell widgets made from here belong to
        target = copy_context().run
        self._thread = Thread(target=target, args=(work, tell, stop.is_set), name="vmxsim-check", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to end."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the work has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
