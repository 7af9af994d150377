"""The secure forms of the C run-time: each is told its buffer's size, in characters.

MSVC pages "Security features in the CRT" and those of the routines. What does not fit gives
ERANGE, a null pointer EINVAL, and an empty string; nothing is written past the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import crt
from ..kernel.printf import vformat, vformat_wide
from ..kernel.strings import write_block
from .crt_text import digits
from .registry import HIGH_LEVEL, VaList, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

EINVAL, ERANGE, STRUNCATE = 22, 34, 80
_TRUNCATE: Final = 0xFFFF_FFFF_FFFF_FFFF
_FAILED: Final = 0xFFFF_FFFF

# -- copying and joining -----------------------------------------------------------------------


def _copy(
    k: Kernel,
    target: int,
    room: int,
    source: int,
    *,
    wide: bool,
    count: int | None = None,
    at: int = 0,
) -> int:
    """Copy at most ``count`` characters to ``target`` from character ``at`` on."""
    unit = 2 if wide else 1
    if not target or not room:
        return EINVAL
    if not source and count != 0:
        k.memory.write(target, bytes(unit))
        return EINVAL
    left = room - at
    limit = left if count in (None, _TRUNCATE) else count
    raw = crt.read(k.memory, source, limit, wide=wide) if limit else b""
    if len(raw) // unit >= left:
        if count == _TRUNCATE:
            write_block(k.memory, target + at * unit, raw[: (left - 1) * unit] + bytes(unit))
            return STRUNCATE
        k.memory.write(target, bytes(unit))
        return ERANGE
    k.memory.write(target + at * unit, raw + bytes(unit))
    return 0


def _append(
    k: Kernel, target: int, room: int, source: int, *, wide: bool, count: int | None = None
) -> int:
    if not target or not room:
        return EINVAL
    length = crt.length(k.memory, target, room, wide=wide)
    if length >= room:
        k.memory.write(target, bytes(2 if wide else 1))
        return EINVAL
    return _copy(k, target, room, source, wide=wide, count=count, at=length)


@export("int strcpy_s(char *target, size_t room, const char *source)", irql=HIGH_LEVEL)
def strcpy_s(k: Kernel, target: int, room: int, source: int) -> int:
    """MSVC: "strcpy_s, wcscpy_s, _mbscpy_s, _mbscpy_s_l"."""
    return _copy(k, target, room, source, wide=False)


@export(
    "int strncpy_s(char *target, size_t room, const char *source, size_t count)", irql=HIGH_LEVEL
)
def strncpy_s(k: Kernel, target: int, room: int, source: int, count: int) -> int:
    """MSVC: "strncpy_s, _strncpy_s_l, wcsncpy_s, …". _TRUNCATE cuts, with STRUNCATE."""
    return _copy(k, target, room, source, wide=False, count=count)


@export("int strcat_s(char *target, size_t room, const char *source)", irql=HIGH_LEVEL)
def strcat_s(k: Kernel, target: int, room: int, source: int) -> int:
    """MSVC: "strcat_s, wcscat_s, _mbscat_s, _mbscat_s_l"."""
    return _append(k, target, room, source, wide=False)


@export(
    "int strncat_s(char *target, size_t room, const char *source, size_t count)", irql=HIGH_LEVEL
)
def strncat_s(k: Kernel, target: int, room: int, source: int, count: int) -> int:
    """MSVC: "strncat_s, _strncat_s_l, wcsncat_s, …"."""
    return _append(k, target, room, source, wide=False, count=count)


@export("int wcscpy_s(wchar_t *target, size_t room, const wchar_t *source)", irql=HIGH_LEVEL)
def wcscpy_s(k: Kernel, target: int, room: int, source: int) -> int:
    """MSVC: "strcpy_s, wcscpy_s, _mbscpy_s, _mbscpy_s_l"."""
    return _copy(k, target, room, source, wide=True)


@export(
    "int wcsncpy_s(wchar_t *target, size_t room, const wchar_t *source, size_t count)",
    irql=HIGH_LEVEL,
)
def wcsncpy_s(k: Kernel, target: int, room: int, source: int, count: int) -> int:
    """MSVC: "strncpy_s, _strncpy_s_l, wcsncpy_s, …". _TRUNCATE cuts, with STRUNCATE."""
    return _copy(k, target, room, source, wide=True, count=count)


@export("int wcscat_s(wchar_t *target, size_t room, const wchar_t *source)", irql=HIGH_LEVEL)
def wcscat_s(k: Kernel, target: int, room: int, source: int) -> int:
    """MSVC: "strcat_s, wcscat_s, _mbscat_s, _mbscat_s_l"."""
    return _append(k, target, room, source, wide=True)


@export(
    "int wcsncat_s(wchar_t *target, size_t room, const wchar_t *source, size_t count)",
    irql=HIGH_LEVEL,
)
def wcsncat_s(k: Kernel, target: int, room: int, source: int, count: int) -> int:
    """MSVC: "strncat_s, _strncat_s_l, wcsncat_s, …"."""
    return _append(k, target, room, source, wide=True, count=count)


def _move(k: Kernel, target: int, room: int, source: int, size: int) -> int:
    if not size:
        return 0
    if not target:
        return EINVAL
    if not source or size > room:
        crt.fill(k.memory, target, room, 0)
        return ERANGE if source else EINVAL
    crt.move(k.memory, target, source, size)
    return 0


@export("int memcpy_s(void *target, size_t room, const void *source, size_t size)", irql=HIGH_LEVEL)
def memcpy_s(k: Kernel, target: int, room: int, source: int, size: int) -> int:
    """MSVC: "memcpy_s, wmemcpy_s". Where it does not fit, the target is zeroed."""
    return _move(k, target, room, source, size)


@export(
    "int memmove_s(void *target, size_t room, const void *source, size_t size)", irql=HIGH_LEVEL
)
def memmove_s(k: Kernel, target: int, room: int, source: int, size: int) -> int:
    """MSVC: "memmove_s, wmemmove_s". Where it does not fit, nothing is written."""
    if size and (not target or not source):
        return EINVAL
    return ERANGE if size > room else _move(k, target, room, source, size)


@export("char *strtok_s(char *text, const char *ends, char **place)", irql=HIGH_LEVEL)
def strtok_s(k: Kernel, text: int, ends: int, place: int) -> int:
    """MSVC: "strtok_s, _strtok_s_l, wcstok_s, …". NULL for ``text`` goes on at ``place``."""
    at = text or k.memory.u64(place)
    at += crt.span(k.memory, at, ends, wide=False, inside=True)
    length = crt.span(k.memory, at, ends, wide=False, inside=False)
    after = at + length
    if length and k.memory.read(after, 1) != b"\0":
        k.memory.write(after, b"\0")
        after += 1
    k.memory.set_u64(place, after)
    return at if length else 0


# -- numbers to text ---------------------------------------------------------------------------


def _number(k: Kernel, value: int, buffer: int, room: int, base: int, *, wide: bool) -> int:
    unit = 2 if wide else 1
    if not buffer or not room:
        return EINVAL
    text = digits(value, base) + "\0" if 2 <= base <= 36 else ""
    if not text or len(text) > room:
        k.memory.write(buffer, bytes(unit))
        return ERANGE if text else EINVAL
    k.memory.write(buffer, text.encode("utf-16-le" if wide else "ascii"))
    return 0


@export("int _itoa_s(int value, char *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _itoa_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    """MSVC: "_itoa_s, _ltoa_s, _ultoa_s, _i64toa_s, _ui64toa_s, _itow_s, …"."""
    value = value if base == 10 else value & 0xFFFFFFFF
    return _number(k, value, buffer, room, base, wide=False)


@export("int _itow_s(int value, wchar_t *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _itow_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    value = value if base == 10 else value & 0xFFFFFFFF
    return _number(k, value, buffer, room, base, wide=True)


@export("int _ltoa_s(LONG value, char *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ltoa_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    value = value if base == 10 else value & 0xFFFFFFFF
    return _number(k, value, buffer, room, base, wide=False)


@export("int _ltow_s(LONG value, wchar_t *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ltow_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    value = value if base == 10 else value & 0xFFFFFFFF
    return _number(k, value, buffer, room, base, wide=True)


@export("int _ultoa_s(ULONG value, char *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ultoa_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    return _number(k, value, buffer, room, base, wide=False)


@export("int _ultow_s(ULONG value, wchar_t *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ultow_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    return _number(k, value, buffer, room, base, wide=True)


@export("int _i64toa_s(__int64 value, char *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _i64toa_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    value = value if base == 10 else value & 0xFFFF_FFFF_FFFF_FFFF
    return _number(k, value, buffer, room, base, wide=False)


@export("int _i64tow_s(__int64 value, wchar_t *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _i64tow_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    value = value if base == 10 else value & 0xFFFF_FFFF_FFFF_FFFF
    return _number(k, value, buffer, room, base, wide=True)


@export("int _ui64toa_s(ULONGLONG value, char *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ui64toa_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    return _number(k, value, buffer, room, base, wide=False)


@export("int _ui64tow_s(ULONGLONG value, wchar_t *buffer, size_t room, int base)", irql=HIGH_LEVEL)
def _ui64tow_s(k: Kernel, value: int, buffer: int, room: int, base: int) -> int:
    return _number(k, value, buffer, room, base, wide=True)


# -- printf ------------------------------------------------------------------------------------


def _print(
    k: Kernel, buffer: int, room: int, count: int, format: int, arguments: VaList, *, wide: bool
) -> int:
    """Format into ``room`` characters, of which at most ``count`` are text; -1 where it is cut."""
    unit = 2 if wide else 1
    if not buffer or not room or not format:
        return _FAILED
    convert = vformat_wide if wide else vformat
    text = convert(crt.read(k.memory, format, wide=wide), arguments, k.memory)
    length = len(text) // unit
    if length < room and length <= count:
        k.memory.write(buffer, text + bytes(unit))
        return length
    kept = min(count, room - 1) if count < room or count == _TRUNCATE else 0
    k.memory.write(buffer, text[: kept * unit] + bytes(unit))
    return _FAILED


@export("int sprintf_s(char *buffer, size_t room, const char *format, ...)", irql=HIGH_LEVEL)
def sprintf_s(k: Kernel, buffer: int, room: int, format: int, arguments: VaList) -> int:
    """MSVC: "sprintf_s, _sprintf_s_l, swprintf_s, …". Empty, and -1, where it is too long."""
    return _print(k, buffer, room, room, format, arguments, wide=False)


@export(
    "int vsprintf_s(char *buffer, size_t room, const char *format, va_list list)", irql=HIGH_LEVEL
)
def vsprintf_s(k: Kernel, buffer: int, room: int, format: int, list: int) -> int:
    return _print(k, buffer, room, room, format, VaList(k.memory, list), wide=False)


@export(
    "int _snprintf_s(char *buffer, size_t room, size_t count, const char *format, ...)",
    irql=HIGH_LEVEL,
)
def _snprintf_s(
    k: Kernel, buffer: int, room: int, count: int, format: int, arguments: VaList
) -> int:
    """MSVC: "_snprintf_s, _snprintf_s_l, _snwprintf_s, …". ``count`` or _TRUNCATE cuts, with -1."""
    return _print(k, buffer, room, count, format, arguments, wide=False)


@export(
    "int _vsnprintf_s(char *buffer, size_t room, size_t count, const char *format, va_list list)",
    irql=HIGH_LEVEL,
)
def _vsnprintf_s(k: Kernel, buffer: int, room: int, count: int, format: int, list: int) -> int:
    return _print(k, buffer, room, count, format, VaList(k.memory, list), wide=False)


@export("int swprintf_s(wchar_t *buffer, size_t room, const wchar_t *format, ...)", irql=HIGH_LEVEL)
def swprintf_s(k: Kernel, buffer: int, room: int, format: int, arguments: VaList) -> int:
    """MSVC: "sprintf_s, _sprintf_s_l, swprintf_s, …". Empty, and -1, where it is too long."""
    return _print(k, buffer, room, room, format, arguments, wide=True)


@export(
    "int vswprintf_s(wchar_t *buffer, size_t room, const wchar_t *format, va_list list)",
    irql=HIGH_LEVEL,
)
def vswprintf_s(k: Kernel, buffer: int, room: int, format: int, list: int) -> int:
    return _print(k, buffer, room, room, format, VaList(k.memory, list), wide=True)


@export(
    "int _snwprintf_s(wchar_t *buffer, size_t room, size_t count, const wchar_t *format, ...)",
    irql=HIGH_LEVEL,
)
def _snwprintf_s(
    k: Kernel, buffer: int, room: int, count: int, format: int, arguments: VaList
) -> int:
    """MSVC: "_snprintf_s, _snprintf_s_l, _snwprintf_s, …". ``count`` or _TRUNCATE cuts, with -1."""
    return _print(k, buffer, room, count, format, arguments, wide=True)


@export(
    "int _vsnwprintf_s(wchar_t *buffer, size_t room, size_t count, const wchar_t *format, "
    "va_list list)",
    irql=HIGH_LEVEL,
)
def _vsnwprintf_s(k: Kernel, buffer: int, room: int, count: int, format: int, list: int) -> int:
    return _print(k, buffer, room, count, format, VaList(k.memory, list), wide=True)
