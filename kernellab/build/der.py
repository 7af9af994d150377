"""The little of ASN.1's DER (X.690) that a signature is written with."""

from __future__ import annotations

from typing import Final

NULL: Final = b"\x05\x00"
EMPTY_BITS: Final = b"\x03\x01\x00"


def tagged(tag: int, content: bytes) -> bytes:
    """A value: tag, length, content."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tagged(0x30, b"".join(parts))


def set_of(*parts: bytes) -> bytes:
    """DER has the members of a SET OF in the order of their encodings."""
    return tagged(0x31, b"".join(sorted(parts)))


def octets(content: bytes) -> bytes:
    return tagged(0x04, content)


def integer(value: int) -> bytes:
    """A number that is not negative."""
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def context(number: int, content: bytes, *, constructed: bool = True) -> bytes:
    return tagged((0xA0 if constructed else 0x80) | number, content)


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *rest):
        group = [arc & 0x7F]
        while arc := arc >> 7:
            group.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(group))
    return tagged(0x06, bytes(out))
