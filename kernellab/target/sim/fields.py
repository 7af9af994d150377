"""Fields of requests, checked: the client may send anything."""

from __future__ import annotations

import base64
from typing import Any

from . import verify
from .kernel import io


class Usage(Exception):
    """A request that is not of the vocabulary."""


def text(request: dict[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise Usage(f"{key!r} has to be text")
    return value


def integer(request: dict[str, Any], key: str, default: int | None = None) -> int:
    value = request.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
        raise Usage(f"{key!r} has to be a whole number")
    return value


def size(request: dict[str, Any], key: str) -> int:
    value = integer(request, key, 0)
    if not 0 <= value <= io.MAX_TRANSFER:
        raise Usage(f"{key!r} has to be from 0 to {io.MAX_TRANSFER}")
    return value


def seconds(request: dict[str, Any], key: str, default: float) -> float:
    value = request.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
        raise Usage(f"{key!r} has to be a number of seconds")
    return float(value)


def data(request: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(request.get("data", ""), validate=True)
    except (TypeError, ValueError):
        raise Usage("'data' has to be base64") from None


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
