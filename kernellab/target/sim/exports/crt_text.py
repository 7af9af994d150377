"""More of the C run-time: numbers from text and to text, classes of characters, scanf, sorting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..kernel import crt, scanf
from ..kernel.execution import Call, Steps
from .registry import HIGH_LEVEL, VaList, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_LONGEST_NUMBER: Final = 256
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NO_LIMIT: Final = 1 << 30
_LONG_MAX, _LONG_MIN, _ULONG_MAX = 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF
_UI64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF

# -- numbers from text -------------------------------------------------------------------------


def _text(k: Kernel, address: int, limit: int, *, wide: bool) -> str:
    raw = crt.read(k.memory, address, limit, wide=wide)
    return raw.decode("utf-16-le", "replace") if wide else raw.decode("latin-1")


def _leading(k: Kernel, address: int, *, wide: bool) -> int:
    match = re.match(r"[ \t-\r]*([-+]?[0-9]+)", _text(k, address, _LONGEST_NUMBER, wide=wide))
    return int(match[1]) if match else 0


@export("LONG atol(const char *text)", irql=HIGH_LEVEL)
def atol(k: Kernel, text: int) -> int:
    """MSVC: "atoi, _atoi_l, _wtoi, _wtoi_l": what does not fit becomes LONG_MAX or LONG_MIN."""
    return max(_LONG_MIN, min(_LONG_MAX, _leading(k, text, wide=False))) & _ULONG_MAX


@export("int _wtoi(const wchar_t *text)", irql=HIGH_LEVEL)
def _wtoi(k: Kernel, text: int) -> int:
    return max(_LONG_MIN, min(_LONG_MAX, _leading(k, text, wide=True))) & _ULONG_MAX


@export("LONG _wtol(const wchar_t *text)", irql=HIGH_LEVEL)
def _wtol(k: Kernel, text: int) -> int:
    return max(_LONG_MIN, min(_LONG_MAX, _leading(k, text, wide=True))) & _ULONG_MAX


def _parse(k: Kernel, address: int, end: int, base: int, *, wide: bool) -> int | None:
    """A number in a base, 0 for C's own; where it ended goes to ``end``."""
    text = _text(k, address, _LONGEST_NUMBER, wide=wide)
    match = re.match(r"([ \t-\r]*)([-+]?)(0[xX](?=[0-9a-fA-F]))?", text)
    assert match is not None
    prefix = match[3] if base in (0, 16) else None
    at = match.end(2) + len(prefix or "")
    if base == 0:
        base = 16 if prefix else 8 if text[at : at + 1] == "0" else 10
    last = at
    while last < len(text) and text[last].lower() in _DIGITS[:base]:
        last += 1
    found = last > at and 2 <= base <= 36
    if end:
        k.memory.set_u64(end, address + (last if found else 0) * (2 if wide else 1))
    if not found:
        return None
    value = int(text[at:last], base)
    return -value if match[2] == "-" else value


@export("ULONG wcstoul(const wchar_t *text, wchar_t **end, int base)", irql=HIGH_LEVEL)
def wcstoul(k: Kernel, text: int, end: int, base: int) -> int:
    """MSVC: "strtoul, _strtoul_l, wcstoul, _wcstoul_l". ULONG_MAX for what does not fit."""
    value = _parse(k, text, end, base, wide=True) or 0
    return _ULONG_MAX if abs(value) > _ULONG_MAX else value & _ULONG_MAX


@export("ULONGLONG _strtoui64(const char *text, char **end, int base)", irql=HIGH_LEVEL)
def _strtoui64(k: Kernel, text: int, end: int, base: int) -> int:
    """MSVC: "_strtoui64, _wcstoui64, _strtoui64_l, _wcstoui64_l"."""
    value = _parse(k, text, end, base, wide=False) or 0
    return _UI64_MAX if abs(value) > _UI64_MAX else value & _UI64_MAX


# -- numbers to text ---------------------------------------------------------------------------


def digits(value: int, base: int) -> str:
    """``value`` in a base of 2 to 36, in lower case; a sign only in base 10."""
    out = ""
    rest = abs(value)
    while rest or not out:
        rest, digit = divmod(rest, base)
        out = _DIGITS[digit] + out
    return "-" + out if value < 0 else out


def _to_text(k: Kernel, value: int, buffer: int, base: int, *, wide: bool) -> int:
    if not 2 <= base <= 36:
        k.memory.write(buffer, bytes(2 if wide else 1))
        return buffer
    text = digits(value if base == 10 else value & _ULONG_MAX, base) + "\0"
    k.memory.write(buffer, text.encode("utf-16-le" if wide else "ascii"))
    return buffer


@export("char *_itoa(int value, char *buffer, int base)", irql=HIGH_LEVEL)
def _itoa(k: Kernel, value: int, buffer: int, base: int) -> int:
    """MSVC: "_itoa, _ltoa, _ultoa, _i64toa, _ui64toa, _itow, …"."""
    return _to_text(k, value, buffer, base, wide=False)


@export("wchar_t *_itow(int value, wchar_t *buffer, int base)", irql=HIGH_LEVEL)
def _itow(k: Kernel, value: int, buffer: int, base: int) -> int:
    return _to_text(k, value, buffer, base, wide=True)


# -- scanf -------------------------------------------------------------------------------------


def _scan(k: Kernel, text: int, limit: int, format: int, arguments: VaList, *, wide: bool) -> int:
    given = _text(k, text, limit, wide=wide)
    wanted = _text(k, format, _NO_LIMIT, wide=wide)
    return scanf.scan(given, wanted, arguments, k.memory, wide=wide) & _ULONG_MAX


@export("int sscanf_s(const char *text, const char *format, ...)", irql=HIGH_LEVEL)
def sscanf_s(k: Kernel, text: int, format: int, arguments: VaList) -> int:
    """MSVC: "sscanf_s, _sscanf_s_l, swscanf_s, _swscanf_s_l"."""
    return _scan(k, text, _NO_LIMIT, format, arguments, wide=False)


@export("int swscanf_s(const wchar_t *text, const wchar_t *format, ...)", irql=HIGH_LEVEL)
def swscanf_s(k: Kernel, text: int, format: int, arguments: VaList) -> int:
    return _scan(k, text, _NO_LIMIT, format, arguments, wide=True)


@export("int _snscanf_s(const char *text, size_t count, const char *format, ...)", irql=HIGH_LEVEL)
def _snscanf_s(k: Kernel, text: int, count: int, format: int, arguments: VaList) -> int:
    """MSVC: "_snscanf_s, _snscanf_s_l, _snwscanf_s, …": ``count`` characters at most are read."""
    return _scan(k, text, count, format, arguments, wide=False)


@export(
    "int _snwscanf_s(const wchar_t *text, size_t count, const wchar_t *format, ...)",
    irql=HIGH_LEVEL,
)
def _snwscanf_s(k: Kernel, text: int, count: int, format: int, arguments: VaList) -> int:
    return _scan(k, text, count, format, arguments, wide=True)


# -- classes of characters ---------------------------------------------------------------------

#: What MSVC's routines answer, which is not just 1: the bit of the class.
_UPPER, _LOWER, _DIGIT, _SPACE, _HEX = 1, 2, 4, 8, 0x80


@export("int isdigit(int char)", irql=HIGH_LEVEL)
def isdigit(k: Kernel, char: int) -> int:
    """MSVC: "isdigit, iswdigit, _isdigit_l, _iswdigit_l"; the "C" locale."""
    return _DIGIT if 0x30 <= char <= 0x39 else 0


@export("int isxdigit(int char)", irql=HIGH_LEVEL)
def isxdigit(k: Kernel, char: int) -> int:
    return _HEX if 0 <= char < 0x80 and chr(char) in "0123456789abcdefABCDEF" else 0


@export("int isspace(int char)", irql=HIGH_LEVEL)
def isspace(k: Kernel, char: int) -> int:
    return _SPACE if char == 0x20 or 9 <= char <= 13 else 0


@export("int isupper(int char)", irql=HIGH_LEVEL)
def isupper(k: Kernel, char: int) -> int:
    return _UPPER if 0x41 <= char <= 0x5A else 0


@export("int islower(int char)", irql=HIGH_LEVEL)
def islower(k: Kernel, char: int) -> int:
    return _LOWER if 0x61 <= char <= 0x7A else 0


@export("int isprint(int char)", irql=HIGH_LEVEL)
def isprint(k: Kernel, char: int) -> int:
    return int(0x20 <= char <= 0x7E)


# -- sorting and searching ---------------------------------------------------------------------


@export("void qsort(void *base, size_t count, size_t size, PVOID compare)", irql=HIGH_LEVEL)
def qsort(k: Kernel, base: int, count: int, size: int, compare: int) -> Steps:
    """MSVC: "qsort". The driver's routine is called for two elements of the array."""
    for start in reversed(range(count // 2)):
        yield from _sink(k, base, start, count, size, compare)
    for last in range(count - 1, 0, -1):
        _swap(k, base, base + last * size, size)
        yield from _sink(k, base, 0, last, size, compare)
    return 0


def _sink(k: Kernel, base: int, root: int, count: int, size: int, compare: int) -> Steps:
    """Move an element down a heap to where none below it is larger."""
    while (child := 2 * root + 1) < count:
        if child + 1 < count:
            order = yield Call(compare, (base + child * size, base + (child + 1) * size))
            child += _negative(order)
        order = yield Call(compare, (base + root * size, base + child * size))
        if not _negative(order):
            return
        _swap(k, base + root * size, base + child * size, size)
        root = child


def _negative(order: int) -> int:
    return order >> 31 & 1


def _swap(k: Kernel, a: int, b: int, size: int) -> None:
    first, second = k.memory.read(a, size), k.memory.read(b, size)
    k.memory.write(a, second)
    k.memory.write(b, first)


@export(
    "void *bsearch(const void *key, const void *base, size_t count, size_t size, PVOID compare)",
    irql=HIGH_LEVEL,
)
def bsearch(k: Kernel, key: int, base: int, count: int, size: int, compare: int) -> Steps:
    """MSVC: "bsearch". NULL where no element compares as equal."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        order = (yield Call(compare, (key, base + middle * size))) & _ULONG_MAX
        if order == 0:
            return base + middle * size
        if _negative(order):
            high = middle
        else:
            low = middle + 1
    return 0
