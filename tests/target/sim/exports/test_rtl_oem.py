"""OEM text and 8.3 names, through the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from kernellab.ntdata import status_code

OVERFLOW = status_code("STATUS_BUFFER_OVERFLOW")
UNMAPPABLE = status_code("STATUS_UNMAPPABLE_CHARACTER")


def test_to_unicode(guest: Any) -> None:
    """WDK: "RtlOemStringToUnicodeString function (ntifs.h)", "RtlOemStringToCountedUnicodeString
    function (ntifs.h)": with and without a terminator; 0x81 is a small u with diaeresis.
    """
    source = guest.counted(b"\x81ber")
    assert guest.call("RtlxOemStringToUnicodeSize", source) == 10
    target = guest.room(16)
    assert guest.call("RtlOemStringToUnicodeString", target, source, 1) == 0
    assert guest.fields(target)[:2] == (8, 10)
    assert guest.content(target).decode("utf-16-le") == "über"
    guest.call("RtlFreeUnicodeString", target)
    assert guest.call("RtlOemStringToCountedUnicodeString", target, source, 1) == 0
    assert guest.fields(target)[:2] == (8, 8)
    small = guest.unicode("", 8)
    assert guest.call("RtlOemStringToCountedUnicodeString", small, source, 0) == 0
    assert guest.call("RtlOemStringToUnicodeString", small, source, 0) == OVERFLOW


def test_from_unicode(guest: Any) -> None:
    """WDK: "RtlUnicodeStringToOemString function (ntifs.h)" puts ? for what is not there,
    "RtlUnicodeStringToCountedOemString function (ntifs.h)" refuses it.
    """
    source, foreign = guest.unicode("fünf"), guest.unicode("5€")
    assert guest.call("RtlxUnicodeStringToOemSize", source) == 5
    target = guest.room(16)
    assert guest.call("RtlUnicodeStringToOemString", target, source, 1) == 0
    assert (guest.content(target), guest.fields(target)[1]) == (b"f\x81nf", 5)
    guest.call("RtlFreeOemString", target)
    assert guest.fields(target) == (0, 0, 0)
    assert guest.call("RtlUnicodeStringToOemString", target, foreign, 1) == 0
    assert guest.content(target) == b"5?"
    guest.call("RtlFreeOemString", target)
    assert guest.call("RtlUnicodeStringToCountedOemString", target, foreign, 1) == UNMAPPABLE
    assert guest.call("RtlUnicodeStringToCountedOemString", target, source, 1) == 0
    assert guest.fields(target)[:2] == (4, 4)


def test_upper_case(guest: Any) -> None:
    """WDK: "RtlUpcaseUnicodeStringToCountedOemString function (ntifs.h)": a character's best fit
    is what becomes upper case, so the registered sign is an R.
    """
    target = guest.counted(b"", 8)
    assert (
        guest.call("RtlUpcaseUnicodeStringToCountedOemString", target, guest.unicode("ü®"), 0) == 0
    )
    assert guest.content(target) == b"\x9aR"
    assert guest.call("RtlUpcaseUnicodeStringToOemString", target, guest.unicode("abc"), 0) == 0
    assert guest.content(target) == b"ABC"
    foreign = guest.unicode("€")
    for name in ("RtlUpcaseUnicodeStringToCountedOemString", "RtlUpcaseUnicodeStringToOemString"):
        assert guest.call(name, target, foreign, 0) == UNMAPPABLE
    char = guest.put("é".encode("utf-16-le"))
    assert guest.call("RtlIsValidOemCharacter", char) == 1
    assert guest.read(char, 2).decode("utf-16-le") == "É"
    assert guest.call("RtlIsValidOemCharacter", guest.put("€".encode("utf-16-le"))) == 0


def test_blocks(guest: Any) -> None:
    """WDK: "RtlOemToUnicodeN function (ntifs.h)", "RtlUnicodeToOemN function (ntifs.h)",
    "RtlUpcaseUnicodeToOemN function (ntifs.h)": what is cut is a warning.
    """
    source, wide = guest.put(b"\x81ber"), guest.put("über".encode("utf-16-le"))
    target, stored = guest.room(8), guest.room(4)
    assert guest.call("RtlOemToUnicodeN", target, 8, stored, source, 4) == 0
    assert guest.read(target, 8) == guest.read(wide, 8)
    assert guest.k.memory.u32(stored) == 8
    assert guest.call("RtlOemToUnicodeN", target, 5, stored, source, 4) == OVERFLOW
    assert guest.k.memory.u32(stored) == 4
    assert guest.call("RtlUnicodeToOemN", target, 8, stored, wide, 8) == 0
    assert guest.read(target, 4) == b"\x81ber"
    assert guest.call("RtlUpcaseUnicodeToOemN", target, 3, stored, wide, 8) == OVERFLOW
    assert guest.read(target, 3) == b"\x9aBE"


@pytest.mark.parametrize(
    ("name", "legal", "spaces"),
    [
        ("README.TXT", True, False),
        ("readme", True, False),
        ("12345678.123", True, False),
        ("a b.c", True, True),
        (".", True, False),
        ("..", True, False),
        ("123456789", False, False),
        ("a.1234", False, False),
        ("a.b.c", False, False),
        (".txt", False, False),
        ("name.", False, False),
        ("a+b", False, False),
        ("name ", False, False),
        ("€", False, False),
        ("", False, False),
    ],
)
def test_legal_names(guest: Any, name: str, legal: bool, spaces: bool) -> None:
    """WDK: "RtlIsNameLegalDOS8Dot3 function (ntifs.h)"."""
    found, oem = guest.put(b"\x55"), guest.counted(b"", 16)
    assert guest.call("RtlIsNameLegalDOS8Dot3", guest.unicode(name), oem, found) == legal
    assert guest.read(found, 1) == (bytes([spaces]) if legal else b"\x55")
    if legal:
        assert guest.content(oem) == name.upper().encode("cp437")


def test_short_names(guest: Any) -> None:
    """WDK: "RtlGenerate8dot3Name function (ntifs.h)"."""

    def names(long: str, count: int, *, extended: int = 0) -> list[str]:
        context, out = guest.put(bytes(36)), []
        for _ in range(count):
            target = guest.unicode("", 24)
            name = guest.unicode(long)
            assert guest.call("RtlGenerate8dot3Name", name, extended, context, target) == 0
            out.append(guest.content(target).decode("utf-16-le"))
        return out

    first = names("The quick brown.fox.html", 6)
    assert first[:4] == [f"THEQUI~{n}.HTM" for n in range(1, 5)]
    assert first[4][:2] == "TH" and first[4][6:] == "~1.HTM" and first[5][6:] == "~2.HTM"
    int(first[4][2:6], 16)
    assert names("a+b=c.d[e", 1) == ["A_B_C~1.D_E"]
    assert names("längliches", 1) == ["L_NGLI~1"]
    assert names("längliches", 1, extended=1) == ["LÄNGLI~1"]
    (short,) = names("x.y", 1)
    assert (short[0], short[5:]) == ("X", "~1.Y")
    many = names("something", 14)
    assert many[-1].endswith("~10") and len(many[-1]) == 8
    assert len(set(many)) == 14


def test_sizes(guest: Any) -> None:
    """WDK: "RtlAnsiStringToUnicodeSize macro (wdm.h)" and its kin: with the terminator."""
    wide, ansi, oem = guest.unicode("fünf"), guest.counted("fünf".encode()), guest.counted(b"f\x81")
    assert guest.call("RtlUnicodeStringToAnsiSize", wide) == 6
    assert guest.call("RtlAnsiStringToUnicodeSize", ansi) == 10
    assert guest.call("RtlUnicodeStringToOemSize", wide) == 5
    assert guest.call("RtlOemStringToUnicodeSize", oem) == 6
