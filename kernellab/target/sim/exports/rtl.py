"""Rtl routines on memory, bits and bitmaps.

The WDK pages allow all of them at any IRQL where the memory is resident. An RTL_BITMAP is a
size in bits and the address of the caller's buffer of ULONGs; indices and counts are bits.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from ..kernel import crt
from ..kernel.strings import read_block
from .registry import HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

# -- memory -----------------------------------------------------------------------------------


@export("SIZE_T RtlCompareMemory(PVOID Source1, PVOID Source2, SIZE_T Length)", irql=HIGH_LEVEL)
def RtlCompareMemory(k: Kernel, Source1: int, Source2: int, Length: int) -> int:
    """WDK: "RtlCompareMemory function (wdm.h)".

    How many bytes are equal, from the start.
    """
    return crt.same_bytes(k.memory, Source1, Source2, Length)


@export(
    "SIZE_T RtlCompareMemoryUlong(PVOID Source, SIZE_T Length, ULONG Pattern)",
    irql=HIGH_LEVEL,
)
def RtlCompareMemoryUlong(k: Kernel, Source: int, Length: int, Pattern: int) -> int:
    """WDK: "RtlCompareMemoryUlong function (ntddk.h)".

    How many leading bytes hold the Pattern; ``Length`` is cut to whole ULONGs.
    """
    raw = read_block(k.memory, Source, Length & ~3)
    wanted = Pattern.to_bytes(4, "little")
    return next((i for i in range(0, len(raw), 4) if raw[i : i + 4] != wanted), len(raw))


@export("VOID RtlZeroMemory(PVOID Destination, SIZE_T Length)", irql=HIGH_LEVEL)
def RtlZeroMemory(k: Kernel, Destination: int, Length: int) -> None:
    """WDK: "RtlZeroMemory function (wdm.h)"."""
    crt.fill(k.memory, Destination, Length, 0)


@export("VOID RtlFillMemory(PVOID Destination, SIZE_T Length, UCHAR Fill)", irql=HIGH_LEVEL)
def RtlFillMemory(k: Kernel, Destination: int, Length: int, Fill: int) -> None:
    """WDK: "RtlFillMemory function (wdm.h)"."""
    crt.fill(k.memory, Destination, Length, Fill)


@export("VOID RtlCopyMemory(PVOID Destination, PVOID Source, SIZE_T Length)", irql=HIGH_LEVEL)
def RtlCopyMemory(k: Kernel, Destination: int, Source: int, Length: int) -> None:
    """WDK: "RtlCopyMemory function (wdm.h)"."""
    crt.move(k.memory, Destination, Source, Length)


@export("VOID RtlMoveMemory(PVOID Destination, PVOID Source, SIZE_T Length)", irql=HIGH_LEVEL)
def RtlMoveMemory(k: Kernel, Destination: int, Source: int, Length: int) -> None:
    """WDK: "RtlMoveMemory function (wdm.h)"."""
    crt.move(k.memory, Destination, Source, Length)


@export(
    "VOID RtlCopyMemoryNonTemporal(PVOID Destination, PVOID Source, SIZE_T Length)",
    irql=HIGH_LEVEL,
)
def RtlCopyMemoryNonTemporal(k: Kernel, Destination: int, Source: int, Length: int) -> None:
    """WDK: "RtlCopyMemoryNonTemporal function (wdm.h)"."""
    crt.move(k.memory, Destination, Source, Length)


# -- bits --------------------------------------------------------------------------------------


@export("CCHAR RtlFindLeastSignificantBit(ULONGLONG Set)", irql=HIGH_LEVEL)
def RtlFindLeastSignificantBit(k: Kernel, Set: int) -> int:
    """WDK: "RtlFindLeastSignificantBit function (wdm.h)".

    The bit's number; -1 for 0.
    """
    return (Set & -Set).bit_length() - 1


@export("CCHAR RtlFindMostSignificantBit(ULONGLONG Set)", irql=HIGH_LEVEL)
def RtlFindMostSignificantBit(k: Kernel, Set: int) -> int:
    """WDK: "RtlFindMostSignificantBit function (wdm.h)".

    The bit's number; -1 for 0.
    """
    return Set.bit_length() - 1


# -- bitmaps -----------------------------------------------------------------------------------

_NONE = 0xFFFFFFFF


def bits_of(kernel: Kernel, bitmap: int) -> str:
    """The bitmap as text, bit 0 first."""
    size, buffer = struct.unpack("<I4xQ", kernel.memory.read(bitmap, 16))
    raw = kernel.memory.read(buffer, -(-size // 32) * 4) if size else b""
    return format(int.from_bytes(raw, "little"), f"0{max(size, 1)}b")[::-1][:size]


def _change(kernel: Kernel, bitmap: int, start: int, count: int, *, value: bool) -> None:
    """Set or clear bits. Like Windows' routine it trusts the caller not to leave the bitmap."""
    if not count:
        return
    buffer = int.from_bytes(kernel.memory.read(bitmap + 8, 8), "little")
    first, last = start // 8, (start + count - 1) // 8
    raw = int.from_bytes(kernel.memory.read(buffer + first, last - first + 1), "little")
    mask = ((1 << count) - 1) << (start - first * 8)
    raw = raw | mask if value else raw & ~mask
    kernel.memory.write(buffer + first, raw.to_bytes(last - first + 1, "little"))


def _find(kernel: Kernel, bitmap: int, count: int, hint: int, value: str) -> int:
    """A run of ``count`` bits from ``hint`` on, else from the start; 0xFFFFFFFF for none."""
    bits = bits_of(kernel, bitmap)
    hint = hint if hint < len(bits) else 0
    if count == 0:
        return hint & ~7
    if count > len(bits):
        return _NONE
    at = bits.find(value * count, hint)
    return (at if at >= 0 else bits.find(value * count)) & _NONE


def _are(k: Kernel, bitmap: int, start: int, count: int, value: str) -> bool:
    """Whether ``count`` bits from ``start`` on are there and all ``value``."""
    found = bits_of(k, bitmap)[start : start + count]
    return 0 < count == len(found) == found.count(value)


def _longest(kernel: Kernel, bitmap: int, start: int, value: str) -> int:
    """The longest run of ``value``; its start is stored at ``start``."""
    best, best_at = 0, 0
    for run in re.finditer(f"{value}+", bits_of(kernel, bitmap)):
        if run.end() - run.start() > best:
            best, best_at = run.end() - run.start(), run.start()
    kernel.memory.write(start, best_at.to_bytes(4, "little"))
    return best


@export(
    "VOID RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap)",
    irql=HIGH_LEVEL,
)
def RtlInitializeBitMap(k: Kernel, BitMapHeader: int, BitMapBuffer: int, SizeOfBitMap: int) -> None:
    """WDK: "RtlInitializeBitMap function (ntddk.h)"."""
    k.memory.write(BitMapHeader, SizeOfBitMap.to_bytes(4, "little"))
    k.memory.write(BitMapHeader + 8, BitMapBuffer.to_bytes(8, "little"))


@export(
    "VOID RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet)",
    irql=HIGH_LEVEL,
)
def RtlSetBits(k: Kernel, BitMapHeader: int, StartingIndex: int, NumberToSet: int) -> None:
    """WDK: "RtlSetBits function (wdm.h)"."""
    _change(k, BitMapHeader, StartingIndex, NumberToSet, value=True)


@export(
    "VOID RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear)",
    irql=HIGH_LEVEL,
)
def RtlClearBits(k: Kernel, BitMapHeader: int, StartingIndex: int, NumberToClear: int) -> None:
    """WDK: "RtlClearBits function (wdm.h)"."""
    _change(k, BitMapHeader, StartingIndex, NumberToClear, value=False)


@export("VOID RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)", irql=HIGH_LEVEL)
def RtlSetBit(k: Kernel, BitMapHeader: int, BitNumber: int) -> None:
    """WDK: "RtlSetBit function (wdm.h)"."""
    _change(k, BitMapHeader, BitNumber, 1, value=True)


@export("VOID RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)", irql=HIGH_LEVEL)
def RtlClearBit(k: Kernel, BitMapHeader: int, BitNumber: int) -> None:
    """WDK: "RtlClearBit function (wdm.h)"."""
    _change(k, BitMapHeader, BitNumber, 1, value=False)


@export("BOOLEAN RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)", irql=HIGH_LEVEL)
def RtlTestBit(k: Kernel, BitMapHeader: int, BitNumber: int) -> int:
    """WDK: "RtlTestBit function (wdm.h)"."""
    buffer = int.from_bytes(k.memory.read(BitMapHeader + 8, 8), "little")
    return k.memory.read(buffer + BitNumber // 8, 1)[0] >> BitNumber % 8 & 1


@export("VOID RtlSetAllBits(PRTL_BITMAP BitMapHeader)", irql=HIGH_LEVEL)
def RtlSetAllBits(k: Kernel, BitMapHeader: int) -> None:
    """WDK: "RtlSetAllBits function (wdm.h)"."""
    size = int.from_bytes(k.memory.read(BitMapHeader, 4), "little")
    _change(k, BitMapHeader, 0, -(-size // 32) * 32, value=True)


@export("VOID RtlClearAllBits(PRTL_BITMAP BitMapHeader)", irql=HIGH_LEVEL)
def RtlClearAllBits(k: Kernel, BitMapHeader: int) -> None:
    """WDK: "RtlClearAllBits function (wdm.h)"."""
    size = int.from_bytes(k.memory.read(BitMapHeader, 4), "little")
    _change(k, BitMapHeader, 0, -(-size // 32) * 32, value=False)


@export(
    "BOOLEAN RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)",
    irql=HIGH_LEVEL,
)
def RtlAreBitsSet(k: Kernel, BitMapHeader: int, StartingIndex: int, Length: int) -> int:
    """WDK: "RtlAreBitsSet function (wdm.h)".

    FALSE also for no bits, and for bits beyond the end.
    """
    return int(_are(k, BitMapHeader, StartingIndex, Length, "1"))


@export(
    "BOOLEAN RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)",
    irql=HIGH_LEVEL,
)
def RtlAreBitsClear(k: Kernel, BitMapHeader: int, StartingIndex: int, Length: int) -> int:
    """WDK: "RtlAreBitsClear function (wdm.h)".

    FALSE also for no bits, and for bits beyond the end.
    """
    return int(_are(k, BitMapHeader, StartingIndex, Length, "0"))


@export("ULONG RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader)", irql=HIGH_LEVEL)
def RtlNumberOfSetBits(k: Kernel, BitMapHeader: int) -> int:
    """WDK: "RtlNumberOfSetBits function (wdm.h)"."""
    return bits_of(k, BitMapHeader).count("1")


@export("ULONG RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader)", irql=HIGH_LEVEL)
def RtlNumberOfClearBits(k: Kernel, BitMapHeader: int) -> int:
    """WDK: "RtlNumberOfClearBits function (wdm.h)"."""
    return bits_of(k, BitMapHeader).count("0")


@export(
    "ULONG RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindClearBits(k: Kernel, BitMapHeader: int, NumberToFind: int, HintIndex: int) -> int:
    """WDK: "RtlFindClearBits function (wdm.h)"."""
    return _find(k, BitMapHeader, NumberToFind, HintIndex, "0")


@export(
    "ULONG RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindSetBits(k: Kernel, BitMapHeader: int, NumberToFind: int, HintIndex: int) -> int:
    """WDK: "RtlFindSetBits function (wdm.h)"."""
    return _find(k, BitMapHeader, NumberToFind, HintIndex, "1")


@export(
    "ULONG RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindClearBitsAndSet(k: Kernel, BitMapHeader: int, NumberToFind: int, HintIndex: int) -> int:
    """WDK: "RtlFindClearBitsAndSet function (wdm.h)"."""
    at = _find(k, BitMapHeader, NumberToFind, HintIndex, "0")
    if at != _NONE:
        _change(k, BitMapHeader, at, NumberToFind, value=True)
    return at


@export(
    "ULONG RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindSetBitsAndClear(k: Kernel, BitMapHeader: int, NumberToFind: int, HintIndex: int) -> int:
    """WDK: "RtlFindSetBitsAndClear function (wdm.h)"."""
    at = _find(k, BitMapHeader, NumberToFind, HintIndex, "1")
    if at != _NONE:
        _change(k, BitMapHeader, at, NumberToFind, value=False)
    return at


@export(
    "ULONG RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)",
    irql=HIGH_LEVEL,
)
def RtlFindLongestRunClear(k: Kernel, BitMapHeader: int, StartingIndex: int) -> int:
    """WDK: "RtlFindLongestRunClear function (wdm.h)"."""
    return _longest(k, BitMapHeader, StartingIndex, "0")
