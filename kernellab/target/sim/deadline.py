"""A time limit for what runs now, watched by one thread for the process's whole life.

A thread for each request would cost more than most requests do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")


class Deadline:
    """Calls ``late`` once, on a thread of its own, when a limit that was set is over."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._due = NEVER
        #: When the thread looks at the limit next by itself.
        self._looks = NEVER
        threading.Thread(target=self._watch, daemon=True).start()

    def set(self, seconds: float) -> None:
        """From now on there are so many seconds, instead of what was set before."""
        due = time.monotonic() + seconds
        with self._lock:
            self._due = due
            sooner = due < self._looks
        if sooner:
            self._wake.set()

    def clear(self) -> None:
        """There is no limit any more; ``late`` is not running when this returns."""
        with self._lock:
            self._due = NEVER

    def _watch(self) -> None:
        while True:
            with self._lock:
                left = self._due - time.monotonic()
                if left <= 0:
                    self._due, left = NEVER, NEVER
                    self._late()
                self._looks = time.monotonic() + left
            # A limit that was cleared or moved back is not worth waking for.
            self._wake.wait(None if left == NEVER else min(left, threading.TIMEOUT_MAX))
            self._wake.clear()
