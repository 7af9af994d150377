"""Fields of requests, checked: what the endpoint reads from a client that it does not trust."""

from __future__ import annotations

import base64
from typing import Any

from . import verify
from .kernel.io_request import MAX_TRANSFER

Fields = dict[str, Any]


class Usage(Exception):
    """A request that is not of the vocabulary."""


def text(request: Fields, key: str, default: str | None = None) -> str:
    """A field that is text."""
    value = request.get(key, default)
    if not isinstance(value, str):
        raise Usage(f"{key!r} has to be text")
    return value


def integer(request: Fields, key: str, default: int | None = None) -> int:
    """A field that is a signed 64-bit number."""
    value = request.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
        raise Usage(f"{key!r} has to be a whole number")
    return value


def flag(request: Fields, key: str, default: bool) -> bool:
    """A field that is true or false."""
    value = request.get(key, default)
    if not isinstance(value, bool):
        raise Usage(f"{key!r} has to be true or false")
    return value


def size(request: Fields, key: str) -> int:
    """A field that is a number of bytes that one request may have."""
    value = integer(request, key, 0)
    if not 0 <= value <= MAX_TRANSFER:
        raise Usage(f"{key!r} has to be from 0 to {MAX_TRANSFER}")
    return value


def seconds(request: Fields, key: str, default: float) -> float:
    """A field that is a time in seconds, more than 0."""
    value = request.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
        raise Usage(f"{key!r} has to be a number of seconds")
    return float(value)


def raw(request: Fields, key: str = "data") -> bytes:
    """A field that is bytes as base64; empty where it is missing."""
    try:
        return base64.b64decode(request.get(key, ""), validate=True)
    except (TypeError, ValueError):
        raise Usage(f"{key!r} has to be base64") from None


def rules(request: dict[str, Any]) -> str | dict[str, bool]:
    """What a request says of the verifier: on, off, or rules by name."""
    value = request.get("verifier", "on")
    if value in ("on", "off"):
        return str(value)
    if not isinstance(value, dict) or not all(isinstance(on, bool) for on in value.values()):
        raise Usage("'verifier' has to be 'on', 'off', or rules with true or false")
    names = [rule.name for rule in verify.table()]
    for name in value:
        if name not in names:
            raise Usage(f"there is no verifier rule {name!r}; there are: {', '.join(names)}")
    return value
