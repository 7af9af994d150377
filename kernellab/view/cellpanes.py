"""Which panes a notebook's page still shows: those that are gone from it keep no log.

A cell that is run again has lost its old outputs, and what it showed is closed. Where a front end
does not say which cell runs, and where a driver was taken over by another cell, the old pane is
still to be seen; of those the newest stay alive, and of the others what was saved is shown.
"""

from __future__ import annotations

from typing import Final, Protocol

from ..cell.source import Place

#: Characters of log, in panes that rest, that are kept.
MOST: Final = 32 * 1024 * 1024


class Shown(Protocol):
    """A run whose pane is on the page."""

    retired: bool

    def held(self) -> int:
        """About how many characters its pane keeps."""

    def leave(self) -> None:
        """Its pane is not to be seen any more: let go of it."""


class CellPanes:
    """The runs of a notebook whose panes are shown, oldest first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._shown: list[tuple[Place, Shown]] = []

    def add(self, place: Place, run: Shown) -> None:
        """``run`` shows its pane at ``place``."""
        for each in list(self._shown):
            # One execution may show several panes.
            if place.cell and each[0].cell == place.cell and each[0] != place:
                self._shown.remove(each)
                each[1].leave()
        self._shown.append((place, run))

    def trim(self) -> None:
        """Let go of the oldest panes that rest, where they are too much together."""
        size = 0
        for each in reversed([each for each in self._shown if each[1].retired]):
            size += each[1].held()
            if size > self._most:
                self._shown.remove(each)
                each[1].leave()
