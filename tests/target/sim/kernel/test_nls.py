"""Case tables and code page conversion of the simulated kernel."""

from __future__ import annotations

import hashlib
import struct

import pytest

from kernellab.target.sim.kernel import nls


def wide(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def test_case_tables_are_the_same_on_every_python() -> None:
    """Compared unit by unit with Wine's ``l_intl.nls`` when this digest was taken: equal."""
    table = b"".join(
        struct.pack("<HH", nls.upcase_char(c), nls.downcase_char(c)) for c in range(0x10000)
    )
    assert (
        hashlib.sha256(table).hexdigest()
        == "e728b19a072b7a0c7a238dbc3b27ed49cab42fd9766d39e4115d1bdc7ceeba1e"
    )


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("a", "A"),
        ("z", "Z"),
        ("é", "É"),
        ("ÿ", "Ÿ"),
        ("ж", "Ж"),
        ("σ", "Σ"),
        ("ᾀ", "ᾈ"),
        ("ａ", "Ａ"),
    ],
)
def test_pairs_of_letters(lower: str, upper: str) -> None:
    assert nls.upcase_char(ord(lower)) == ord(upper)
    assert nls.downcase_char(ord(upper)) == ord(lower)
    assert nls.upcase(wide(f"x{lower}1")) == wide(f"X{upper}1")
    assert nls.downcase(wide(f"X{upper}1")) == wide(f"x{lower}1")


@pytest.mark.parametrize("char", "ßıſµŉ1{@`[ \0")
def test_letters_without_a_capital_stay(char: str) -> None:
    assert nls.upcase_char(ord(char)) == ord(char)


def test_compare_is_by_units_and_case_on_request() -> None:
    assert nls.compare(wide("abc"), wide("abc")) == 0
    assert nls.compare(wide("abc"), wide("abd")) < 0
    assert nls.compare(wide("abc"), wide("ab")) > 0
    assert nls.compare(wide(""), wide("a")) < 0
    assert nls.compare(wide("ÄBC"), wide("äbc")) != 0
    assert nls.compare(wide("ÄBC"), wide("äbc"), ignore_case=True) == 0
    # By upper case: "_" (0x5F) stands after "Z", before "a".
    assert nls.compare(wide("_"), wide("a")) < 0
    assert nls.compare(wide("_"), wide("a"), ignore_case=True) > 0
    assert nls.compare_ansi(b"Abc", b"aBC", ignore_case=True) == 0
    assert nls.compare_ansi(b"Abc", b"aBC") < 0
    assert nls.compare_ansi(b"ab", b"abc") < 0


def test_hash_is_x65599() -> None:
    assert nls.hash_unicode(b"") == 0
    assert nls.hash_unicode(wide("A")) == 65
    assert nls.hash_unicode(wide("AB")) == 65 * 65599 + 66
    assert nls.hash_unicode(wide("ab"), ignore_case=True) == 65 * 65599 + 66
    long = nls.hash_unicode(wide("\\Device\\Example"))
    assert 0 < long < 1 << 32


def test_conversion_keeps_what_is_text_and_replaces_what_is_not() -> None:
    for text in ("", "hello", "größer €", "日本", "🦀 x"):
        assert nls.unicode_to_ansi(wide(text)) == text.encode()
        assert nls.ansi_to_unicode(text.encode()) == wide(text)
    assert nls.unicode_to_ansi(wide("a\ud800b")) == "a\ufffdb".encode()
    assert nls.unicode_to_ansi(b"a\0b") == b"a"
    assert nls.ansi_to_unicode(b"a\xffb") == wide("a\ufffdb")


def test_units_round_trip() -> None:
    assert list(nls.units(b"\x01\x02\xff\xff\x00")) == [0x0201, 0xFFFF]
    assert nls.from_units([0x0201, 0xFFFF]) == b"\x01\x02\xff\xff"
