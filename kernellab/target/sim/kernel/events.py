"""What happens inside the machine, told to whoever listens: verifier rules, a trace.

The kernel says what happened and knows nobody who hears it; an event that nobody listens to costs
one look-up. Misuse that is only that has an event whose argument is the message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Listener = Callable[..., None]


class Bus:
    """Listeners by the event's name; called in the order they came, with the event's arguments."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    def on(self, event: str, listener: Listener) -> None:
        """Call ``listener`` for each ``event`` from now on."""
        self._listeners.setdefault(event, []).append(listener)

    def off(self, event: str, listener: Listener) -> None:
        """Do not call it any more."""
        left = [each for each in self._listeners[event] if each != listener]
        if left:
            self._listeners[event] = left
        else:
            del self._listeners[event]

    def tell(self, event: str, *arguments: Any) -> None:
        """Say that ``event`` happened."""
        for listener in self._listeners.get(event, ()):
            listener(*arguments)

    def owners(self) -> list[object]:
        """The objects whose methods listen, each once, but for those outside of the machine.

        Such a one has ``outside`` set: what it keeps is not a part of the machine's state.
        """
        found: dict[int, object] = {}
        for listeners in self._listeners.values():
            for listener in listeners:
                owner = getattr(listener, "__self__", None)
                if owner is not None and not getattr(owner, "outside", False):
                    found[id(owner)] = owner
        return list(found.values())
