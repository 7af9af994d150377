"""Fields of requests, checked: what the endpoint reads from a client that it does not trust."""

from __future__ import annotations

import base64
from typing import Any

from . import verify
from .kernel.io_request import MAX_TRANSFER
from .kernel.physmem import MAX_DEVICE_MEMORY
from .kernel.pool import GUARDS
from .kernel.scheduler import MAX_PROCESSORS

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


def machine(request: dict[str, Any]) -> dict[str, Any]:
    """The settings of a fresh machine, as the kernel takes them."""
    processors = integer(request, "processors", 2)
    if not 1 <= processors <= MAX_PROCESSORS:
        raise Usage(f"'processors' has to be from 1 to {MAX_PROCESSORS}")
    guard = request.get("pool_guard", "after")
    if guard not in GUARDS:
        raise Usage(f"'pool_guard' has to be one of {', '.join(GUARDS)}")
    return {
        "seed": integer(request, "seed", 0),
        "processors": processors,
        "pool_guard": guard,
        "device_memory": _device_memory(request),
        "ports": _ports(request),
        "files": text(request, "files") if "files" in request else "",
    }


def _device_memory(request: dict[str, Any]) -> dict[int, bytes]:
    regions, total = {}, 0
    for address, value in _numbered(request, "device_memory", 1 << 52):
        content = bytes(min(value, MAX_DEVICE_MEMORY + 1)) if isinstance(value, int) else None
        try:
            regions[address] = (
                base64.b64decode(value, validate=True) if content is None else content
            )
        except (ValueError, TypeError):
            raise Usage("'device_memory' has to have base64 or numbers as values") from None
        total += len(regions[address])
    if total > MAX_DEVICE_MEMORY:
        raise Usage(f"'device_memory' has to have {MAX_DEVICE_MEMORY} bytes at most")
    return regions


def _ports(request: dict[str, Any]) -> dict[int, int]:
    ports = dict(_numbered(request, "ports", 1 << 16))
    if not all(isinstance(value, int) and 0 <= value < 1 << 32 for value in ports.values()):
        raise Usage("'ports' has to have numbers of 32 bits as values")
    return ports


def _numbered(request: dict[str, Any], key: str, limit: int) -> list[tuple[int, Any]]:
    value = request.get(key) or {}
    try:
        found = [(int(number, 0), content) for number, content in value.items()]
    except (AttributeError, TypeError, ValueError):
        raise Usage(f"{key!r} has to have numbers as keys") from None
    if not all(0 <= number < limit for number, _ in found):
        raise Usage(f"{key!r}: an address is out of range")
    return found
