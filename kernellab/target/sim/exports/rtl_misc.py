"""Times in seconds, random numbers, UTF-8, runs of clear bits."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..kernel import nls, strings
from ..kernel.structs import const
from .registry import APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export
from .rtl import bits_of
from .rtl_string import SUCCESS, allocator

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: 1601 to 1970 and to 1980, units of 100 ns.
_TO_1970: Final = 116_444_736_000_000_000
_TO_1980: Final = 119_600_064_000_000_000
_UNITS: Final = 10_000_000

# -- times -------------------------------------------------------------------------------------


def _seconds(k: Kernel, time: int, epoch: int, elapsed: int) -> bool:
    units = int.from_bytes(k.memory.read(time, 8), "little", signed=True)
    seconds = (units - epoch) // _UNITS
    if not 0 <= seconds <= 0xFFFFFFFF:
        return False
    k.memory.set_u32(elapsed, seconds)
    return True


@export(
    "BOOLEAN RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG ElapsedSeconds)", irql=HIGH_LEVEL
)
def RtlTimeToSecondsSince1970(k: Kernel, Time: int, ElapsedSeconds: int) -> bool:
    """WDK: "RtlTimeToSecondsSince1970 function (ntifs.h)". FALSE for what does not fit a ULONG."""
    return _seconds(k, Time, _TO_1970, ElapsedSeconds)


@export(
    "BOOLEAN RtlTimeToSecondsSince1980(PLARGE_INTEGER Time, PULONG ElapsedSeconds)", irql=HIGH_LEVEL
)
def RtlTimeToSecondsSince1980(k: Kernel, Time: int, ElapsedSeconds: int) -> bool:
    """WDK: "RtlTimeToSecondsSince1980 function (ntifs.h)"."""
    return _seconds(k, Time, _TO_1980, ElapsedSeconds)


@export(
    "VOID RtlSecondsSince1970ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time)", irql=HIGH_LEVEL
)
def RtlSecondsSince1970ToTime(k: Kernel, ElapsedSeconds: int, Time: int) -> None:
    """WDK: "RtlSecondsSince1970ToTime function (ntifs.h)"."""
    k.memory.set_u64(Time, _TO_1970 + ElapsedSeconds * _UNITS)


@export(
    "VOID RtlSecondsSince1980ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time)", irql=HIGH_LEVEL
)
def RtlSecondsSince1980ToTime(k: Kernel, ElapsedSeconds: int, Time: int) -> None:
    """WDK: "RtlSecondsSince1980ToTime function (ntifs.h)"."""
    k.memory.set_u64(Time, _TO_1980 + ElapsedSeconds * _UNITS)


# -- random numbers -------------------------------------------------------------

_MAXLONG: Final = 0x7FFFFFFF


def _random(k: Kernel, seed: int) -> int:
    """The next of a linear congruential generator, 0 to MAXLONG - 1; it is the new seed."""
    value = (k.memory.u32(seed) * 0x7FFFFFED + 0x7FFFFFC3) % _MAXLONG
    k.memory.set_u32(seed, value)
    return value


@export(
    "ULONG RtlRandom(PULONG Seed)",
    irql=APC_LEVEL,
    simplified="The numbers are others than on Windows, which shuffles them by a table.",
)
def RtlRandom(k: Kernel, Seed: int) -> int:
    """WDK: "RtlRandom function (ntifs.h)". 0 to MAXLONG - 1."""
    return _random(k, Seed)


@export(
    "ULONG RtlRandomEx(PULONG Seed)",
    irql=APC_LEVEL,
    simplified="The numbers are others than on Windows, which shuffles them by a table.",
)
def RtlRandomEx(k: Kernel, Seed: int) -> int:
    """WDK: "RtlRandomEx function (ntddk.h)". 0 to MAXLONG - 1."""
    return _random(k, Seed)


# -- UTF-8 -------------------------------------------------------------------------------------


def _put(k: Kernel, raw: bytes, target: int, room: int, stored: int, *, replaced: bool) -> int:
    if not target:
        k.memory.set_u32(stored, len(raw))
        return SUCCESS
    kept = raw[:room]
    strings.write_block(k.memory, target, kept)
    if stored:
        k.memory.set_u32(stored, len(kept))
    if len(kept) < len(raw):
        return strings.BUFFER_TOO_SMALL
    return const("STATUS_SOME_NOT_MAPPED") if replaced else SUCCESS


@export(
    "NTSTATUS RtlUTF8ToUnicodeN(PWSTR UnicodeStringDestination, "
    "ULONG UnicodeStringMaxByteCount, PULONG UnicodeStringActualByteCount, "
    "PCCH UTF8StringSource, ULONG UTF8StringByteCount)",
    irql=PASSIVE_LEVEL,
)
def RtlUTF8ToUnicodeN(
    k: Kernel,
    UnicodeStringDestination: int,
    UnicodeStringMaxByteCount: int,
    UnicodeStringActualByteCount: int,
    UTF8StringSource: int,
    UTF8StringByteCount: int,
) -> int:
    """WDK: "RtlUTF8ToUnicodeN function (wdm.h)".

    Invalid input becomes U+FFFD, with STATUS_SOME_NOT_MAPPED. Without a destination the size.
    """
    source = strings.read_block(k.memory, UTF8StringSource, UTF8StringByteCount)
    text = source.decode("utf-8", "replace")
    return _put(
        *(k, text.encode("utf-16-le"), UnicodeStringDestination),
        *(UnicodeStringMaxByteCount & ~1, UnicodeStringActualByteCount),
        replaced=text.encode() != source,
    )


@export(
    "NTSTATUS RtlUnicodeToUTF8N(PCHAR UTF8StringDestination, ULONG UTF8StringMaxByteCount, "
    "PULONG UTF8StringActualByteCount, PCWCH UnicodeStringSource, ULONG UnicodeStringByteCount)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeToUTF8N(
    k: Kernel,
    UTF8StringDestination: int,
    UTF8StringMaxByteCount: int,
    UTF8StringActualByteCount: int,
    UnicodeStringSource: int,
    UnicodeStringByteCount: int,
) -> int:
    """WDK: "RtlUnicodeToUTF8N function (wdm.h)". Whole characters only are stored."""
    source = strings.read_block(k.memory, UnicodeStringSource, UnicodeStringByteCount & ~1)
    raw = nls.unicode_to_ansi(source)
    replaced = nls.ansi_to_unicode(raw) != source
    room = UTF8StringMaxByteCount
    if UTF8StringDestination and len(raw) > room:
        room = len(raw[:room].decode("utf-8", "ignore").encode())
    return _put(k, raw, UTF8StringDestination, room, UTF8StringActualByteCount, replaced=replaced)


@export(
    "BOOLEAN RtlCreateUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)",
    irql=PASSIVE_LEVEL,
)
def RtlCreateUnicodeString(k: Kernel, DestinationString: int, SourceString: int) -> bool:
    """WDK: "RtlCreateUnicodeString function (ntifs.h)". A copy; RtlFreeUnicodeString frees it."""
    from ..kernel import crt

    text = crt.read(k.memory, SourceString, wide=True)
    return strings.put_unicode(k.memory, DestinationString, text, allocator(k, 1)) == SUCCESS


@export("NTSTATUS RtlValidateUnicodeString(ULONG Flags, PCUNICODE_STRING String)", irql=HIGH_LEVEL)
def RtlValidateUnicodeString(k: Kernel, Flags: int, String: int) -> int:
    """WDK: "RtlValidateUnicodeString function (ntifs.h)". Flags must be 0."""
    if Flags:
        return const("STATUS_INVALID_PARAMETER")
    if not String:
        return SUCCESS
    value = strings.load(k.memory, String)
    odd = value.length & 1 or value.maximum & 1
    if odd or value.length > value.maximum or (value.maximum and not value.buffer):
        return const("STATUS_INVALID_PARAMETER")
    return SUCCESS


@export(
    "BOOLEAN RtlPrefixString(const STRING *String1, const STRING *String2, "
    "BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlPrefixString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> bool:
    """WDK: "RtlPrefixString function (ntddk.h)". Whether String2 begins with String1."""
    first, second = strings.content(k.memory, String1), strings.content(k.memory, String2)
    if CaseInSensitive:
        first, second = nls.upper_ansi(first), nls.upper_ansi(second)
    return second.startswith(first)


# -- runs of bits ------------------------------------------------------------------------------


def _clear_runs(k: Kernel, bitmap: int) -> list[tuple[int, int]]:
    """Start and length of each run of clear bits, in order."""
    runs, start = [], -1
    for index, bit in enumerate(bits_of(k, bitmap) + "1"):
        if bit == "0" and start < 0:
            start = index
        elif bit == "1" and start >= 0:
            runs.append((start, index - start))
            start = -1
    return runs


@export(
    "ULONG RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, "
    "ULONG SizeOfRunArray, BOOLEAN LocateLongestRuns)",
    irql=HIGH_LEVEL,
)
def RtlFindClearRuns(
    k: Kernel, BitMapHeader: int, RunArray: int, SizeOfRunArray: int, LocateLongestRuns: int
) -> int:
    """WDK: "RtlFindClearRuns function (wdm.h)". The longest first, or the first in order."""
    runs = _clear_runs(k, BitMapHeader)
    if LocateLongestRuns:
        runs.sort(key=lambda run: -run[1])
    runs = runs[:SizeOfRunArray]
    if runs:
        k.memory.write(RunArray, b"".join(struct.pack("<2I", *run) for run in runs))
    return len(runs)


@export(
    "ULONG RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)", irql=HIGH_LEVEL
)
def RtlFindFirstRunClear(k: Kernel, BitMapHeader: int, StartingIndex: int) -> int:
    """WDK: "RtlFindFirstRunClear function (wdm.h)"."""
    return _forward_run(k, BitMapHeader, 0, StartingIndex)


@export(
    "ULONG RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, "
    "PULONG StartingRunIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindNextForwardRunClear(
    k: Kernel, BitMapHeader: int, FromIndex: int, StartingRunIndex: int
) -> int:
    """WDK: "RtlFindNextForwardRunClear function (wdm.h)". 0 where there is none."""
    return _forward_run(k, BitMapHeader, FromIndex, StartingRunIndex)


def _forward_run(k: Kernel, bitmap: int, index: int, start_at: int) -> int:
    size = k.memory.u32(bitmap)
    for start, length in _clear_runs(k, bitmap):
        if start + length > index:
            first = max(start, index)
            k.memory.set_u32(start_at, first)
            return start + length - first
    k.memory.set_u32(start_at, size)
    return 0


@export(
    "ULONG RtlFindLastBackwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, "
    "PULONG StartingRunIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindLastBackwardRunClear(
    k: Kernel, BitMapHeader: int, FromIndex: int, StartingRunIndex: int
) -> int:
    """WDK: "RtlFindLastBackwardRunClear function (wdm.h)". 0 where there is none."""
    for start, length in reversed(_clear_runs(k, BitMapHeader)):
        if start <= FromIndex:
            k.memory.set_u32(StartingRunIndex, start)
            return min(start + length, FromIndex + 1) - start
    k.memory.set_u32(StartingRunIndex, FromIndex)
    return 0


@export("ULONG RtlNumberOfSetBitsUlongPtr(ULONG_PTR Target)", irql=HIGH_LEVEL)
def RtlNumberOfSetBitsUlongPtr(k: Kernel, Target: int) -> int:
    """WDK: "RtlNumberOfSetBitsUlongPtr function (ntddk.h)"."""
    return Target.bit_count()
