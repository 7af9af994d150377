"""Counted strings, called as drivers call them: through the CPU, buffers of the exact size."""

from __future__ import annotations

from typing import Any

import pytest

from kernellab.ntdata import status_code
from kernellab.target.sim.kernel.bugcheck import BugCheck

OVERFLOW = status_code("STATUS_BUFFER_OVERFLOW")


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


@pytest.mark.parametrize("name", ["RtlInitUnicodeString", "RtlInitUnicodeStringEx"])
def test_init_unicode(guest: Any, name: str) -> None:
    target, source = guest.room(16), guest.wide("hello")
    guest.call(name, target, source)
    assert guest.fields(target) == (10, 12, source)
    guest.call(name, target, 0)
    assert guest.fields(target) == (0, 0, 0)


@pytest.mark.parametrize("name", ["RtlInitAnsiString", "RtlInitString", "RtlInitAnsiStringEx"])
def test_init_ansi(guest: Any, name: str) -> None:
    target, source = guest.room(16), guest.text("hello")
    guest.call(name, target, source)
    assert guest.fields(target) == (5, 6, source)


def test_init_too_long(guest: Any) -> None:
    target, source = guest.room(16), guest.wide("x" * 40000)
    status = status_code("STATUS_NAME_TOO_LONG")
    assert guest.call("RtlInitUnicodeStringEx", target, source) & 0xFFFFFFFF == status
    guest.call("RtlInitUnicodeString", target, source)
    assert guest.fields(target)[:2] == (0xFFFC, 0xFFFE)


def test_copy_and_append(guest: Any) -> None:
    target = guest.unicode("", 14)
    guest.call("RtlCopyUnicodeString", target, guest.unicode("abc"))
    assert guest.content(target) == utf16("abc")
    assert guest.call("RtlAppendUnicodeToString", target, guest.wide("de")) == 0
    assert guest.call("RtlAppendUnicodeStringToString", target, guest.unicode("fg")) == 0
    assert guest.content(target) == utf16("abcdefg")
    assert guest.call("RtlAppendUnicodeToString", target, 0) == 0
    status = guest.call("RtlAppendUnicodeToString", target, guest.wide("h"))
    assert status & 0xFFFFFFFF == status_code("STATUS_BUFFER_TOO_SMALL")
    guest.call("RtlCopyUnicodeString", target, guest.unicode("0123456789"))
    assert guest.content(target) == utf16("0123456")
    guest.call("RtlCopyUnicodeString", target, 0)
    assert guest.fields(target)[0] == 0


def test_ansi_copy_and_append(guest: Any) -> None:
    target = guest.counted(b"", 5)
    guest.call("RtlCopyString", target, guest.counted(b"abc"))
    assert guest.call("RtlAppendStringToString", target, guest.counted(b"de")) == 0
    assert guest.content(target) == b"abcde"


@pytest.mark.parametrize(
    ("a", "b", "ignore_case", "expected"),
    [("abc", "abc", 0, 0), ("abc", "ABC", 0, 1), ("äbc", "ÄBC", 1, 0), ("ab", "abc", 1, -1)],
)
def test_compare(guest: Any, a: str, b: str, ignore_case: int, expected: int) -> None:
    x, y = guest.unicode(a), guest.unicode(b)

    def sign(value: int) -> int:
        return (value > 0) - (value < 0)

    assert sign(guest.signed("RtlCompareUnicodeString", x, y, ignore_case)) == expected
    assert guest.call("RtlEqualUnicodeString", x, y, ignore_case) == (expected == 0)
    left, right = guest.put(utf16(a)), guest.put(utf16(b))
    found = guest.signed("RtlCompareUnicodeStrings", left, len(a), right, len(b), ignore_case)
    assert sign(found) == expected
    if a.isascii():
        x, y = guest.counted(a.encode()), guest.counted(b.encode())
        assert sign(guest.signed("RtlCompareString", x, y, ignore_case)) == expected
        assert guest.call("RtlEqualString", x, y, ignore_case) == (expected == 0)


def test_prefix(guest: Any) -> None:
    whole = guest.unicode("\\Device\\Null")
    for text, ignore_case, expected in (
        ("\\Device", 0, 1),
        ("\\DEVICE", 0, 0),
        ("\\DEVICE", 1, 1),
        ("", 0, 1),
        ("\\Device\\Null2", 0, 0),
    ):
        prefix = guest.unicode(text)
        assert guest.call("RtlPrefixUnicodeString", prefix, whole, ignore_case) == expected


def test_hash(guest: Any) -> None:
    text, result = guest.unicode("aB"), guest.room(4)
    assert guest.call("RtlHashUnicodeString", text, 1, 0, result) == 0
    assert int.from_bytes(guest.read(result, 4), "little") == 65 * 65599 + 66
    bad = status_code("STATUS_INVALID_PARAMETER")
    assert guest.call("RtlHashUnicodeString", text, 1, 2, result) & 0xFFFFFFFF == bad
    assert guest.call("RtlHashUnicodeString", 0, 1, 0, result) & 0xFFFFFFFF == bad


def test_case_of_characters(guest: Any) -> None:
    assert guest.call("RtlUpcaseUnicodeChar", ord("ж")) == ord("Ж")
    assert guest.call("RtlDowncaseUnicodeChar", ord("Ж")) == ord("ж")
    assert guest.call("RtlUpperChar", ord("a")) & 0xFF == ord("A")
    assert guest.call("RtlUpperChar", 0xE4) & 0xFF == 0xE4


def test_case_of_strings(guest: Any) -> None:
    target = guest.unicode("", 6)
    assert guest.call("RtlUpcaseUnicodeString", target, guest.unicode("aßö"), 0) == 0
    assert guest.content(target) == utf16("AßÖ")
    assert guest.call("RtlDowncaseUnicodeString", target, guest.unicode("AÖ"), 0) == 0
    assert guest.content(target) == utf16("aö")
    status = guest.call("RtlUpcaseUnicodeString", target, guest.unicode("long"), 0)
    assert status & 0xFFFFFFFF == OVERFLOW
    upper = guest.counted(b"", 4)
    guest.call("RtlUpperString", upper, guest.counted(b"abcde"))
    assert guest.content(upper) == b"ABCD"


@pytest.mark.parametrize(
    ("name", "source", "free", "expected", "size"),
    [
        ("RtlAnsiStringToUnicodeString", b"h\xc3\xa9", "RtlFreeUnicodeString", utf16("hé"), 6),
        ("RtlUnicodeStringToAnsiString", utf16("hé"), "RtlFreeAnsiString", b"h\xc3\xa9", 4),
        ("RtlUpcaseUnicodeString", utf16("hé"), "RtlFreeUnicodeString", utf16("HÉ"), 4),
        ("RtlUpcaseUnicodeString", b"", "RtlFreeUnicodeString", b"", 0),
    ],
)
def test_results_in_pool(
    guest: Any, name: str, source: bytes, free: str, expected: bytes, size: int
) -> None:
    target = guest.room(16)
    live = len(guest.k.pool.live)
    argument = guest.counted(source)
    between = len(guest.k.pool.live) - live
    assert guest.call(name, target, argument, 1) == 0
    assert len(guest.k.pool.live) == live + between + 1
    assert len(guest.k.pool.owned_by("test.sys")) == 1  # a leak is the driver's
    assert guest.content(target) == expected
    assert guest.fields(target)[1] == size
    guest.call(free, target)
    assert len(guest.k.pool.live) == live + between
    assert guest.read(target, 16) == bytes(16)
    guest.call(free, target)  # nothing to free any more


def test_conversion_into_a_buffer(guest: Any) -> None:
    target = guest.counted(b"", 6)
    assert guest.call("RtlAnsiStringToUnicodeString", target, guest.counted(b"ab"), 0) == 0
    assert guest.read(guest.fields(target)[2], 6) == utf16("ab\0")
    status = guest.call("RtlAnsiStringToUnicodeString", target, guest.counted(b"abc"), 0)
    assert status & 0xFFFFFFFF == OVERFLOW
    target = guest.counted(b"", 3)
    status = guest.call("RtlUnicodeStringToAnsiString", target, guest.unicode("abcd"), 0)
    assert status & 0xFFFFFFFF == OVERFLOW
    assert guest.read(guest.fields(target)[2], 3) == b"ab\0"
    assert guest.call("RtlxAnsiStringToUnicodeSize", guest.counted(b"abc")) == 8
    assert guest.call("RtlxUnicodeStringToAnsiSize", guest.unicode("abc")) == 4


def test_a_bad_pointer_is_the_bug_check_of_the_fault(guest: Any) -> None:
    with pytest.raises(BugCheck):
        guest.call("RtlInitUnicodeString", guest.room(16), 0xFFFF_F123_0000_0000)
    unterminated = guest.put(utf16("12345678"))
    with pytest.raises(BugCheck):
        guest.call("RtlInitUnicodeString", guest.room(16), unterminated)


def test_passive_routines_are_reported_at_dispatch_level(guest: Any) -> None:
    text = guest.unicode("a")
    guest.call("RtlCopyUnicodeString", text, 0, irql=2)
    guest.call("RtlEqualUnicodeString", text, text, 1, irql=2)
    rules = [fields["rule"] for kind, fields in guest.events if kind == "violation"]
    assert rules == ["irql-too-high"]
