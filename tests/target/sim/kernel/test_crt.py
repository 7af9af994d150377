"""The C run-time's string and block routines against plain Python on the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernellab.target.sim.kernel import crt

BASE = 0x10000
END = BASE + 0x4000


class Fault(Exception):
    pass


class Memory:
    """Four pages from BASE on."""

    def __init__(self) -> None:
        self.raw = bytearray(b"\xcc" * (END - BASE))

    def read(self, address: int, size: int) -> bytes:
        if not BASE <= address <= END - size:
            raise Fault(hex(max(address, END)))
        return bytes(self.raw[address - BASE : address - BASE + size])

    def write(self, address: int, data: bytes) -> None:
        if not BASE <= address <= END - len(data):
            raise Fault(hex(max(address, END)))
        self.raw[address - BASE : address - BASE + len(data)] = data

    def text(self, address: int, value: str, *, wide: bool) -> int:
        self.write(address, (value + "\0").encode("utf-16-le" if wide else "latin-1"))
        return address


def sign(value: int) -> int:
    return (value > 0) - (value < 0)


TEXT = st.text(st.sampled_from("aAbBzZ1_é"), max_size=12)
PLACES = st.sampled_from([0x100, 0x101, 0xFF8, 0xFFF])


@given(TEXT, TEXT, PLACES, PLACES, st.booleans(), st.integers(0, 14))
def test_compare(a: str, b: str, at_a: int, at_b: int, wide: bool, limit: int) -> None:
    memory = Memory()
    x = memory.text(BASE + at_a, a, wide=wide)
    y = memory.text(BASE + 0x2000 + at_b, b, wide=wide)
    assert sign(crt.compare(memory, x, y, wide=wide)) == (a > b) - (a < b)
    got = crt.compare(memory, x, y, limit, wide=wide)
    assert sign(got) == (a[:limit] > b[:limit]) - (a[:limit] < b[:limit])
    table = str.maketrans("ABZ", "abz")
    c, d = a.translate(table), b.translate(table)
    assert sign(crt.compare(memory, x, y, wide=wide, ignore_case=True)) == (c > d) - (c < d)


@given(TEXT, st.sampled_from("aZé1\0"), PLACES, st.booleans())
def test_find(text: str, char: str, at: int, wide: bool) -> None:
    memory = Memory()
    start = memory.text(BASE + at, text, wide=wide)
    size = 2 if wide else 1

    def place(index: int) -> int:
        return start + index * size if index >= 0 else 0

    whole = text + "\0"
    code = ord(char)
    assert crt.find(memory, start, code, wide=wide) == place(whole.find(char))
    assert crt.find(memory, start, code, wide=wide, last=True) == place(whole.rfind(char))
    assert crt.length(memory, start, wide=wide) == len(text)
    assert crt.length(memory, start, 3, wide=wide) == min(3, len(text))


@given(TEXT, st.text(st.sampled_from("aAbB"), max_size=3), st.booleans())
def test_find_text_and_span(text: str, part: str, wide: bool) -> None:
    memory = Memory()
    start = memory.text(BASE + 0xFF5, text, wide=wide)
    needle = memory.text(BASE + 0x2000, part, wide=wide)
    index = text.find(part)
    expected = start + index * (2 if wide else 1) if index >= 0 else 0
    assert crt.find_text(memory, start, needle, wide=wide) == expected
    leading = len(text) - len(text.lstrip(part)) if part else 0
    assert crt.span(memory, start, needle, wide=wide, inside=True) == leading
    outside = next((i for i, c in enumerate(text) if c in part), len(text))
    assert crt.span(memory, start, needle, wide=wide, inside=False) == outside


def test_wide_search_is_by_whole_units() -> None:
    memory = Memory()
    memory.write(BASE, b"\x01\x61\x00\x61\x00\x00")  # "愁愀" holds "a\0" at an odd place
    memory.write(BASE + 0x100, b"\x61\x00\x00\x00")
    assert crt.find_text(memory, BASE, BASE + 0x100, wide=True) == 0


@pytest.mark.parametrize("wide", [False, True])
def test_copies(wide: bool) -> None:
    memory = Memory()
    size = 2 if wide else 1
    encoding = "utf-16-le" if wide else "latin-1"
    source = memory.text(BASE + 0x1000, "hello", wide=wide)
    crt.copy(memory, BASE, source, wide=wide)
    assert memory.read(BASE, 7 * size) == "hello\0".encode(encoding) + b"\xcc" * size
    crt.copy_counted(memory, BASE + 0x100, source, 3, wide=wide)
    assert memory.read(BASE + 0x100, 4 * size) == "hel".encode(encoding) + b"\xcc" * size
    crt.copy_counted(memory, BASE + 0x200, source, 8, wide=wide)
    assert memory.read(BASE + 0x200, 9 * size) == "hello\0\0\0".encode(encoding) + b"\xcc" * size
    crt.append(memory, BASE, source, wide=wide)
    crt.append(memory, BASE, source, 2, wide=wide)
    assert memory.read(BASE, 14 * size) == "hellohellohe\0".encode(encoding) + b"\xcc" * size


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0xFE0, 0x1000))
def test_blocks(a: bytes, b: bytes, at: int) -> None:
    memory = Memory()
    size = min(len(a), len(b))
    memory.write(BASE + at, a)
    memory.write(BASE + 0x2FF0, b)
    x, y = BASE + at, BASE + 0x2FF0
    expected = (a[:size] > b[:size]) - (a[:size] < b[:size])
    assert crt.compare_blocks(memory, x, y, size) == expected
    same = next((i for i in range(size) if a[i] != b[i]), size)
    assert crt.same_bytes(memory, x, y, size) == same
    value = a[-1] if a else 7
    index = a.find(value)
    assert crt.find_byte(memory, x, value, len(a)) == (x + index if index >= 0 else 0)


@pytest.mark.parametrize("distance", [-0x912, -1, 0, 1, 0x1234])
@pytest.mark.parametrize("size", [0, 1, 0x1001, 0x2000])
def test_move_of_overlapping_blocks(
    distance: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crt, "_BLOCK", 0x300)  # so that blocks take several pieces
    memory = Memory()
    memory.raw[:] = bytes(i * 7 + (i >> 8) & 0xFF for i in range(len(memory.raw)))
    expected = bytearray(memory.raw)
    source = 0xA00
    expected[source + distance : source + distance + size] = memory.raw[source : source + size]
    crt.move(memory, BASE + source + distance, BASE + source, size)
    assert memory.raw == expected


def test_fill() -> None:
    memory = Memory()
    crt.fill(memory, BASE + 1, 0x2345, 0x1AB)
    assert memory.raw[0] == 0xCC and memory.raw[0x2346] == 0xCC
    assert memory.raw[1:0x2346] == b"\xab" * 0x2345


def test_faults_come_at_the_page_that_is_missing() -> None:
    memory = Memory()
    memory.write(END - 3, b"abc")
    other = memory.text(BASE, "abx", wide=False)
    # The difference comes before the end of the page; the terminator does not.
    assert crt.compare(memory, END - 3, other) < 0
    longer = memory.text(BASE + 0x100, "abcd", wide=False)
    calls: list[Callable[[], int]] = [
        lambda: crt.compare(memory, END - 3, longer),
        lambda: crt.length(memory, END - 3),
        lambda: crt.find(memory, END - 3, 0x7A),
        lambda: crt.same_bytes(memory, END - 3, longer, 4),
        lambda: crt.find_byte(memory, END - 3, 0, 100),
    ]
    for call in calls:
        with pytest.raises(Fault, match=hex(END)):
            call()
    assert crt.find(memory, END - 3, ord("c")) == END - 1
    assert crt.same_bytes(memory, END - 3, other, 100) == 2
    assert crt.length(memory, END - 3, 3) == 3


def test_wild_sizes_end_at_the_first_missing_page() -> None:
    memory = Memory()
    calls: list[Callable[[], object]] = [
        lambda: crt.fill(memory, BASE, 1 << 60, 0),
        lambda: crt.move(memory, BASE, BASE + 8, (1 << 64) - 1),
        lambda: crt.compare_blocks(memory, BASE, BASE, 1 << 62),
    ]
    for call in calls:
        with pytest.raises(Fault):
            call()
