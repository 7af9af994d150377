"""How far something is that takes long: what the pane's progress bar shows."""

from __future__ import annotations

import time
from typing import Any, Final

from .text import one_line

#: States that are on their way to another one.
_UNDER_WAY: Final = ("building", "connecting", "loading", "testing", "unloading", "reloading")
#: Characters of what is said to be under way.
_WORDS: Final = 300


class Progress:
    """What is under way in the pane's present state; the pane's lock guards it."""

    def __init__(self) -> None:
        self._state = ""
        self._since = 0.0
        self._step: tuple[int, int, str] = (0, 0, "")

    def entered(self, state: str) -> None:
        """The pane's state is this one now."""
        if state != self._state:
            self._state, self._since = state, time.monotonic()
            self._step = (0, 0, "")

    def step(self, done: int, total: int, what: str) -> None:
        """So much of the state's work is done; ``total`` is 0 where it is not known."""
        self._step = (max(done, 0), max(total, 0), one_line(what)[:_WORDS])

    def head(self) -> dict[str, Any] | None:
        """For the front end, None where nothing is under way; ``seconds`` is for how long it is."""
        if self._state not in _UNDER_WAY:
            return None
        done, total, what = self._step
        seconds = round(time.monotonic() - self._since, 3)
        return {"done": min(done, total), "total": total, "what": what, "seconds": seconds}
