"""Character tables of the kernel: upper and lower case, ANSI to Unicode and back.

Unicode strings are bytes here: UTF-16LE, without a terminator, lone surrogates allowed, as
drivers have them. *Simplification*: the system's ANSI code page is UTF-8 (65001, which
Windows 10 1903 and later can be set to), so that text printed through ``%ws`` or
RtlUnicodeStringToAnsiString loses nothing. On most real systems it is 1252 or another
one-byte page, where a character outside of the page becomes ``?`` and every character is
one byte.
"""

from __future__ import annotations

import sys
import unicodedata
from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

#: What a byte or a surrogate that is no character becomes (U+FFFD, as RtlUTF8ToUnicodeN).
REPLACEMENT: Final = "\ufffd"

#: The multiplier of RtlHashUnicodeString's only documented algorithm, x65599.
HASH_MULTIPLIER: Final = 65599


def ansi_to_unicode(text: bytes) -> bytes:
    """ANSI text as UTF-16LE; bytes that are not UTF-8 become U+FFFD."""
    return text.decode("utf-8", "replace").encode("utf-16-le")


def unicode_to_ansi(text: bytes) -> bytes:
    """UTF-16LE text as ANSI; a lone surrogate becomes U+FFFD. An odd last byte is ignored."""
    whole = text if not len(text) & 1 else text[:-1]
    return whole.decode("utf-16-le", "replace").encode("utf-8")


#: The OEM code page of an English Windows: one byte a character.
_OEM: Final = "cp437"


def oem_to_unicode(text: bytes) -> bytes:
    """OEM text as UTF-16LE: two bytes for each."""
    return text.decode(_OEM).encode("utf-16-le")


def unicode_to_oem(text: bytes) -> tuple[bytes, bool]:
    """UTF-16LE text as OEM, one byte for each unit, and whether all units have one there.

    A unit without one becomes the page's best fit where it has a plain letter in it, else ``?``.
    """
    out, all_there = bytearray(), True
    for unit in units(text):
        fit = _oem_unit(unit)
        all_there &= fit >= 0
        out.append(fit if fit >= 0 else 0x3F)
    return bytes(out), all_there


@lru_cache(maxsize=4096)
def _oem_unit(unit: int) -> int:
    char = chr(unit)
    plain = "" if 0xD800 <= unit < 0xE000 else unicodedata.normalize("NFKD", char)[:1]
    for candidate in (char, _BEST_FIT.get(char, ""), plain):
        try:
            raw = candidate.encode(_OEM)
        except UnicodeEncodeError:
            continue
        if raw:
            return raw[0]
    return -1


#: Best fits of the code page that are no decompositions.
_BEST_FIT: Final = {"\u00a9": "c", "\u00ae": "r"}


# Letters that got their pair after Unicode 14. Python versions differ there; Windows has none.
_LATER: Final = frozenset(
    (
        0x19B,
        0x264,
        0x1C89,
        0x1C8A,
        *range(0xA7CB, 0xA7D0),
        *range(0xA7D2, 0xA7D6),
        *range(0xA7DA, 0xA7DD),
    )
)


@lru_cache(maxsize=4096)
def upcase_char(unit: int) -> int:
    """RtlUpcaseUnicodeChar: one UTF-16 unit, by Unicode's simple case mapping within the BMP.

    As in Windows' own table, a letter whose capital is a different letter's capital too, and
    which does not come back by :func:`downcase_char`, has none: long s, dotless i, micro.
    """
    if unit < 0x80:
        return unit - 32 if 0x61 <= unit <= 0x7A else unit
    upper = _simple(chr(unit), upper=True)
    return upper if _simple(chr(upper), upper=False) == unit else unit


@lru_cache(maxsize=4096)
def downcase_char(unit: int) -> int:
    """RtlDowncaseUnicodeChar: the reverse of :func:`upcase_char`."""
    if unit < 0x80:
        return unit + 32 if 0x41 <= unit <= 0x5A else unit
    lower = _simple(chr(unit), upper=False)
    return lower if _simple(chr(lower), upper=True) == unit else unit


def _simple(char: str, *, upper: bool) -> int:
    """The simple (one to one) mapping; where Python has a longer one, title case has it."""
    if ord(char) in _LATER:
        return ord(char)
    for mapped in (char.upper(), char.title()) if upper else (char.lower(),):
        if len(mapped) == 1 and ord(mapped) <= 0xFFFF:
            return ord(mapped)
    return ord(char)


def upcase(text: bytes) -> bytes:
    """UTF-16LE text with every unit upper-cased (RtlUpcaseUnicodeString)."""
    return _map(text, upcase_char)


def downcase(text: bytes) -> bytes:
    """UTF-16LE text with every unit lower-cased (RtlDowncaseUnicodeString)."""
    return _map(text, downcase_char)


def units(text: bytes) -> array[int]:
    """The 16-bit units of UTF-16LE text. An odd last byte is ignored."""
    found = array("H", text if not len(text) & 1 else text[:-1])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def from_units(text: Iterable[int]) -> bytes:
    """The reverse of :func:`units`."""
    found = array("H", text)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def _map(text: bytes, char: Callable[[int], int]) -> bytes:
    return from_units(map(char, units(text)))


def compare(a: bytes, b: bytes, *, ignore_case: bool = False) -> int:
    """RtlCompareUnicodeString: below, equal to or above 0; units compared as numbers."""
    if a == b:
        return 0
    left, right = units(a), units(b)
    for x, y in zip(left, right, strict=False):
        if x != y:
            if ignore_case:
                x, y = upcase_char(x), upcase_char(y)
            if x != y:
                return x - y
    return (len(left) - len(right)) * 2


def compare_ansi(a: bytes, b: bytes, *, ignore_case: bool = False) -> int:
    """RtlCompareString: below, equal to or above 0; see :func:`upper_ansi`."""
    if ignore_case:
        a, b = upper_ansi(a), upper_ansi(b)
    for x, y in zip(a, b, strict=False):
        if x != y:
            return x - y
    return len(a) - len(b)


def upper_ansi(text: bytes) -> bytes:
    """RtlUpperChar on every byte: with a UTF-8 code page only ASCII letters change."""
    return text.upper()


def hash_unicode(text: bytes, *, ignore_case: bool = False) -> int:
    """RtlHashUnicodeString with HASH_STRING_ALGORITHM_X65599: 32 bits."""
    value = 0
    for unit in units(text):
        value = value * HASH_MULTIPLIER + (upcase_char(unit) if ignore_case else unit)
        value &= 0xFFFFFFFF
    return value
