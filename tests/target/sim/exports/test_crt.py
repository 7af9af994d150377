"""The C run-time through the CPU: one call of each routine at least, printf with arguments."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def test_blocks(guest: Any) -> None:
    a, b = guest.put(b"abcdefgh"), guest.put(b"abcdeXgh")
    assert guest.signed("memcmp", a, b, 5) == 0
    assert guest.signed("memcmp", a, b, 8) > 0
    assert guest.signed("memcmp", b, a, 8) < 0
    assert guest.call("memchr", a, 0x100 | ord("c"), 8) == a + 2
    assert guest.call("memchr", a, ord("z"), 8) == 0
    assert guest.call("memcpy", a, b, 6) == a
    assert guest.read(a, 8) == b"abcdeXgh"
    assert guest.call("memmove", a + 2, a, 6) == a + 2
    assert guest.read(a, 8) == b"ababcdeX"
    assert guest.call("memset", a, -1, 4) == a
    assert guest.read(a, 8) == b"\xff" * 4 + b"cdeX"
    assert guest.call("memset", a, 0, 0) == a


@pytest.mark.parametrize("wide", [False, True])
def test_strings(guest: Any, wide: bool) -> None:
    prefix, under = ("wcs", "_wcs") if wide else ("str", "_str")
    text = guest.wide if wide else guest.text
    size = 2 if wide else 1
    encode = utf16 if wide else str.encode
    a, b = text("Hello"), text("hello world")
    assert guest.call(f"{prefix}len", b) == 11
    assert guest.call(f"{prefix}nlen", b, 4) == 4
    assert guest.signed(f"{prefix}cmp", a, b) < 0
    assert guest.signed(f"{prefix}cmp", a, a) == 0
    assert guest.signed(f"{prefix}ncmp", a + size, b + size, 4) == 0
    assert guest.signed(f"{under}icmp", a, b) < 0
    assert guest.signed(f"{under}nicmp", a, b, 5) == 0
    assert guest.call(f"{prefix}chr", b, ord("o")) == b + 4 * size
    assert guest.call(f"{prefix}chr", b, 0) == b + 11 * size
    assert guest.call(f"{prefix}rchr", b, ord("o")) == b + 7 * size
    assert guest.call(f"{prefix}chr", b, ord("z")) == 0
    assert guest.call(f"{prefix}str", b, text("wor")) == b + 6 * size
    assert guest.call(f"{prefix}str", b, text("")) == b
    assert guest.call(f"{prefix}spn", b, text("hel")) == 4
    buffer = guest.room(12 * size)
    assert guest.call(f"{prefix}cpy", buffer, a) == buffer
    assert guest.call(f"{prefix}cat", buffer, text("12")) == buffer
    assert guest.call(f"{prefix}ncat", buffer, text("3456789"), 4) == buffer
    assert guest.read(buffer, 12 * size) == encode("Hello123456\0")
    assert guest.call(f"{prefix}ncpy", buffer, b, 3) == buffer
    assert guest.read(buffer, 12 * size) == encode("hello123456\0")
    guest.call(f"{prefix}ncpy", buffer, text("x"), 12)
    assert guest.read(buffer, 12 * size) == encode("x" + "\0" * 11)


def test_span_of_what_is_not_there(guest: Any) -> None:
    assert guest.call("wcscspn", guest.wide("hello"), guest.wide("ol")) == 2


def test_characters_and_numbers(guest: Any) -> None:
    assert guest.signed("tolower", ord("A")) == ord("a")
    assert guest.signed("toupper", ord("z")) == ord("Z")
    assert guest.signed("toupper", -1) == -1
    assert guest.call("towlower", ord("Ä")) == ord("Ä")
    assert guest.call("towupper", ord("q")) == ord("Q")
    for text, expected in ((" -12x", -12), ("x", 0), ("+7", 7), ("", 0)):
        assert guest.signed("atoi", guest.text(text)) == expected


def test_sprintf_takes_arguments_from_registers_and_stack(guest: Any) -> None:
    buffer = guest.room(64)
    text = guest.text("%d %s %x|%c%c%c")
    arguments = (1, guest.text("two"), 0x3, ord("4"), ord("5"), ord("6"))
    assert guest.signed("sprintf", buffer, text, *arguments) == len("1 two 3|456")
    assert guest.read(buffer, 12) == b"1 two 3|456\0"
    guest.k.memory.write(buffer, b"-" * 64)
    assert guest.signed("_snprintf", buffer, 5, text, *arguments) == -1
    assert guest.read(buffer, 6) == b"1 two-"
    assert guest.signed("_snprintf", buffer, 64, guest.text("%wZ"), guest.unicode("wide")) == 4


def test_va_lists(guest: Any) -> None:
    buffer = guest.room(64)
    slots = guest.put(struct.pack("<qQ", -5, guest.text("s")))
    assert guest.signed("vsprintf", buffer, guest.text("%I64d%s"), slots) == 3
    assert guest.read(buffer, 4) == b"-5s\0"
    assert guest.signed("_vsnprintf", buffer, 2, guest.text("%d%s"), slots) == -1
    slots = guest.put(struct.pack("<qQ", -5, guest.wide("s")))
    assert guest.signed("_vsnwprintf", buffer, 64, guest.wide("%d%s"), slots) == 3
    assert guest.read(buffer, 8) == utf16("-5s\0")


def test_wide_printf(guest: Any) -> None:
    buffer = guest.room(64)
    text = guest.wide("%s %S %d")
    arguments = (guest.wide("a"), guest.text("b"), 3)
    assert guest.signed("swprintf", buffer, text, *arguments) == 5
    assert guest.read(buffer, 12) == utf16("a b 3\0")
    assert guest.signed("_snwprintf", buffer, 3, text, *arguments) == -1
    assert guest.signed("_snwprintf", buffer, 5, text, *arguments) == 5


def test_overrunning_a_buffer_is_a_bug_check(guest: Any) -> None:
    buffer = guest.room(16)
    with pytest.raises(BugCheck):
        guest.call("memset", buffer, 0, 17)
    with pytest.raises(BugCheck):
        guest.call("strcpy", buffer, guest.text("0123456789abcdef"))
    with pytest.raises(BugCheck):
        guest.call("sprintf", buffer, guest.text("%020d"), 5)
    with pytest.raises(BugCheck):
        guest.call("strlen", guest.put(b"x" * 16))
    with pytest.raises(BugCheck):
        guest.call("memcpy", buffer, 0x10, 1)


def test_no_bytes_touch_no_memory(guest: Any) -> None:
    """As in C: with a count of 0 a pointer may be NULL."""
    assert guest.signed("_snprintf", 0, 0, guest.text("abc")) == -1
    assert guest.signed("_snwprintf", 0, 0, guest.wide("")) == 0
    for name in ("memcpy", "memmove", "memset", "strncpy", "wcsncpy"):
        assert guest.call(name, 0, 0, 0) == 0
    assert guest.signed("memcmp", 0, 0, 0) == 0
    empty = guest.counted(b"")
    guest.call("RtlCopyUnicodeString", empty, empty)
    guest.call("RtlUpperString", empty, empty)
    assert guest.signed("RtlCompareUnicodeStrings", 0, 0, 0, 0, 1) == 0
    assert guest.call("RtlCompareMemoryUlong", 0, 3, 0) == 0
    assert guest.call("RtlUnicodeToMultiByteN", 0, 0, 0, 0, 0) == 0
