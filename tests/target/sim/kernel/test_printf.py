"""The printf family: expectations from Microsoft's "Format specification syntax: printf and
wprintf functions" and "DbgPrintEx function"; integers also against Python's own formatting."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernellab.target.sim.kernel.printf import (
    DBGPRINT_LIMIT,
    MAX_OUTPUT,
    fit,
    read_string,
    read_wide_string,
    vformat,
    vformat_wide,
)

BASE = 0x10_0000


class Fault(Exception):
    """Memory that is not there."""


class Memory:
    """Pages from BASE on; what is put in it gets an address."""

    def __init__(self, pages: int = 4) -> None:
        self.raw = bytearray(pages * 0x1000)
        self.used = 0x10

    def put(self, raw: bytes) -> int:
        at = self.used
        self.raw[at : at + len(raw)] = raw
        self.used += len(raw) + 15 & ~15
        return BASE + at

    def text(self, value: str | bytes) -> int:
        return self.put((value.encode() if isinstance(value, str) else value) + b"\0")

    def wide(self, value: str) -> int:
        return self.put(value.encode("utf-16-le", "surrogatepass") + b"\0\0")

    def counted(self, raw: bytes, *, null: bool = False) -> int:
        buffer = 0 if null else self.put(raw + b"!!")
        return self.put(struct.pack("<HHIQ", len(raw), len(raw) + 2, 0xCCCCCCCC, buffer))

    def read(self, address: int, size: int) -> bytes:
        start = address - BASE
        if start < 0 or start + size > len(self.raw):
            raise Fault(hex(max(address, BASE + len(self.raw))))
        return bytes(self.raw[start : start + size])


def arguments(values: Iterable[int]) -> Callable[[], int]:
    return iter([v & (1 << 64) - 1 for v in values]).__next__


def narrow(text: str, *values: int, memory: Memory | None = None) -> bytes:
    return vformat(text.encode("latin-1"), arguments(values), memory or Memory(1))


def wide(text: str, *values: int, memory: Memory | None = None) -> str:
    raw = vformat_wide(text.encode("utf-16-le"), arguments(values), memory or Memory(1))
    return raw.decode("utf-16-le")


GOLDEN: list[tuple[str, tuple[int, ...], str]] = [
    ("plain", (), "plain"),
    ("100%%", (), "100%"),
    ("", (), ""),
    # types
    ("%d|%i", (42, -42), "42|-42"),
    ("%u", (-1,), "4294967295"),
    ("%o %x %X", (64, 0xABC, 0xABC), "100 abc ABC"),
    ("%c%c", (0x41, 0x42), "AB"),
    ("%p", (0xFFFFF80012345678,), "FFFFF80012345678"),
    ("%p", (0,), "0000000000000000"),
    # sizes: long is 32 bits on Windows
    ("%ld|%lu|%lx", (0x1_FFFF_FFFF, -1, -1), "-1|4294967295|ffffffff"),
    ("%lld|%llu|%llx", (-5, -1, -1), "-5|18446744073709551615|ffffffffffffffff"),
    ("%I64d|%I64u|%I64X", (-5, -1, -1), "-5|18446744073709551615|FFFFFFFFFFFFFFFF"),
    ("%I32d|%I32x", (0x1_0000_0005, -1), "5|ffffffff"),
    ("%Id|%Ix|%Iu", (-5, -1, 7), "-5|ffffffffffffffff|7"),
    ("%zu|%td|%jd", (1 << 40, -(1 << 40), -1), "1099511627776|-1099511627776|-1"),
    ("%hd|%hu|%hx", (0x18000, -1, 0x12345), "-32768|65535|2345"),
    ("%hhd|%hhu", (0x80, -1), "-128|255"),
    ("%d", (0x1_0000_0001,), "1"),
    ("%Lx|%wd", (-1, -1), "ffffffff|-1"),
    # flags
    ("[%5d][%-5d][%05d][%-05d]", (42, 42, 42, 42), "[   42][42   ][00042][42   ]"),
    ("[%+d][%+d][% d][% d][%+ d]", (1, -1, 1, -1, 1), "[+1][-1][ 1][-1][+1]"),
    ("[%+u][% x]", (1, 1), "[1][1]"),
    ("[%#o][%#x][%#X][%#d]", (8, 255, 255, 5), "[010][0xff][0XFF][5]"),
    ("[%#x][%#o]", (0, 0), "[0][0]"),
    ("[%#08x][%#8x][%-#8x]", (255, 255, 255), "[0x0000ff][    0xff][0xff    ]"),
    ("[%+05d][% 05d]", (42, 42), "[+0042][ 0042]"),
    # precision
    ("[%.3d][%.0d][%.0d][%.d]", (5, 0, 5, 0), "[005][][5][]"),
    ("[%8.3d][%-8.3d][%08.3d]", (-5, -5, -5), "[    -005][-005    ][    -005]"),
    ("[%#.4x][%.10llu]", (255, 7), "[0x00ff][0000000007]"),
    ("[%20p][%-18p]", (1, 1), "[    0000000000000001][0000000000000001  ]"),
    ("[%.3p][%020p]", (1, 1), "[0000000000000001][    0000000000000001]"),
    # stars
    ("[%*d][%-*d][%*d]", (5, 42, 5, 42, -5, 42), "[   42][42   ][42   ]"),
    ("[%.*d][%.*d][%*.*d]", (3, 5, -1, 5, 6, 3, 5), "[005][5][   005]"),
    # characters without meaning are printed, and take no argument
    ("%y %d", (5,), "y 5"),
    ("%k%q%5b|%d", (1,), "kqb|1"),
    ("%Ip|%I6d", (), "Ip|I6d"),
    # no floating point in the kernel's DbgPrint
    ("%f %e %G|%d", (7,), "f e G|7"),
    ("%8.3f|%lf|%d", (7,), "f|f|7"),
    # an end in the middle of a specification
    ("x%", (), "x"),
    ("x%-08", (), "x"),
    ("x%ll", (), "x"),
    ("x%.", (), "x"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values", "expected"), GOLDEN)
def test_golden(text: str, values: tuple[int, ...], expected: str) -> None:
    assert narrow(text, *values) == expected.encode()
    assert wide(text, *values) == expected


STRINGS: list[tuple[str, str, str]] = [
    # format, argument, output; N is the narrow string, W the wide one, 0 is NULL
    ("%s", "N", "héllo"),
    ("%hs", "N", "héllo"),
    ("%S", "W", "héllo"),
    ("%ws", "W", "héllo"),
    ("%ls", "W", "héllo"),
    ("%lS", "W", "héllo"),
    ("%hS", "N", "héllo"),
    ("%Z", "A", "héllo"),
    ("%hZ", "A", "héllo"),
    ("%wZ", "U", "héllo"),
    ("%lZ", "U", "héllo"),
    ("[%7ws]", "W", "[  héllo]"),
    ("[%-7ws]", "W", "[héllo  ]"),
    ("[%07ws]", "W", "[00héllo]"),
    ("[%.2ws]", "W", "[hé]"),
    ("[%.0ws]", "W", "[]"),
    ("[%.99ws]", "W", "[héllo]"),
    ("[%7wZ]", "U", "[  héllo]"),
    ("[%-7wZ]", "U", "[héllo  ]"),
    ("[%.2wZ]", "U", "[héllo]"),
    ("%s", "0", "(null)"),
    ("%ws", "0", "(null)"),
    ("%Z", "0", "(null)"),
    ("%wZ", "0", "(null)"),
    ("%wZ", "E", "(null)"),
    ("[%8s]", "0", "[  (null)]"),
    ("[%.2s]", "0", "[(n]"),
    ("[%wZ]", "L", "[]"),
]


def _string_argument(memory: Memory, which: str) -> int:
    text = "héllo"
    return {
        "N": memory.text(text),
        "W": memory.wide(text),
        "A": memory.counted(text.encode()),
        "U": memory.counted(text.encode("utf-16-le")),
        "E": memory.counted(b"", null=True),
        "L": memory.counted(b""),
        "0": 0,
    }[which]


@pytest.mark.parametrize(("text", "which", "expected"), STRINGS)
def test_strings_in_narrow_output(text: str, which: str, expected: str) -> None:
    memory = Memory()
    value = _string_argument(memory, which)
    assert narrow(text, value, memory=memory) == expected.encode()


@pytest.mark.parametrize(
    ("text", "which", "expected"),
    [
        # In the wide functions s and S change places; prefixes mean what they mean.
        *((f.replace("%S", "%s"), w, e) for f, w, e in STRINGS if f != "%s" or w != "N"),
        ("%S", "N", "héllo"),
        ("[%-7S]", "N", "[héllo  ]"),
    ],
)  # fmt: skip
def test_strings_in_wide_output(text: str, which: str, expected: str) -> None:
    memory = Memory()
    value = _string_argument(memory, which)
    assert wide(text, value, memory=memory) == expected


def test_characters_of_either_width() -> None:
    assert narrow("%c%C%hc%lc%wc%hC", 0x41, 0x20AC, 0x42, 0xE9, 0x43, 0x44) == "A€BéCD".encode()
    assert wide("%c%C%hc%lc%wc%hC", 0x20AC, 0x41, 0x42, 0xE9, 0x43, 0x44) == "€ABéCD"
    assert narrow("[%3c][%-3c][%03c]", 65, 66, 67) == b"[  A][B  ][00C]"
    assert narrow("a%cb", 0) == b"a\0b"
    assert narrow("%c", 0xFF) == b"\xff"


def test_bytes_pass_through_unchanged() -> None:
    memory = Memory()
    assert narrow("%s", memory.text(b"\xff\xfe%d\x1b"), memory=memory) == b"\xff\xfe%d\x1b"
    assert narrow("\xff\x80%d", 1) == b"\xff\x801"


def test_surrogate_pairs_become_one_character_and_lone_ones_a_replacement() -> None:
    memory = Memory()
    assert narrow("%ws", memory.wide("🦀"), memory=memory) == "🦀".encode()
    assert narrow("%.1ws", memory.wide("🦀"), memory=memory) == "\ufffd".encode()
    assert wide("%ws", memory.wide("🦀"), memory=memory) == "🦀"


def test_percent_n_takes_its_argument_and_writes_nothing() -> None:
    assert narrow("ab%n%d", 0xBAD, 5) == b"ab5"


def test_counted_strings_need_no_terminator() -> None:
    memory = Memory(1)
    end = BASE + 0x1000
    memory.raw[-6:] = "end".encode("utf-16-le")
    header = memory.put(struct.pack("<HHIQ", 6, 6, 0, end - 6))
    assert narrow("%wZ", header, memory=memory) == b"end"
    assert narrow("%.3ws", end - 6, memory=memory) == b"end"
    assert narrow("%.6hs", end - 6, memory=memory) == b"e"


def test_a_string_that_runs_off_its_page_faults_where_the_page_ends() -> None:
    memory = Memory(1)
    memory.raw[-3:] = b"abc"
    end = BASE + 0x1000
    assert read_string(memory, end - 3, 3) == b"abc"
    with pytest.raises(Fault, match=hex(end)):
        narrow("%s", end - 3, memory=memory)
    with pytest.raises(Fault, match=hex(end)):
        narrow("[%s]", end - 3, memory=memory)
    with pytest.raises(Fault):
        narrow("%s", 0x10)
    with pytest.raises(Fault):
        narrow("%wZ", 0x10)
    memory.raw[-4:] = "ab".encode("utf-16-le")
    with pytest.raises(Fault, match=hex(end)):
        narrow("%ws", end - 4, memory=memory)


def test_a_terminator_at_the_end_of_a_page_is_enough() -> None:
    memory = Memory(1)
    memory.raw[-4:] = b"abc\0"
    assert narrow("%s|", BASE + 0xFFC, memory=memory) == b"abc|"
    memory.raw[-4:] = b"a\0\0\0"
    assert narrow("%ws|", BASE + 0xFFC, memory=memory) == b"a|"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("offset", [0, 1, 0xF00, 0xFFF])
def test_long_strings_across_pages(size: int, offset: int) -> None:
    memory = Memory(8)
    text = bytes(random.Random(size).choices(range(1, 256), k=size))
    memory.raw[offset : offset + size + 1] = text + b"\0"
    assert read_string(memory, BASE + offset) == text
    assert read_string(memory, BASE + offset, size // 2) == text[: size // 2]
    units = "".join(random.Random(size).choices("aĀ€\u0100\u0061", k=size // 2))
    raw = units.encode("utf-16-le")
    memory.raw[offset : offset + len(raw) + 2] = raw + b"\0\0"
    assert read_wide_string(memory, BASE + offset) == raw
    assert read_wide_string(memory, BASE + offset, size // 4) == raw[: size // 4 * 2]


def test_hostile_widths_cost_no_memory() -> None:
    assert len(narrow("%99999999999d", 1)) == MAX_OUTPUT
    assert len(narrow("%*d", 0x7FFFFFFF, 1)) == MAX_OUTPUT
    assert len(narrow("%*d", -0x80000000, 1)) == MAX_OUTPUT
    assert len(narrow("%.999999999d", 1)) == 512
    assert len(narrow("%9999999d" * 50, *[1] * 50)) == MAX_OUTPUT
    assert narrow("%" + "9" * 5000 + "y", 1) == b"y"
    assert narrow("%" + "0" * 5000 + "5d", 1) == b"00001"
    assert DBGPRINT_LIMIT == 512


def test_digits_of_other_scripts_are_text() -> None:
    assert wide("%٣d") == "٣d"


def test_an_odd_last_byte_of_a_wide_format_is_ignored() -> None:
    assert vformat_wide(b"a\0b", arguments([]), Memory(1)) == b"a\0"


@settings(max_examples=300)
@given(
    st.sampled_from("diuxXo"),
    st.sampled_from(["", "-", "0", "+", " ", "-0"]),
    st.integers(0, 30),
    st.integers(-(1 << 63), (1 << 63) - 1),
)
def test_integers_agree_with_pythons(kind: str, flags: str, width: int, value: int) -> None:
    if kind in "uxXo":
        value &= (1 << 64) - 1
        flags = flags.strip("+ ")
    expected = f"%{flags}{width or ''}{'d' if kind == 'u' else kind}" % value
    assert narrow(f"%{flags}{width or ''}ll{kind}", value) == expected.encode()


@settings(max_examples=300)
@given(st.text(st.sampled_from("%-+ #0*.159hlLIwzjt643dsSZcCpxn yf\0\u20ac")), st.booleans())
def test_any_format_ends_in_text_or_in_the_readers_fault(text: str, is_wide: bool) -> None:
    values = iter(range(0, 10_000, 3))
    raw = text.encode("utf-16-le") if is_wide else text.encode("utf-8")
    try:
        out = (vformat_wide if is_wide else vformat)(raw, lambda: next(values), Memory(1))
    except Fault:
        return
    assert len(out) <= MAX_OUTPUT
    assert not is_wide or len(out) % 2 == 0


def test_what_snprintf_stores_and_returns() -> None:
    assert fit(b"abc", 10) == (b"abc\0", 3)
    assert fit(b"abc", 4) == (b"abc\0", 3)
    assert fit(b"abc", 3) == (b"abc", 3)
    assert fit(b"abc", 2) == (b"ab", -1)
    assert fit(b"abc", 0) == (b"", -1)
    assert fit(b"", 0) == (b"", 0)
    assert fit(b"a\0b\0", 3, wide=True) == (b"a\0b\0\0\0", 2)
    assert fit(b"a\0b\0", 2, wide=True) == (b"a\0b\0", 2)
    assert fit(b"a\0b\0", 1, wide=True) == (b"a\0", -1)
