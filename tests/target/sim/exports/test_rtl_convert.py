"""Numbers, GUIDs and times through the CPU."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from kernellab.ntdata import status_code

INVALID = status_code("STATUS_INVALID_PARAMETER")
OVERFLOW = status_code("STATUS_BUFFER_OVERFLOW")


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [("0x1F", 0, 0x1F), (" -5", 10, 0xFFFFFFFB), ("12z", 0, 12), ("1", 7, None)],
)
def test_text_to_integer(guest: Any, text: str, base: int, expected: int | None) -> None:
    result = guest.put(b"\xcc" * 4)
    for name, source in (
        ("RtlUnicodeStringToInteger", guest.unicode(text)),
        ("RtlCharToInteger", guest.text(text)),
    ):
        status = guest.call(name, source, base, result) & 0xFFFFFFFF
        assert status == (INVALID if expected is None else 0)
        stored = int.from_bytes(guest.read(result, 4), "little")
        assert stored == (0xCCCCCCCC if expected is None else expected)


def test_integer_to_text(guest: Any) -> None:
    target = guest.counted(b"", 24)
    assert guest.call("RtlIntegerToUnicodeString", 0x1_FFFF_FFFF, 16, target) == 0
    assert guest.content(target) == "FFFFFFFF".encode("utf-16-le")
    assert guest.call("RtlInt64ToUnicodeString", 0xABCDEF01234, 16, target) == 0
    assert guest.content(target) == "ABCDEF01234".encode("utf-16-le")
    assert guest.call("RtlIntegerToUnicodeString", 5, 3, target) & 0xFFFFFFFF == INVALID
    small = guest.counted(b"", 4)
    assert guest.call("RtlIntegerToUnicodeString", 123, 10, small) & 0xFFFFFFFF == OVERFLOW


def test_byte_swaps(guest: Any) -> None:
    assert guest.call("RtlUshortByteSwap", 0x1234) == 0x3412
    assert guest.call("RtlUlongByteSwap", 0x12345678) == 0x78563412
    assert guest.call("RtlUlonglongByteSwap", 0x0102030405060708) == 0x0807060504030201


def test_guids(guest: Any) -> None:
    text = "{01020304-0506-0708-090A-0B0C0D0E0F10}"
    raw = bytes.fromhex("0403020106050807090a0b0c0d0e0f10")
    guid = guest.room(16)
    assert guest.call("RtlGUIDFromString", guest.unicode(text.lower()), guid) == 0
    assert guest.read(guid, 16) == raw
    bad = guest.call("RtlGUIDFromString", guest.unicode("{1}"), guid)
    assert bad & 0xFFFFFFFF == INVALID
    target = guest.room(16)
    assert guest.call("RtlStringFromGUID", guid, target) == 0
    assert guest.content(target) == text.encode("utf-16-le")
    assert guest.fields(target)[:2] == (76, 78)
    guest.call("RtlFreeUnicodeString", target)


def test_times(guest: Any) -> None:
    time, fields = guest.put(struct.pack("<q", 133_000_000_123_456_789)), guest.room(16)
    guest.call("RtlTimeToTimeFields", time, fields)
    assert struct.unpack("<8h", guest.read(fields, 16)) == (2022, 6, 18, 4, 26, 52, 345, 6)
    back = guest.room(8)
    assert guest.call("RtlTimeFieldsToTime", fields, back) == 1
    assert struct.unpack("<q", guest.read(back, 8)) == (133_000_000_123_450_000,)
    bad = guest.put(struct.pack("<8h", 2001, 2, 29, 0, 0, 0, 0, 0))
    assert guest.call("RtlTimeFieldsToTime", bad, back) == 0


def test_blocks_of_text(guest: Any) -> None:
    wide, narrow = "hé€".encode("utf-16-le"), "hé€".encode()
    unicode, multi = guest.put(wide), guest.put(narrow)
    count, buffer = guest.room(4), guest.room(6)

    def counted() -> int:
        return int.from_bytes(guest.read(count, 4), "little")

    assert guest.call("RtlUnicodeToMultiByteSize", count, unicode, 6) == 0
    assert counted() == 6
    assert guest.call("RtlMultiByteToUnicodeSize", count, multi, 6) == 0
    assert counted() == 6
    assert guest.call("RtlUnicodeToMultiByteN", buffer, 6, count, unicode, 6) == 0
    assert (counted(), guest.read(buffer, 6)) == (6, narrow)
    assert guest.call("RtlMultiByteToUnicodeN", buffer, 6, count, multi, 6) == 0
    assert (counted(), guest.read(buffer, 6)) == (6, wide)
    # What does not fit is cut between characters; the count is not asked for.
    guest.k.memory.write(buffer, b"------")
    assert guest.call("RtlUnicodeToMultiByteN", buffer, 5, count, unicode, 6) == 0
    assert (counted(), guest.read(buffer, 4)) == (3, "hé-".encode())
    assert guest.call("RtlMultiByteToUnicodeN", buffer, 3, 0, multi, 6) == 0
    assert guest.read(buffer, 4) == b"h\0\xa9-"
