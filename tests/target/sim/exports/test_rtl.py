"""Memory, bits and bitmaps through the CPU."""

from __future__ import annotations

import random
import struct
from typing import Any


def test_memory(guest: Any) -> None:
    a, b = guest.put(b"abcdefgh"), guest.put(b"abcdeXgh")
    assert guest.call("RtlCompareMemory", a, b, 8) == 5
    guest.call("RtlCopyMemory", a, b, 8)
    assert guest.call("RtlCompareMemory", a, b, 8) == 8
    guest.call("RtlFillMemory", a, 3, 0x17A)
    guest.call("RtlZeroMemory", b, 2)
    assert (guest.read(a, 8), guest.read(b, 8)) == (b"zzzdeXgh", b"\0\0cdeXgh")
    guest.call("RtlMoveMemory", a + 1, a, 7)
    assert guest.read(a, 8) == b"zzzzdeXg"
    guest.call("RtlCopyMemoryNonTemporal", a, b, 1)
    assert guest.read(a, 1) == b"\0"
    words = guest.put(struct.pack("<4I", 7, 7, 8, 7))
    assert guest.call("RtlCompareMemoryUlong", words, 16, 7) == 8
    assert guest.call("RtlCompareMemoryUlong", words, 7, 7) == 4


def test_bits_of_numbers(guest: Any) -> None:
    for name, value, expected in (
        ("RtlFindLeastSignificantBit", 0, -1),
        ("RtlFindLeastSignificantBit", 0b11000, 3),
        ("RtlFindMostSignificantBit", 0, -1),
        ("RtlFindMostSignificantBit", 1 << 63 | 1, 63),
    ):
        result = guest.call(name, value) & 0xFF
        assert (result - 256 if result > 127 else result) == expected


class Bitmap:
    """A bitmap in the guest, and the same as a list of booleans here."""

    def __init__(self, guest: Any, size: int) -> None:
        self.guest = guest
        self.size = size
        self.header = guest.room(16)
        self.buffer = guest.room(-(-size // 32) * 4)
        guest.call("RtlInitializeBitMap", self.header, self.buffer, size)
        guest.call("RtlClearAllBits", self.header)
        self.model = [False] * size

    def call(self, name: str, *arguments: int) -> int:
        result: int = self.guest.call(name, self.header, *arguments) & 0xFFFFFFFF
        return result

    def bits(self) -> list[bool]:
        raw = int.from_bytes(self.guest.read(self.buffer, -(-self.size // 32) * 4), "little")
        return [bool(raw >> i & 1) for i in range(self.size)]


def test_bitmaps_against_a_list_of_booleans(guest: Any) -> None:
    chance = random.Random(11)
    for size in (1, 31, 32, 33, 100):
        bitmap = Bitmap(guest, size)
        for _ in range(40):
            start = chance.randrange(size)
            count = chance.randrange(1, size - start + 1)
            value = chance.random() < 0.5
            bitmap.call("RtlSetBits" if value else "RtlClearBits", start, count)
            bitmap.model[start : start + count] = [value] * count
            bit = chance.randrange(size)
            value = chance.random() < 0.5
            bitmap.call("RtlSetBit" if value else "RtlClearBit", bit)
            bitmap.model[bit] = value
            assert bitmap.bits() == bitmap.model
            probe = chance.randrange(size)
            assert bitmap.call("RtlTestBit", probe) & 0xFF == bitmap.model[probe]
            assert bitmap.call("RtlNumberOfSetBits") == sum(bitmap.model)
            assert bitmap.call("RtlNumberOfClearBits") == size - sum(bitmap.model)
            window = bitmap.model[start : start + count]
            assert bitmap.call("RtlAreBitsSet", start, count) & 0xFF == all(window)
            assert bitmap.call("RtlAreBitsClear", start, count) & 0xFF == (not any(window))
            check_search(bitmap, chance)


def check_search(bitmap: Bitmap, chance: random.Random) -> None:
    wanted = chance.randrange(1, 6)
    hint = chance.randrange(bitmap.size)
    runs = [i for i in range(bitmap.size - wanted + 1) if not any(bitmap.model[i : i + wanted])]
    expected = next((i for i in runs if i >= hint), runs[0] if runs else 0xFFFFFFFF)
    assert bitmap.call("RtlFindClearBits", wanted, hint) == expected
    start = bitmap.guest.room(4)
    longest = bitmap.call("RtlFindLongestRunClear", start)
    at = int.from_bytes(bitmap.guest.read(start, 4), "little")
    assert not any(bitmap.model[at : at + longest])
    text = "".join("01"[b] for b in bitmap.model)
    assert longest == max(len(run) for run in text.split("1"))


def test_bitmap_edges(guest: Any) -> None:
    bitmap = Bitmap(guest, 40)
    assert bitmap.call("RtlAreBitsClear", 0, 0) & 0xFF == 0
    assert bitmap.call("RtlAreBitsClear", 39, 2) & 0xFF == 0
    assert bitmap.call("RtlAreBitsClear", 0, 0xFFFFFFFF) & 0xFF == 0
    assert bitmap.call("RtlFindClearBits", 41, 0) == 0xFFFFFFFF
    assert bitmap.call("RtlFindClearBitsAndSet", 4, 38) == 0
    assert bitmap.call("RtlFindSetBitsAndClear", 3, 1) == 1
    assert bitmap.call("RtlFindSetBits", 1, 1) == 0
    assert bitmap.call("RtlFindSetBits", 2, 0) == 0xFFFFFFFF
    bitmap.call("RtlSetAllBits")
    assert bitmap.call("RtlNumberOfSetBits") == 40
    # All of the last ULONG is set, as on Windows.
    assert guest.read(bitmap.buffer, 8) == b"\xff" * 8
    assert bitmap.call("RtlFindClearBits", 1, 0) == 0xFFFFFFFF
