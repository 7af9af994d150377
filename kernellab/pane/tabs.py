"""Further views of a pane beside its log: what the front end's tabs talk to.

Nothing of a tab is kept in the widget's state: a view that opens a tab asks, and is answered. So a
tab costs nothing while it is closed, and nothing in a saved notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

#: Characters of a tab's name.
_NAME: Final = 20


class Reply(Protocol):
    """Sends to every view of the pane: ``content``, and binary ``buffers``."""

    def __call__(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send; does nothing where the pane has no front end any more."""


class Tab(Protocol):
    """A view that can be opened. ``name`` is the one that the front end's module registers."""

    name: str

    def receive(self, content: Mapping[str, Any], reply: Reply) -> None:
        """A message of a view; may come on any thread, and from an altered page: check it.

        The pane's lock is not held. What takes time belongs into a thread of its own.
        """


class Tabs:
    """The tabs of one pane, in the order they were added, with a number that grows."""

    def __init__(self) -> None:
        self._tabs: dict[str, Tab] = {}
        self._revisions: dict[str, int] = {}

    def add(self, tab: Tab) -> None:
        """Offer a tab, in the place of one of its name."""
        self._tabs[tab.name] = tab
        self.changed(tab.name)

    def changed(self, name: str) -> None:
        """There is something new: an open tab asks for it."""
        self._revisions[name] = self._revisions.get(name, 0) + 1

    def head(self) -> list[list[object]]:
        """What the front end knows of them: ``[[name, revision], …]``."""
        return [[name, self._revisions[name]] for name in self._tabs]

    def find(self, name: object) -> Tab | None:
        """The tab that a message names."""
        return self._tabs.get(name) if isinstance(name, str) and len(name) <= _NAME else None
