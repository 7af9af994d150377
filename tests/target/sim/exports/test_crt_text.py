"""Numbers, scanf, classes and the secure forms of the C run-time, through the CPU.

Microsoft's "Alphabetical function reference" of the C run-time says what each does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kernellab

EINVAL, ERANGE, STRUNCATE = 22, 34, 80
TRUNCATE = (1 << 64) - 1


def test_numbers_from_text(guest: Any) -> None:
    for text, value in (("  -42x", -42), ("99999999999", 0x7FFFFFFF), ("x", 0), ("+7", 7)):
        assert guest.signed("atol", guest.text(text)) == value
        assert guest.signed("_wtoi", guest.wide(text)) == value
        assert guest.signed("_wtol", guest.wide(text)) == value
    end = guest.room(8)
    for text, base, value, length in (
        ("0x1fz", 0, 0x1F, 4), ("017", 0, 15, 3), ("ff", 16, 255, 2), ("0xff", 16, 255, 4),
        ("z", 36, 35, 1), ("12", 2, 1, 1), ("9999999999", 10, 0xFFFFFFFF, 10),
        ("-1", 10, 0xFFFFFFFF, 2), ("q", 10, 0, 0),
    ):  # fmt: skip
        wide = guest.wide(text)
        assert guest.call("wcstoul", wide, end, base) & 0xFFFFFFFF == value, text
        assert guest.k.memory.u64(end) == wide + 2 * length
    narrow = guest.text("18446744073709551615!")
    assert guest.call("_strtoui64", narrow, end, 10) == (1 << 64) - 1
    assert guest.k.memory.u64(end) == narrow + 20


def test_numbers_to_text(guest: Any) -> None:
    buffer = guest.room(70)
    assert guest.call("_itoa", (1 << 64) - 5, buffer, 10) == buffer
    assert guest.read(buffer, 3) == b"-5\0"
    guest.call("_itoa", (1 << 64) - 1, buffer, 16)
    assert guest.read(buffer, 9) == b"ffffffff\0"
    guest.call("_itow", 35, buffer, 36)
    assert guest.read(buffer, 4) == b"z\0\0\0"
    for name, value, base, text in (
        ("_itoa_s", -12, 10, "-12"), ("_ltoa_s", 255, 2, "11111111"),
        ("_ultoa_s", 0xFFFFFFFF, 10, "4294967295"), ("_i64toa_s", -(1 << 40), 10, "-1099511627776"),
        ("_ui64toa_s", (1 << 64) - 1, 16, "ffffffffffffffff"),
    ):  # fmt: skip
        wide = name.replace("toa", "tow")
        value &= (1 << 64) - 1
        assert guest.call(name, value, buffer, len(text) + 1, base) == 0
        assert guest.read(buffer, len(text) + 1) == text.encode() + b"\0"
        assert guest.call(wide, value, buffer, len(text) + 1, base) == 0
        assert guest.read(buffer, 2 * len(text)).decode("utf-16-le") == text
        assert guest.call(name, value, buffer, len(text), base) == ERANGE
        assert guest.read(buffer, 1) == b"\0"
    assert guest.call("_itoa_s", 1, buffer, 70, 1) == EINVAL
    names = "_ltow_s _ultow_s _i64tow_s _ui64tow_s _itow_s".split()
    assert all(guest.call(name, 7, buffer, 2, 10) == 0 for name in names)


def test_scanf(guest: Any) -> None:
    """MSVC: "Format specification fields: scanf and wscanf functions"."""
    a, b, text = guest.room(8), guest.room(8), guest.room(16)
    number = guest.k.memory.u32
    call = guest.signed
    assert call("sscanf_s", guest.text("12, 0x1F"), guest.text("%d , %i"), a, b) == 2
    assert (number(a), number(b)) == (12, 31)
    assert call("sscanf_s", guest.text("ff 17 rest"), guest.text("%x%o"), a, b) == 2
    assert (number(a), number(b)) == (255, 15)
    assert call("sscanf_s", guest.text("key=value x"), guest.text("key=%s"), text, 16) == 1
    assert guest.read(text, 6) == b"value\0"
    assert call("sscanf_s", guest.text("toolong"), guest.text("%s"), text, 4) == 0
    assert guest.read(text, 1) == b"\0"
    assert call("sscanf_s", guest.text("abc123"), guest.text("%[a-c]%n"), text, 16, a) == 1
    assert (guest.read(text, 4), number(a)) == (b"abc\0", 3)
    assert call("sscanf_s", guest.text("abc"), guest.text("%[^c]%c"), text, 16, a, 1) == 2
    assert guest.read(text, 3) == b"ab\0" and guest.read(a, 1) == b"c"
    assert call("sscanf_s", guest.text("1 2"), guest.text("%*d %hhd"), a) == 1
    assert guest.read(a, 1) == b"\2"
    assert call("sscanf_s", guest.text("-1"), guest.text("%I64d"), a) == 1
    assert guest.read(a, 8) == b"\xff" * 8
    assert call("sscanf_s", guest.text("12345"), guest.text("%2d%d"), a, b) == 2
    assert (number(a), number(b)) == (12, 345)
    assert call("sscanf_s", guest.text(""), guest.text("%d"), a) == -1
    assert call("sscanf_s", guest.text("x"), guest.text("%d"), a) == 0
    assert call("sscanf_s", guest.text("50%"), guest.text("%d%%"), a) == 1
    assert call("swscanf_s", guest.wide("7 wide"), guest.wide("%d %s"), a, text, 8) == 2
    assert guest.read(text, 10).decode("utf-16-le") == "wide\0"
    assert call("swscanf_s", guest.wide("n"), guest.wide("%S"), text, 8) == 1
    assert guest.read(text, 2) == b"n\0"
    assert call("_snscanf_s", guest.text("12345"), 2, guest.text("%d"), a) == 1
    assert number(a) == 12
    assert call("_snwscanf_s", guest.wide("12345"), 3, guest.wide("%d"), a) == 1
    assert number(a) == 123


def test_classes(guest: Any) -> None:
    for name, test in (
        ("isdigit", str.isdigit), ("isxdigit", lambda c: c in "0123456789abcdefABCDEF"),
        ("isspace", lambda c: c in " \t\n\v\f\r"), ("isupper", str.isupper),
        ("islower", str.islower), ("isprint", lambda c: " " <= c <= "~"),
    ):  # fmt: skip
        for code in range(0x80):
            if code % 7 == 0 or chr(code) in "09afzAFZ \t~":
                assert bool(guest.call(name, code)) == test(chr(code)), (name, code)


COPIES = (
    ("strcpy_s", "strcat_s", "strncpy_s", "strncat_s"),
    ("wcscpy_s", "wcscat_s", "wcsncpy_s", "wcsncat_s"),
)


def test_secure_copies(guest: Any) -> None:
    for wide in (False, True):
        copy, append, copy_some, append_some = COPIES[wide]
        put = guest.wide if wide else guest.text
        unit = 2 if wide else 1
        code = "utf-16-le" if wide else "ascii"
        target = guest.put(b"\xaa" * 6 * unit)

        def got(length: int, *, at: int = target, unit: int = unit, code: str = code) -> str:
            return str(guest.read(at, length * unit).decode(code))

        assert guest.call(copy, target, 6, put("abc")) == 0
        assert got(4) == "abc\0"
        assert guest.call(append, target, 6, put("de")) == 0
        assert got(6) == "abcde\0"
        assert guest.call(append, target, 6, put("f")) == ERANGE
        assert got(1) == "\0"
        assert guest.call(copy, target, 6, put("toolong")) == ERANGE
        assert guest.call(copy, target, 6, 0) == EINVAL
        assert guest.call(copy, 0, 6, put("a")) == EINVAL
        assert guest.call(copy_some, target, 6, put("abcdefgh"), 3) == 0
        assert got(4) == "abc\0"
        assert guest.call(append_some, target, 6, put("defgh"), 2) == 0
        assert got(6) == "abcde\0"
        assert guest.call(copy_some, target, 6, put("abcdefgh"), TRUNCATE) == STRUNCATE
        assert got(6) == "abcde\0"
        assert guest.call(copy_some, target, 6, put("abcdefgh"), 6) == ERANGE


def test_secure_blocks(guest: Any) -> None:
    target, source = guest.put(b"........"), guest.put(b"abcdefgh")
    assert guest.call("memcpy_s", target, 8, source, 4) == 0
    assert guest.read(target, 8) == b"abcd...."
    assert guest.call("memmove_s", target + 1, 7, target, 4) == 0
    assert guest.read(target, 8) == b"aabcd..."
    assert guest.call("memmove_s", target, 4, source, 5) == ERANGE
    assert guest.read(target, 8) == b"aabcd..."
    assert guest.call("memcpy_s", target, 4, source, 5) == ERANGE
    assert guest.read(target, 8) == b"\0\0\0\0d..."
    assert guest.call("memcpy_s", target, 4, 0, 1) == EINVAL


def test_tokens(guest: Any) -> None:
    text, ends, place = guest.text(",a,,bc,"), guest.text(","), guest.room(8)
    first = guest.call("strtok_s", text, ends, place)
    second = guest.call("strtok_s", 0, ends, place)
    assert (guest.read(first, 2), guest.read(second, 3)) == (b"a\0", b"bc\0")
    assert guest.call("strtok_s", 0, ends, place) == 0


def test_secure_printf(guest: Any) -> None:
    for wide in (False, True):
        put = guest.wide if wide else guest.text
        unit, code = (2, "utf-16-le") if wide else (1, "ascii")
        name = "swprintf_s" if wide else "sprintf_s"
        counted = "_snwprintf_s" if wide else "_snprintf_s"
        buffer = guest.room(8 * unit)
        assert guest.signed(name, buffer, 8, put("%d-%x"), 10, 255) == 5
        assert guest.read(buffer, 6 * unit).decode(code) == "10-ff\0"
        assert guest.signed(name, buffer, 5, put("%d-%x"), 10, 255) == -1
        assert guest.read(buffer, unit) == bytes(unit)
        assert guest.signed(counted, buffer, 8, 3, put("%d"), 12345) == -1
        assert guest.read(buffer, 4 * unit).decode(code) == "123\0"
        assert guest.signed(counted, buffer, 4, TRUNCATE, put("%d"), 12345) == -1
        assert guest.read(buffer, 4 * unit).decode(code) == "123\0"
        arguments = guest.put(struct.pack("<Q", 77))
        vname, vcounted = f"v{name}", f"_v{counted[1:]}"
        assert guest.signed(vname, buffer, 8, put("%d"), arguments) == 2
        assert guest.read(buffer, 3 * unit).decode(code) == "77\0"
        assert guest.signed(vcounted, buffer, 8, 8, put("<%d>"), arguments) == 4
    assert {"vsprintf_s", "vswprintf_s", "_vsnprintf_s", "_vsnwprintf_s"} <= set(guest.k.exports)


def test_sorting_and_searching(build_c_driver: Callable[[str, str], Path]) -> None:
    """MSVC: "qsort", "bsearch"; by a driver in C, ``drivers/c/sorting.c``."""
    source = Path(__file__).parents[1] / "drivers" / "c" / "sorting.c"
    image = build_c_driver("sorting", source.read_text())
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        assert list(driver.log.lines) == [
            "sorted 1, found 100, missing 1",
            "left qsort by c000003e",
        ]
        driver.unload()
