"""Counted strings (UNICODE_STRING, ANSI_STRING) in the guest's memory.

What the Rtl string routines do, without how they are called. A string is named by the
address of its 16-byte struct; lengths are bytes; ``wide`` is UTF-16LE. Faults of the memory
pass through untouched. The documentation of each is the WDK page of the routine named.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from kernellab.ntdata import status_code

from . import nls
from .printf import read_string, read_wide_string

SUCCESS: Final = 0
BUFFER_OVERFLOW: Final = status_code("STATUS_BUFFER_OVERFLOW")
BUFFER_TOO_SMALL: Final = status_code("STATUS_BUFFER_TOO_SMALL")
INVALID_PARAMETER_2: Final = status_code("STATUS_INVALID_PARAMETER_2")
NAME_TOO_LONG: Final = status_code("STATUS_NAME_TOO_LONG")
NO_MEMORY: Final = status_code("STATUS_NO_MEMORY")

#: The struct's size in bytes.
SIZE: Final = 16
_LAYOUT: Final = struct.Struct("<HH4xQ")

# Longest string that leaves room for a terminator in 16 bits of MaximumLength.
_LONGEST: Final = 0xFFFE
_LONGEST_WIDE: Final = 0xFFFC

#: Allocates paged pool of so many bytes; 0 where there is none.
Allocate = Callable[[int], int]


class Memory(Protocol):
    """The guest's memory. Both methods raise what the caller makes of a fault."""

    def read(self, address: int, size: int, /) -> bytes: ...

    def write(self, address: int, data: bytes, /) -> None: ...


class Counted(NamedTuple):
    """The fields of a UNICODE_STRING or ANSI_STRING: bytes used, bytes there, where."""

    length: int
    maximum: int
    buffer: int


def load(memory: Memory, address: int) -> Counted:
    """The fields of the struct at ``address``."""
    return Counted(*_LAYOUT.unpack(memory.read(address, SIZE)))


def read_block(memory: Memory, address: int, size: int) -> bytes:
    """``size`` bytes; of none, the address is not looked at."""
    return memory.read(address, size) if size else b""


def write_block(memory: Memory, address: int, data: bytes) -> None:
    """Write ``data``; where there is none, the address is not looked at."""
    if data:
        memory.write(address, data)


def store(memory: Memory, address: int, value: Counted) -> None:
    """Write all fields; the four bytes of padding are left as they are."""
    memory.write(address, struct.pack("<HH", value.length, value.maximum))
    memory.write(address + 8, struct.pack("<Q", value.buffer))


def set_length(memory: Memory, address: int, length: int) -> None:
    """Write the Length field alone."""
    memory.write(address, struct.pack("<H", length))


def content(memory: Memory, address: int) -> bytes:
    """The Length bytes of the string at ``address``."""
    value = load(memory, address)
    return read_block(memory, value.buffer, value.length)


def init(memory: Memory, address: int, source: int, *, wide: bool) -> int:
    """RtlInitUnicodeStringEx, RtlInitAnsiStringEx: NAME_TOO_LONG where the length does not fit.

    RtlInitUnicodeString and RtlInitAnsiString are the same, with the length cut to the largest
    there is: see :func:`init_cut`.
    """
    length = _length(memory, source, wide)
    if length > (_LONGEST_WIDE if wide else _LONGEST):
        return NAME_TOO_LONG
    init_cut(memory, address, source, wide=wide)
    return SUCCESS


def init_cut(memory: Memory, address: int, source: int, *, wide: bool) -> None:
    """RtlInitUnicodeString, RtlInitAnsiString, RtlInitString. ``source`` may be NULL."""
    unit = 2 if wide else 1
    length = min(_length(memory, source, wide), _LONGEST_WIDE if wide else _LONGEST)
    store(memory, address, Counted(length, length + unit if source else 0, source))


def _length(memory: Memory, source: int, wide: bool) -> int:
    if not source:
        return 0
    return len(read_wide_string(memory, source) if wide else read_string(memory, source))


def copy(memory: Memory, target: int, source: int, *, wide: bool) -> None:
    """RtlCopyUnicodeString, RtlCopyString: as much as fits, Length set to it.

    A wide copy ends in a zero where there is room. NULL for ``source`` empties ``target``.
    """
    if not source:
        set_length(memory, target, 0)
        return
    into = load(memory, target)
    text = content(memory, source)[: into.maximum]
    set_length(memory, target, len(text))
    write_block(memory, into.buffer, text)
    if wide and len(text) + 2 <= into.maximum:
        memory.write(into.buffer + len(text), b"\0\0")


def append(memory: Memory, target: int, text: bytes, *, wide: bool) -> int:
    """RtlAppendUnicodeStringToString and its kin: all of ``text`` or BUFFER_TOO_SMALL.

    A wide string gets a zero after its end where there is room.
    """
    into = load(memory, target)
    if not text:
        return SUCCESS
    length = into.length + len(text)
    if length > into.maximum:
        return BUFFER_TOO_SMALL
    memory.write(into.buffer + into.length, text)
    set_length(memory, target, length)
    if wide and length + 2 <= into.maximum:
        memory.write(into.buffer + length, b"\0\0")
    return SUCCESS


def change_case(
    memory: Memory,
    target: int,
    source: int,
    allocate: Allocate | None,
    change: Callable[[bytes], bytes],
) -> int:
    """RtlUpcaseUnicodeString, RtlDowncaseUnicodeString (``change``), into a new buffer where
    ``allocate`` is given. No terminator is written."""
    text = change(content(memory, source))
    if allocate is not None:
        buffer = allocate(len(text))
        if not buffer:
            return NO_MEMORY
        store(memory, target, Counted(len(text), len(text), buffer))
    else:
        into = load(memory, target)
        if len(text) > into.maximum:
            return BUFFER_OVERFLOW
        buffer = into.buffer
        set_length(memory, target, len(text))
    write_block(memory, buffer, text)
    return SUCCESS


def ansi_to_unicode(memory: Memory, target: int, source: int, allocate: Allocate | None) -> int:
    """RtlAnsiStringToUnicodeString, with a terminator that must fit too."""
    text = nls.ansi_to_unicode(content(memory, source))
    return put_unicode(memory, target, text, allocate)


def put_unicode(memory: Memory, target: int, text: bytes, allocate: Allocate | None) -> int:
    """Text and a terminator as the content of ``target``; BUFFER_OVERFLOW if both do not fit."""
    size = len(text) + 2
    if size > 0xFFFE:
        return INVALID_PARAMETER_2
    if allocate is not None:
        buffer = allocate(size)
        if not buffer:
            return NO_MEMORY
        store(memory, target, Counted(len(text), size, buffer))
    else:
        into = load(memory, target)
        set_length(memory, target, len(text))  # also where it does not fit
        if size > into.maximum:
            return BUFFER_OVERFLOW
        buffer = into.buffer
    memory.write(buffer, text + b"\0\0")
    return SUCCESS


def unicode_to_ansi(memory: Memory, target: int, source: int, allocate: Allocate | None) -> int:
    """RtlUnicodeStringToAnsiString: what does not fit is cut between characters, with
    BUFFER_OVERFLOW; the result always ends in NUL."""
    text = nls.unicode_to_ansi(content(memory, source))
    if len(text) + 1 > 0xFFFF:
        return INVALID_PARAMETER_2
    status = SUCCESS
    if allocate is not None:
        buffer = allocate(len(text) + 1)
        if not buffer:
            return NO_MEMORY
        store(memory, target, Counted(len(text), len(text) + 1, buffer))
    else:
        into = load(memory, target)
        if len(text) >= into.maximum:
            if not into.maximum:
                set_length(memory, target, len(text))
                return BUFFER_OVERFLOW
            status = BUFFER_OVERFLOW
            text = text[: into.maximum - 1].decode("utf-8", "ignore").encode()
        buffer = into.buffer
        set_length(memory, target, len(text))
    memory.write(buffer, text + b"\0")
    return status


def put_digits(memory: Memory, target: int, text: str) -> int:
    """RtlIntegerToUnicodeString's end. One byte more than the digits has to fit; the
    terminator is written only where both of its bytes do."""
    raw = text.encode("utf-16-le")
    into = load(memory, target)
    set_length(memory, target, len(raw))  # also where it does not fit
    if len(raw) >= into.maximum:
        return BUFFER_OVERFLOW
    memory.write(into.buffer, raw + (b"\0\0" if len(raw) + 2 <= into.maximum else b""))
    return SUCCESS
