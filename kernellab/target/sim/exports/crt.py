"""The C run-time's routines that ntoskrnl exports: blocks, strings, the printf family.

The behaviour is in :mod:`..kernel.crt` and :mod:`..kernel.printf`. They have no WDK page; none
of them takes a lock or waits, so they may be called at any IRQL on resident memory.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..kernel import crt
from ..kernel.printf import fit, vformat, vformat_wide
from ..kernel.strings import write_block
from .registry import HIGH_LEVEL, VaList, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


#: The size of a buffer whose size the caller does not tell.
_UNBOUNDED = 1 << 62


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


# -- blocks -----------------------------------------------------------------------------------


@export("void *memcpy(void *target, const void *source, size_t size)", irql=HIGH_LEVEL)
def memcpy(k: Kernel, target: int, source: int, size: int) -> int:
    """The same code as memmove, as on x64 Windows."""
    crt.move(k.memory, target, source, size)
    return target


@export("void *memmove(void *target, const void *source, size_t size)", irql=HIGH_LEVEL)
def memmove(k: Kernel, target: int, source: int, size: int) -> int:
    crt.move(k.memory, target, source, size)
    return target


@export("void *memset(void *target, int value, size_t size)", irql=HIGH_LEVEL)
def memset(k: Kernel, target: int, value: int, size: int) -> int:
    crt.fill(k.memory, target, size, value)
    return target


@export("int memcmp(const void *a, const void *b, size_t size)", irql=HIGH_LEVEL)
def memcmp(k: Kernel, a: int, b: int, size: int) -> int:
    return crt.compare_blocks(k.memory, a, b, size)


@export("void *memchr(const void *address, int value, size_t size)", irql=HIGH_LEVEL)
def memchr(k: Kernel, address: int, value: int, size: int) -> int:
    return crt.find_byte(k.memory, address, value, size)


# -- strings of bytes --------------------------------------------------------------------------


@export("size_t strlen(const char *text)", irql=HIGH_LEVEL)
def strlen(k: Kernel, text: int) -> int:
    return crt.length(k.memory, text)


@export("size_t strnlen(const char *text, size_t limit)", irql=HIGH_LEVEL)
def strnlen(k: Kernel, text: int, limit: int) -> int:
    return crt.length(k.memory, text, limit)


@export("int strcmp(const char *a, const char *b)", irql=HIGH_LEVEL)
def strcmp(k: Kernel, a: int, b: int) -> int:
    return _sign(crt.compare(k.memory, a, b))


@export("int strncmp(const char *a, const char *b, size_t limit)", irql=HIGH_LEVEL)
def strncmp(k: Kernel, a: int, b: int, limit: int) -> int:
    return _sign(crt.compare(k.memory, a, b, limit))


@export("int _stricmp(const char *a, const char *b)", irql=HIGH_LEVEL)
def _stricmp(k: Kernel, a: int, b: int) -> int:
    return crt.compare(k.memory, a, b, ignore_case=True)


@export("int _strnicmp(const char *a, const char *b, size_t limit)", irql=HIGH_LEVEL)
def _strnicmp(k: Kernel, a: int, b: int, limit: int) -> int:
    return crt.compare(k.memory, a, b, limit, ignore_case=True)


@export("char *strcpy(char *target, const char *source)", irql=HIGH_LEVEL)
def strcpy(k: Kernel, target: int, source: int) -> int:
    crt.copy(k.memory, target, source)
    return target


@export("char *strncpy(char *target, const char *source, size_t count)", irql=HIGH_LEVEL)
def strncpy(k: Kernel, target: int, source: int, count: int) -> int:
    crt.copy_counted(k.memory, target, source, count)
    return target


@export("char *strcat(char *target, const char *source)", irql=HIGH_LEVEL)
def strcat(k: Kernel, target: int, source: int) -> int:
    crt.append(k.memory, target, source)
    return target


@export("char *strncat(char *target, const char *source, size_t count)", irql=HIGH_LEVEL)
def strncat(k: Kernel, target: int, source: int, count: int) -> int:
    crt.append(k.memory, target, source, count)
    return target


@export("char *strchr(const char *text, int char)", irql=HIGH_LEVEL)
def strchr(k: Kernel, text: int, char: int) -> int:
    return crt.find(k.memory, text, char & 0xFF)


@export("char *strrchr(const char *text, int char)", irql=HIGH_LEVEL)
def strrchr(k: Kernel, text: int, char: int) -> int:
    return crt.find(k.memory, text, char & 0xFF, last=True)


@export("char *strstr(const char *text, const char *part)", irql=HIGH_LEVEL)
def strstr(k: Kernel, text: int, part: int) -> int:
    return crt.find_text(k.memory, text, part)


@export("size_t strspn(const char *text, const char *accept)", irql=HIGH_LEVEL)
def strspn(k: Kernel, text: int, accept: int) -> int:
    return crt.span(k.memory, text, accept, wide=False, inside=True)


# -- strings of UTF-16 -------------------------------------------------------------------------


@export("size_t wcslen(const wchar_t *text)", irql=HIGH_LEVEL)
def wcslen(k: Kernel, text: int) -> int:
    return crt.length(k.memory, text, wide=True)


@export("size_t wcsnlen(const wchar_t *text, size_t limit)", irql=HIGH_LEVEL)
def wcsnlen(k: Kernel, text: int, limit: int) -> int:
    return crt.length(k.memory, text, limit, wide=True)


@export("int wcscmp(const wchar_t *a, const wchar_t *b)", irql=HIGH_LEVEL)
def wcscmp(k: Kernel, a: int, b: int) -> int:
    return _sign(crt.compare(k.memory, a, b, wide=True))


@export("int wcsncmp(const wchar_t *a, const wchar_t *b, size_t limit)", irql=HIGH_LEVEL)
def wcsncmp(k: Kernel, a: int, b: int, limit: int) -> int:
    return crt.compare(k.memory, a, b, limit, wide=True)


@export("int _wcsicmp(const wchar_t *a, const wchar_t *b)", irql=HIGH_LEVEL)
def _wcsicmp(k: Kernel, a: int, b: int) -> int:
    return crt.compare(k.memory, a, b, wide=True, ignore_case=True)


@export("int _wcsnicmp(const wchar_t *a, const wchar_t *b, size_t limit)", irql=HIGH_LEVEL)
def _wcsnicmp(k: Kernel, a: int, b: int, limit: int) -> int:
    return crt.compare(k.memory, a, b, limit, wide=True, ignore_case=True)


@export("wchar_t *wcscpy(wchar_t *target, const wchar_t *source)", irql=HIGH_LEVEL)
def wcscpy(k: Kernel, target: int, source: int) -> int:
    crt.copy(k.memory, target, source, wide=True)
    return target


@export("wchar_t *wcsncpy(wchar_t *target, const wchar_t *source, size_t count)", irql=HIGH_LEVEL)
def wcsncpy(k: Kernel, target: int, source: int, count: int) -> int:
    crt.copy_counted(k.memory, target, source, count, wide=True)
    return target


@export("wchar_t *wcscat(wchar_t *target, const wchar_t *source)", irql=HIGH_LEVEL)
def wcscat(k: Kernel, target: int, source: int) -> int:
    crt.append(k.memory, target, source, wide=True)
    return target


@export("wchar_t *wcsncat(wchar_t *target, const wchar_t *source, size_t count)", irql=HIGH_LEVEL)
def wcsncat(k: Kernel, target: int, source: int, count: int) -> int:
    crt.append(k.memory, target, source, count, wide=True)
    return target


@export("wchar_t *wcschr(const wchar_t *text, wchar_t char)", irql=HIGH_LEVEL)
def wcschr(k: Kernel, text: int, char: int) -> int:
    return crt.find(k.memory, text, char & 0xFFFF, wide=True)


@export("wchar_t *wcsrchr(const wchar_t *text, wchar_t char)", irql=HIGH_LEVEL)
def wcsrchr(k: Kernel, text: int, char: int) -> int:
    return crt.find(k.memory, text, char & 0xFFFF, wide=True, last=True)


@export("wchar_t *wcsstr(const wchar_t *text, const wchar_t *part)", irql=HIGH_LEVEL)
def wcsstr(k: Kernel, text: int, part: int) -> int:
    return crt.find_text(k.memory, text, part, wide=True)


@export("size_t wcsspn(const wchar_t *text, const wchar_t *accept)", irql=HIGH_LEVEL)
def wcsspn(k: Kernel, text: int, accept: int) -> int:
    return crt.span(k.memory, text, accept, wide=True, inside=True)


@export("size_t wcscspn(const wchar_t *text, const wchar_t *reject)", irql=HIGH_LEVEL)
def wcscspn(k: Kernel, text: int, reject: int) -> int:
    return crt.span(k.memory, text, reject, wide=True, inside=False)


# -- printf -----------------------------------------------------------------------------------


def _narrow(k: Kernel, buffer: int, count: int, format: int, arguments: VaList) -> int:
    text, result = fit(vformat(crt.read(k.memory, format), arguments, k.memory), count)
    write_block(k.memory, buffer, text)
    return result


def _wide(k: Kernel, buffer: int, count: int, format: int, arguments: VaList) -> int:
    text = vformat_wide(crt.read(k.memory, format, wide=True), arguments, k.memory)
    text, result = fit(text, count, wide=True)
    write_block(k.memory, buffer, text)
    return result


@export("int sprintf(char *buffer, const char *format, ...)", irql=HIGH_LEVEL)
def sprintf(k: Kernel, buffer: int, format: int, arguments: VaList) -> int:
    return _narrow(k, buffer, _UNBOUNDED, format, arguments)


@export("int vsprintf(char *buffer, const char *format, va_list list)", irql=HIGH_LEVEL)
def vsprintf(k: Kernel, buffer: int, format: int, list: int) -> int:
    return _narrow(k, buffer, _UNBOUNDED, format, VaList(k.memory, list))


@export("int _snprintf(char *buffer, size_t count, const char *format, ...)", irql=HIGH_LEVEL)
def _snprintf(k: Kernel, buffer: int, count: int, format: int, arguments: VaList) -> int:
    """-1 and no terminator where the text is cut."""
    return _narrow(k, buffer, count, format, arguments)


@export(
    "int _vsnprintf(char *buffer, size_t count, const char *format, va_list list)", irql=HIGH_LEVEL
)
def _vsnprintf(k: Kernel, buffer: int, count: int, format: int, list: int) -> int:
    """What RtlStringCbPrintfA and its kin, which are inline functions, call."""
    return _narrow(k, buffer, count, format, VaList(k.memory, list))


@export("int swprintf(wchar_t *buffer, const wchar_t *format, ...)", irql=HIGH_LEVEL)
def swprintf(k: Kernel, buffer: int, format: int, arguments: VaList) -> int:
    """The kernel's swprintf has no size."""
    return _wide(k, buffer, _UNBOUNDED, format, arguments)


@export(
    "int _snwprintf(wchar_t *buffer, size_t count, const wchar_t *format, ...)", irql=HIGH_LEVEL
)
def _snwprintf(k: Kernel, buffer: int, count: int, format: int, arguments: VaList) -> int:
    """-1 and no terminator where the text is cut. ``count`` is in characters."""
    return _wide(k, buffer, count, format, arguments)


@export(
    "int _vsnwprintf(wchar_t *buffer, size_t count, const wchar_t *format, va_list list)",
    irql=HIGH_LEVEL,
)
def _vsnwprintf(k: Kernel, buffer: int, count: int, format: int, list: int) -> int:
    """What RtlStringCbPrintfW, RtlUnicodeStringPrintf and their kin, inline functions, call."""
    return _wide(k, buffer, count, format, VaList(k.memory, list))


# -- characters and numbers -------------------------------------------------------------------


@export("int tolower(int char)", irql=HIGH_LEVEL)
def tolower(k: Kernel, char: int) -> int:
    return crt.fold(char)


@export("int toupper(int char)", irql=HIGH_LEVEL)
def toupper(k: Kernel, char: int) -> int:
    return char - 32 if 0x61 <= char <= 0x7A else char


@export("wchar_t towlower(wchar_t char)", irql=HIGH_LEVEL)
def towlower(k: Kernel, char: int) -> int:
    return crt.fold(char)


@export("wchar_t towupper(wchar_t char)", irql=HIGH_LEVEL)
def towupper(k: Kernel, char: int) -> int:
    return char - 32 if 0x61 <= char <= 0x7A else char


@export("int atoi(const char *text)", irql=HIGH_LEVEL)
def atoi(k: Kernel, text: int) -> int:
    match = re.match(rb"[ \t-\r]*([-+]?[0-9]+)", crt.read(k.memory, text, 256))
    return int(match[1]) & 0xFFFFFFFF if match else 0
