"""Requests that come twice: a transport that lost its network sends again what may have arrived.

It adds ``"again": true`` then. What was done already is not done again: its reply is on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

#: How many requests are remembered: more than can be under way.
_MOST: Final = 256


class Repeats:
    """Says of each request, in order, whether it has been here."""

    def __init__(self) -> None:
        self._order: deque[object] = deque(maxlen=_MOST)

    def __call__(self, request: Mapping[str, Any]) -> bool:
        number = request.get("id", 0)
        if request.get("again") is True and number in self._order:
            return True
        self._order.append(number)
        return False


def again(line: bytes) -> bytes:
    """A request's line, marked as one that may have arrived."""
    return b'{"again":true,' + line[1:]
