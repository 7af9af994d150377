"""Counted strings in memory: boundaries of buffers, terminators, allocation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernellab import ntdata
from kernellab.target.sim.kernel import nls, strings
from kernellab.target.sim.kernel.strings import Counted

TARGET, SOURCE, ANSI, BUFFER = 0x10, 0x20, 0x30, 0x100
OVERFLOW = ntdata.status_code("STATUS_BUFFER_OVERFLOW")
TOO_SMALL = ntdata.status_code("STATUS_BUFFER_TOO_SMALL")


class Fault(Exception):
    pass


class Memory:
    """One flat piece of memory; what lies beyond faults."""

    def __init__(self, size: int = 0x1000) -> None:
        self.raw = bytearray(size)

    def read(self, address: int, size: int) -> bytes:
        if not 0 < address <= len(self.raw) - size:
            raise Fault(hex(address))
        return bytes(self.raw[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        if not 0 < address <= len(self.raw) - len(data):
            raise Fault(hex(address))
        self.raw[address : address + len(data)] = data


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def make(used: int, maximum: int) -> Memory:
    """TARGET over a buffer of dashes, SOURCE is "abC" in UTF-16, ANSI the same in bytes."""
    memory = Memory()
    memory.write(BUFFER, b"-" * 64)
    strings.store(memory, TARGET, Counted(used, maximum, BUFFER))
    memory.write(0x200, utf16("abC"))
    strings.store(memory, SOURCE, Counted(6, 6, 0x200))
    memory.write(0x300, b"abC")
    strings.store(memory, ANSI, Counted(3, 3, 0x300))
    return memory


def after(memory: Memory) -> tuple[int, bytes]:
    """TARGET's Length, and its buffer up to the untouched dashes."""
    return strings.load(memory, TARGET).length, memory.read(BUFFER, 64).rstrip(b"-")


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [(0, b""), (2, b"a\0"), (5, b"a\0b\0C"), (6, utf16("abC")), (8, utf16("abC\0"))],
)
def test_copy_takes_what_fits(maximum: int, expected: bytes) -> None:
    memory = make(0, maximum)
    strings.copy(memory, TARGET, SOURCE, wide=True)
    assert after(memory) == (min(maximum, 6), expected)


def test_copy_of_bytes_writes_no_terminator() -> None:
    memory = make(0, 10)
    strings.copy(memory, TARGET, ANSI, wide=False)
    assert after(memory) == (3, b"abC")


def test_copy_of_null_empties() -> None:
    memory = make(4, 10)
    strings.copy(memory, TARGET, 0, wide=True)
    assert after(memory) == (0, b"")


@pytest.mark.parametrize(
    ("maximum", "status", "expected"),
    [
        (8, TOO_SMALL, (4, b"")),
        (9, TOO_SMALL, (4, b"")),
        (10, 0, (10, b"----" + utf16("abC"))),
        (11, 0, (10, b"----" + utf16("abC"))),
        (12, 0, (10, b"----" + utf16("abC\0"))),
    ],
)
def test_append_takes_all_or_nothing(
    maximum: int, status: int, expected: tuple[int, bytes]
) -> None:
    memory = make(4, maximum)
    assert strings.append(memory, TARGET, strings.content(memory, SOURCE), wide=True) == status
    assert after(memory) == expected


def test_append_of_nothing_touches_nothing() -> None:
    memory = make(0, 0)
    assert strings.append(memory, TARGET, b"", wide=True) == 0
    assert after(memory) == (0, b"")


@pytest.mark.parametrize(
    ("maximum", "status", "expected"),
    [(6, OVERFLOW, (6, b"")), (7, OVERFLOW, (6, b"")), (8, 0, (6, utf16("abC\0")))],
)
def test_ansi_to_unicode_needs_room_for_its_terminator(
    maximum: int, status: int, expected: tuple[int, bytes]
) -> None:
    memory = make(0, maximum)
    assert strings.ansi_to_unicode(memory, TARGET, ANSI, None) == status
    assert after(memory) == expected


@pytest.mark.parametrize(
    ("maximum", "status", "expected"),
    [
        (0, OVERFLOW, (3, b"")),
        (1, OVERFLOW, (0, b"\0")),
        (3, OVERFLOW, (2, b"ab\0")),
        (4, 0, (3, b"abC\0")),
    ],
)
def test_unicode_to_ansi_cuts_and_terminates(
    maximum: int, status: int, expected: tuple[int, bytes]
) -> None:
    memory = make(0, maximum)
    assert strings.unicode_to_ansi(memory, TARGET, SOURCE, None) == status
    assert after(memory) == expected


def test_unicode_to_ansi_cuts_between_characters() -> None:
    memory = make(0, 4)
    memory.write(0x200, utf16("a€€"))
    assert strings.unicode_to_ansi(memory, TARGET, SOURCE, None) == OVERFLOW
    assert after(memory) == (1, b"a\0")


@pytest.mark.parametrize(
    ("maximum", "status", "expected"),
    [(4, OVERFLOW, (0, b"")), (6, 0, (6, utf16("ABC")))],
)
def test_upcase_writes_no_terminator(
    maximum: int, status: int, expected: tuple[int, bytes]
) -> None:
    memory = make(0, maximum)
    assert strings.change_case(memory, TARGET, SOURCE, None, nls.upcase) == status
    assert after(memory) == expected


@pytest.mark.parametrize(
    ("maximum", "status", "expected"),
    [
        (6, OVERFLOW, (6, b"")),
        (7, 0, (6, utf16("123"))),
        (8, 0, (6, utf16("123\0"))),
    ],
)
def test_digits_with_and_without_terminator(
    maximum: int, status: int, expected: tuple[int, bytes]
) -> None:
    memory = make(0, maximum)
    assert strings.put_digits(memory, TARGET, "123") == status
    assert after(memory) == expected


ALLOCATING: list[tuple[Callable[[Memory, strings.Allocate], int], int, bytes]] = [
    (lambda m, a: strings.ansi_to_unicode(m, TARGET, ANSI, a), 8, utf16("abC\0")),
    (lambda m, a: strings.unicode_to_ansi(m, TARGET, SOURCE, a), 4, b"abC\0"),
    (lambda m, a: strings.change_case(m, TARGET, SOURCE, a, nls.upcase), 6, utf16("ABC")),
]


@pytest.mark.parametrize(("call", "size", "expected"), ALLOCATING)
def test_allocation_of_the_result(
    call: Callable[[Memory, strings.Allocate], int], size: int, expected: bytes
) -> None:
    memory = make(0, 0)
    asked: list[int] = []

    def allocate(wanted: int) -> int:
        asked.append(wanted)
        return 0x400

    assert call(memory, allocate) == 0
    assert asked == [size]
    value = strings.load(memory, TARGET)
    assert (value.maximum, value.buffer) == (size, 0x400)
    assert memory.read(0x400, size) == expected
    no_memory = ntdata.status_code("STATUS_NO_MEMORY")
    assert call(make(0, 0), lambda wanted: 0) == no_memory


def test_init_measures_or_empties() -> None:
    memory = Memory()
    memory.write(0x200, utf16("abc\0"))
    strings.init_cut(memory, TARGET, 0x200, wide=True)
    assert strings.load(memory, TARGET) == (6, 8, 0x200)
    strings.init_cut(memory, TARGET, 0x200, wide=False)
    assert strings.load(memory, TARGET) == (1, 2, 0x200)
    for wide in (True, False):
        memory.write(TARGET, b"\xcc" * 16)
        strings.init_cut(memory, TARGET, 0, wide=wide)
        assert strings.load(memory, TARGET) == (0, 0, 0)
        # Padding is not touched.
        assert memory.read(TARGET + 4, 4) == b"\xcc" * 4


@pytest.mark.parametrize(("wide", "longest"), [(True, 0xFFFC), (False, 0xFFFE)])
def test_init_of_a_string_that_is_too_long(wide: bool, longest: int) -> None:
    memory = Memory(0x40000)
    start = 0x1000
    unit = 2 if wide else 1
    too_long = ntdata.status_code("STATUS_NAME_TOO_LONG")
    for length in (longest, longest + unit):
        memory.write(start, b"x\0"[:unit] * (length // unit) + b"\0\0")
        strings.init_cut(memory, TARGET, start, wide=wide)
        assert strings.load(memory, TARGET) == (longest, longest + unit, start)
        memory.write(TARGET, bytes(16))
        status = strings.init(memory, TARGET, start, wide=wide)
        assert status == (0 if length == longest else too_long)
        assert (strings.load(memory, TARGET).length == longest) == (status == 0)


def test_results_beyond_64_kb_are_refused() -> None:
    memory = Memory(0x20000)
    memory.write(0x1000, b"x" * 0x8000)
    strings.store(memory, ANSI, Counted(0x8000, 0x8000, 0x1000))
    status = ntdata.status_code("STATUS_INVALID_PARAMETER_2")
    assert strings.ansi_to_unicode(memory, TARGET, ANSI, lambda size: 0x10) == status


def test_faults_pass_through() -> None:
    memory = make(0, 0x10)
    strings.store(memory, SOURCE, Counted(6, 6, 0x10000))
    with pytest.raises(Fault):
        strings.copy(memory, TARGET, SOURCE, wide=True)
    with pytest.raises(Fault):
        strings.init_cut(memory, TARGET, 0x10000, wide=True)
    with pytest.raises(Fault):
        strings.load(memory, 0)
