"""IPv4 and IPv6 addresses as text: WDK "RtlIpv4StringToAddressW function (ip2string.h)" and kin."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_PART: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_V4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_V6: Final = re.compile(r"[0-9a-fA-F:.]+")


def ipv4(text: str, *, strict: bool) -> tuple[bytes | None, int]:
    """An address at the start of ``text`` and how many characters it takes.

    Strict: four decimal parts. Else one to four parts, also octal and hexadecimal, of which
    the last fills what is left. None, and where reading ended, for no address.
    """
    parts: list[int] = []
    at = 0
    while True:
        found = _PART.match(text, at)
        if found is None:
            return None, at
        value = _number(found[0], strict)
        if value is None:
            return None, at
        parts.append(value)
        at = found.end()
        if len(parts) == 4 or text[at : at + 1] != ".":
            break
        at += 1
    if strict and len(parts) != 4:
        return None, at
    room = 8 * (5 - len(parts))
    if any(part > 255 for part in parts[:-1]) or parts[-1] >> room:
        return None, at
    number = parts[-1]
    for index, part in enumerate(parts[:-1]):
        number |= part << (24 - 8 * index)
    return number.to_bytes(4, "big"), at


def _number(text: str, strict: bool) -> int | None:
    if not strict and text[:2].lower() == "0x":
        return int(text, 16)
    if not strict and len(text) > 1 and text[0] == "0":
        return int(text, 8) if set(text) <= set("01234567") else None
    if not text.isdigit() or (strict and len(text) > 3):
        return None
    return int(text)


def ipv6(text: str) -> tuple[bytes | None, int]:
    """The same for IPv6: the longest start of ``text`` that is an address."""
    found = _V6.match(text)
    for end in range(found.end() if found else 0, 0, -1):
        try:
            return ipaddress.IPv6Address(text[:end]).packed, end
        except ValueError:
            continue
    return None, 0


def ipv6_text(raw: bytes) -> str:
    """RFC 5952's form; IPv4-compatible, -mapped and ISATAP addresses end in dotted decimals."""
    mapped = (
        raw[:10] == bytes(10) and raw[10:12] in (b"\xff\xff", b"\0\0") and raw[12:14] != b"\0\0"
    )
    isatap = raw[8:12] in (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
    if not mapped and not isatap:
        return str(ipaddress.IPv6Address(raw))
    # The part before the last 32 bits, with something in their place that is not shortened.
    head = ipaddress.IPv6Address(raw[:12] + b"\xff\xff\xff\xff").compressed
    return head.removesuffix("ffff:ffff") + ".".join(map(str, raw[12:]))
