"""Requests that come twice: who lost the network sends again what may have arrived.

``"again": true`` is in them then. What was done already is not done again: its reply is sent again,
which may have got lost; or where it is still being done, is yet to come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

#: How many requests are remembered: more than can be under way.
_MOST: Final = 256

#: How many replies are kept, and the longest of them, in characters.
_REPLIES: Final = 32
_LONGEST: Final = 1 << 18


class Repeats:
    """Says of each request, in order, whether it has been here; ``send`` gets its reply then."""

    def __init__(self) -> None:
        self._order: deque[object] = deque(maxlen=_MOST)
        self._replies: deque[tuple[object, str]] = deque(maxlen=_REPLIES)

    def keep(self, number: object, reply: str) -> None:
        """A request's reply, as it was sent."""
        if len(reply) <= _LONGEST:
            self._replies.append((number, reply))

    def __call__(
        self, request: Mapping[str, Any], send: Callable[[str], object] = lambda _: None
    ) -> bool:
        number = request.get("id", 0)
        if request.get("again") is True and number in self._order:
            for text in [text for kept, text in list(self._replies) if kept == number][:1]:
                send(text)
            return True
        self._order.append(number)
        return False


def again(line: bytes) -> bytes:
    """A request's line, marked as one that may have arrived already."""
    mark = b'{"again":true,'
    return line if line.startswith(mark) else mark + line[1:]
