"""Versions, times in seconds, UTF-8, runs of bits, addresses, through the CPU."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from kernellab.ntdata import status_code

INVALID = status_code("STATUS_INVALID_PARAMETER")
MISMATCH = status_code("STATUS_REVISION_MISMATCH")
MINOR, MAJOR, BUILD, PLATFORM, SP_MINOR, SP_MAJOR, SUITE, PRODUCT = (1 << n for n in range(8))
EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL = range(1, 6)


def test_version(guest: Any) -> None:
    """WDK: "RtlGetVersion function (wdm.h)"."""
    info = guest.put(struct.pack("<I", 284) + b"\xaa" * 280)
    assert guest.call("RtlGetVersion", info) == 0
    raw = struct.unpack("<5I256s3HBB", guest.read(info, 284))
    assert raw[1:5] == (10, 0, 19045, 2) and raw[5] == bytes(256)
    assert raw[6:8] == (0, 0) and raw[9] == 1
    plain = guest.put(struct.pack("<I", 276) + b"\xaa" * 272)
    guest.call("RtlGetVersion", plain)
    assert guest.read(plain + 4, 12) == guest.read(info + 4, 12)


def test_version_constants(guest: Any) -> None:
    """WDK: "RtlIsNtDdiVersionAvailable function (wdm.h)": not for service packs' constants;
    "RtlIsServicePackVersionInstalled function (wdm.h)": the version itself must be this one.
    """
    for version, there in ((0x06010000, 1), (0x0A000000, 1), (0x0B000000, 0), (0x06000100, 0)):
        assert guest.call("RtlIsNtDdiVersionAvailable", version) == there
    for version, there in ((0x0A000000, 1), (0x0A000100, 0), (0x06010000, 0)):
        assert guest.call("RtlIsServicePackVersionInstalled", version) == there


@pytest.mark.parametrize(
    ("wanted", "conditions", "status"),
    [
        ({"major": 10}, {MAJOR: EQUAL}, 0),
        ({"major": 10}, {MAJOR: GREATER}, MISMATCH),
        ({"major": 6, "minor": 3}, {MAJOR: GREATER_EQUAL, MINOR: GREATER_EQUAL}, 0),
        ({"major": 10, "minor": 1}, {MAJOR: GREATER_EQUAL, MINOR: GREATER_EQUAL}, MISMATCH),
        ({"major": 10, "build": 19045}, {MAJOR: EQUAL, BUILD: GREATER_EQUAL}, 0),
        ({"build": 22000}, {BUILD: GREATER_EQUAL}, MISMATCH),
        ({"build": 22000}, {BUILD: LESS}, 0),
        ({"product": 1}, {PRODUCT: EQUAL}, 0),
        ({"product": 3}, {PRODUCT: EQUAL}, MISMATCH),
        ({}, {}, INVALID),
    ],
)
def test_version_requirements(
    guest: Any, wanted: dict[str, int], conditions: dict[int, int], status: int
) -> None:
    """WDK: "RtlVerifyVersionInfo function (wdm.h)", "VerSetConditionMask function (wdm.h)"."""
    fields = [wanted.get(n, 0) for n in ("major", "minor", "build")]
    raw = struct.pack("<5I256s3HBB", 284, *fields, 2, b"", 0, 0, 0, wanted.get("product", 0), 0)
    mask = 0
    for kind, condition in conditions.items():
        mask = guest.call("VerSetConditionMask", mask, kind, condition)
    types = sum(conditions)
    assert guest.call("RtlVerifyVersionInfo", guest.put(raw), types, mask) == status


def test_seconds(guest: Any) -> None:
    """WDK: "RtlTimeToSecondsSince1970 function (ntifs.h)" and its kin."""
    time, elapsed = guest.room(8), guest.room(4)
    for year, epoch in ((1970, 116_444_736_000_000_000), (1980, 119_600_064_000_000_000)):
        guest.call(f"RtlSecondsSince{year}ToTime", 1_000_000, time)
        assert guest.k.memory.u64(time) == epoch + 1_000_000 * 10_000_000
        assert guest.call(f"RtlTimeToSecondsSince{year}", time, elapsed) == 1
        assert guest.k.memory.u32(elapsed) == 1_000_000
        guest.k.memory.set_u64(time, epoch - 1)
        assert guest.call(f"RtlTimeToSecondsSince{year}", time, elapsed) == 0
    names = {"RtlTimeToSecondsSince1980", "RtlSecondsSince1980ToTime", "RtlSecondsSince1970ToTime"}
    assert names <= set(guest.k.exports)


def test_random_numbers(guest: Any) -> None:
    """WDK: "RtlRandomEx function (ntddk.h)": 0 to MAXLONG - 1, the seed moves on."""
    for name in ("RtlRandom", "RtlRandomEx"):
        seed = guest.put(struct.pack("<I", 1))
        values = [guest.call(name, seed) for _ in range(20)]
        assert len(set(values)) == 20 and max(values) < 0x7FFFFFFF
        guest.k.memory.set_u32(seed, 1)
        assert guest.call(name, seed) == values[0]


def test_utf8(guest: Any) -> None:
    """WDK: "RtlUTF8ToUnicodeN function (wdm.h)", "RtlUnicodeToUTF8N function (wdm.h)"."""
    source = guest.put("aé😀".encode())
    target, size = guest.room(16), guest.room(4)
    assert guest.call("RtlUTF8ToUnicodeN", 0, 0, size, source, 7) == 0
    assert guest.k.memory.u32(size) == 8
    assert guest.call("RtlUTF8ToUnicodeN", target, 16, size, source, 7) == 0
    assert guest.read(target, 8).decode("utf-16-le") == "aé😀"
    bad = guest.put(b"a\xff")
    assert guest.call("RtlUTF8ToUnicodeN", target, 16, size, bad, 2) == 0x107
    small = status_code("STATUS_BUFFER_TOO_SMALL")
    assert guest.call("RtlUTF8ToUnicodeN", target, 2, size, source, 7) == small
    wide = guest.put("aé😀".encode("utf-16-le"))
    assert guest.call("RtlUnicodeToUTF8N", target, 16, size, wide, 8) == 0
    assert guest.read(target, 7).decode() == "aé😀"
    assert guest.call("RtlUnicodeToUTF8N", target, 2, size, wide, 8) == small
    assert guest.k.memory.u32(size) == 1
    lone = guest.put(b"\x00\xd8")
    assert guest.call("RtlUnicodeToUTF8N", target, 16, size, lone, 2) == 0x107


def test_more_strings(guest: Any) -> None:
    """WDK: "RtlCreateUnicodeString function (ntifs.h)", "RtlValidateUnicodeString function
    (ntifs.h)", "RtlPrefixString function (ntddk.h)".
    """
    text = guest.room(16)
    assert guest.call("RtlCreateUnicodeString", text, guest.wide("copy")) == 1
    assert guest.content(text).decode("utf-16-le") == "copy"
    assert guest.call("RtlValidateUnicodeString", 0, text) == 0
    assert guest.call("RtlValidateUnicodeString", 1, text) == INVALID
    guest.call("RtlFreeUnicodeString", text)
    odd = guest.put(struct.pack("<HHIQ", 3, 8, 0, text))
    assert guest.call("RtlValidateUnicodeString", 0, odd) == INVALID
    longer = guest.put(struct.pack("<HHIQ", 10, 8, 0, text))
    assert guest.call("RtlValidateUnicodeString", 0, longer) == INVALID
    prefix, whole = guest.counted(b"AB"), guest.counted(b"abc")
    assert guest.call("RtlPrefixString", prefix, whole, 1) == 1
    assert guest.call("RtlPrefixString", prefix, whole, 0) == 0


def test_runs_of_clear_bits(guest: Any) -> None:
    """WDK: "RtlFindClearRuns function (wdm.h)", "RtlFindNextForwardRunClear function (wdm.h)",
    "RtlFindLastBackwardRunClear function (wdm.h)", "RtlFindFirstRunClear function (wdm.h)".
    """
    chance = random.Random(5)
    for size in (1, 40, 70):
        bits = [chance.random() < 0.6 for _ in range(size)]
        value = sum(bit << n for n, bit in enumerate(bits))
        buffer = guest.put(value.to_bytes(-(-size // 32) * 4, "little"))
        bitmap = guest.put(struct.pack("<I4xQ", size, buffer))
        runs, at = [], 0
        for length in map(len, "".join("01"[b] for b in bits).replace("1", " ").split(" ")):
            if length:
                runs.append((at, length))
            at += length + 1
        array, start = guest.room(8 * 50), guest.room(4)
        count = guest.call("RtlFindClearRuns", bitmap, array, 50, 0)
        found = [struct.unpack_from("<2I", guest.read(array, 400), 8 * n) for n in range(count)]
        assert found == runs
        count = guest.call("RtlFindClearRuns", bitmap, array, 2, 1)
        assert count == min(2, len(runs))
        if runs:
            assert guest.k.memory.u32(array + 4) == max(length for _, length in runs)
            assert guest.call("RtlFindFirstRunClear", bitmap, start) == runs[0][1]
            assert guest.k.memory.u32(start) == runs[0][0]
        for index in range(0, size, 3):
            ahead = [(max(s, index), s + n) for s, n in runs if s + n > index]
            length = guest.call("RtlFindNextForwardRunClear", bitmap, index, start)
            assert length == (ahead[0][1] - ahead[0][0] if ahead else 0)
            behind = [(s, min(s + n, index + 1)) for s, n in runs if s <= index]
            length = guest.call("RtlFindLastBackwardRunClear", bitmap, index, start)
            assert length == (behind[-1][1] - behind[-1][0] if behind else 0)
    assert guest.call("RtlNumberOfSetBitsUlongPtr", (1 << 63) | 5) == 3


@pytest.mark.parametrize(
    ("text", "strict", "value", "length"),
    [
        ("192.168.0.1:80", 1, "c0a80001", 11),
        ("10.1", 1, None, 4),
        ("10.1", 0, "0a000001", 4),
        ("0x7f.1", 0, "7f000001", 6),
        ("010.0.0.1", 0, "08000001", 9),
        ("256.0.0.1", 1, None, None),
        ("x", 1, None, 0),
    ],
)
def test_ipv4(guest: Any, text: str, strict: int, value: str | None, length: int | None) -> None:
    """WDK: "RtlIpv4StringToAddressW function (ip2string.h)"."""
    end, address = guest.room(8), guest.room(4)
    for name, put, unit in (
        ("RtlIpv4StringToAddressW", guest.wide, 2),
        ("RtlIpv4StringToAddressA", guest.text, 1),
    ):
        at = put(text)
        status = guest.call(name, at, strict, end, address)
        assert status == (INVALID if value is None else 0)
        if length is not None:
            assert guest.k.memory.u64(end) == at + length * unit
        if value is not None:
            assert guest.read(address, 4).hex() == value


def test_ipv6(guest: Any) -> None:
    """WDK: "RtlIpv6StringToAddressW function (ip2string.h)" and its kin."""
    end, address, buffer = guest.room(8), guest.room(16), guest.room(2 * 65)
    for text, shown, length in (
        ("fe80::1%3", "fe80::1", 7), ("::", "::", 2),
        ("2001:DB8:0:0:1::2", "2001:db8::1:0:0:2", 17),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4", 14), ("::1]", "::1", 3),
    ):  # fmt: skip
        at = guest.wide(text)
        assert guest.call("RtlIpv6StringToAddressW", at, end, address) == 0
        assert guest.k.memory.u64(end) == at + 2 * length
        after = guest.call("RtlIpv6AddressToStringW", address, buffer)
        assert guest.read(buffer, after - buffer).decode("utf-16-le") == shown
        narrow = guest.text(text)
        assert guest.call("RtlIpv6StringToAddressA", narrow, end, address) == 0
        after = guest.call("RtlIpv6AddressToStringA", address, buffer)
        assert guest.read(buffer, after - buffer + 1) == shown.encode() + b"\0"
    assert guest.call("RtlIpv6StringToAddressW", guest.wide("1.2.3.4"), end, address) == INVALID
    four = guest.put(bytes([10, 0, 200, 1]))
    after = guest.call("RtlIpv4AddressToStringA", four, buffer)
    assert guest.read(buffer, after - buffer) == b"10.0.200.1"
    after = guest.call("RtlIpv4AddressToStringW", four, buffer)
    assert guest.read(buffer, after - buffer).decode("utf-16-le") == "10.0.200.1"
