"""Numbers, GUIDs and times as text and back.

The conversions themselves are in :mod:`kernellab.target.sim.kernel.convert`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..kernel import convert, crt, nls, strings
from .registry import HIGH_LEVEL, PASSIVE_LEVEL, export
from .rtl_string import INVALID_PARAMETER, SUCCESS, allocator

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

# -- numbers ----------------------------------------------------------------------------------


@export(
    "NTSTATUS RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeStringToInteger(k: Kernel, String: int, Base: int, Value: int) -> int:
    """WDK: "RtlUnicodeStringToInteger function (wdm.h)"."""
    value = convert.integer(nls.units(strings.content(k.memory, String)), Base)
    if value is None:
        return INVALID_PARAMETER
    k.memory.write(Value, value.to_bytes(4, "little"))
    return SUCCESS


@export("NTSTATUS RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value)", irql=PASSIVE_LEVEL)
def RtlCharToInteger(k: Kernel, String: int, Base: int, Value: int) -> int:
    """WDK: "RtlCharToInteger function (ntddk.h)"."""
    value = convert.integer(crt.read(k.memory, String), Base)
    if value is None:
        return INVALID_PARAMETER
    k.memory.write(Value, value.to_bytes(4, "little"))
    return SUCCESS


@export(
    "NTSTATUS RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String)",
    irql=PASSIVE_LEVEL,
)
def RtlIntegerToUnicodeString(k: Kernel, Value: int, Base: int, String: int) -> int:
    """WDK: "RtlIntegerToUnicodeString function (wdm.h)"."""
    text = convert.digits(Value, Base)
    return INVALID_PARAMETER if text is None else strings.put_digits(k.memory, String, text)


@export(
    "NTSTATUS RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String)",
    irql=PASSIVE_LEVEL,
)
def RtlInt64ToUnicodeString(k: Kernel, Value: int, Base: int, String: int) -> int:
    """WDK: "RtlInt64ToUnicodeString function (wdm.h)"."""
    text = convert.digits(Value, Base)
    return INVALID_PARAMETER if text is None else strings.put_digits(k.memory, String, text)


@export("USHORT RtlUshortByteSwap(USHORT Source)", irql=HIGH_LEVEL)
def RtlUshortByteSwap(k: Kernel, Source: int) -> int:
    """WDK: "RtlUshortByteSwap function (wdm.h)"."""
    return int.from_bytes(Source.to_bytes(2, "little"), "big")


@export("ULONG RtlUlongByteSwap(ULONG Source)", irql=HIGH_LEVEL)
def RtlUlongByteSwap(k: Kernel, Source: int) -> int:
    """WDK: "RtlUlongByteSwap function (wdm.h)"."""
    return int.from_bytes(Source.to_bytes(4, "little"), "big")


@export("ULONGLONG RtlUlonglongByteSwap(ULONGLONG Source)", irql=HIGH_LEVEL)
def RtlUlonglongByteSwap(k: Kernel, Source: int) -> int:
    """WDK: "RtlUlonglongByteSwap function (wdm.h)"."""
    return int.from_bytes(Source.to_bytes(8, "little"), "big")


# -- GUIDs ------------------------------------------------------------------------------------


@export("NTSTATUS RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID*Guid)", irql=PASSIVE_LEVEL)
def RtlGUIDFromString(k: Kernel, GuidString: int, Guid: int) -> int:
    """WDK: "RtlGUIDFromString function (wdm.h)"."""
    raw = strings.content(k.memory, GuidString).decode("utf-16-le", "replace")
    value = convert.guid(raw)
    if value is None:
        return INVALID_PARAMETER
    k.memory.write(Guid, value)
    return SUCCESS


@export(
    "NTSTATUS RtlStringFromGUID(const GUID *Rguid, PUNICODE_STRING GuidString)",
    irql=PASSIVE_LEVEL,
)
def RtlStringFromGUID(k: Kernel, Rguid: int, GuidString: int) -> int:
    """WDK: "RtlStringFromGUID function (wdm.h)".

    Allocates the buffer; RtlFreeUnicodeString frees it.
    """
    text = convert.guid_text(k.memory.read(Rguid, 16)).encode("utf-16-le")
    return strings.put_unicode(k.memory, GuidString, text, allocator(k, 1))


# -- times ------------------------------------------------------------------------------------


@export("VOID RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields)", irql=HIGH_LEVEL)
def RtlTimeToTimeFields(k: Kernel, Time: int, TimeFields: int) -> None:
    """WDK: "RtlTimeToTimeFields function (wdm.h)"."""
    value = int.from_bytes(k.memory.read(Time, 8), "little", signed=True)
    k.memory.write(TimeFields, struct.pack("<8h", *convert.time_fields(value)))


@export(
    "BOOLEAN RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time)",
    irql=HIGH_LEVEL,
)
def RtlTimeFieldsToTime(k: Kernel, TimeFields: int, Time: int) -> int:
    """WDK: "RtlTimeFieldsToTime function (wdm.h)"."""
    raw = struct.unpack("<8h", k.memory.read(TimeFields, 16))
    value = convert.time_from_fields(convert.TimeFields(*raw))
    if value is None:
        return 0
    k.memory.write(Time, value.to_bytes(8, "little"))
    return 1


# -- blocks of text ---------------------------------------------------------------------------


def _put(k: Kernel, target: int, room: int, raw: bytes, stored: int) -> None:
    """Store what fits, and how many bytes that are where the caller wants to know."""
    strings.write_block(k.memory, target, raw[:room])
    if stored:
        k.memory.write(stored, min(len(raw), room).to_bytes(4, "little"))


@export(
    "NTSTATUS RtlUnicodeToMultiByteN(PCHAR MultiByteString, ULONG MaxBytesInMultiByteString, "
    "PULONG BytesInMultiByteString, PCWCH UnicodeString, ULONG BytesInUnicodeString)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeToMultiByteN(
    k: Kernel,
    MultiByteString: int,
    MaxBytesInMultiByteString: int,
    BytesInMultiByteString: int,
    UnicodeString: int,
    BytesInUnicodeString: int,
) -> int:
    """WDK: "RtlUnicodeToMultiByteN function (ntifs.h)". Cuts between characters."""
    raw = nls.unicode_to_ansi(strings.read_block(k.memory, UnicodeString, BytesInUnicodeString))
    raw = raw[:MaxBytesInMultiByteString].decode("utf-8", "ignore").encode()
    _put(k, MultiByteString, MaxBytesInMultiByteString, raw, BytesInMultiByteString)
    return SUCCESS


@export(
    "NTSTATUS RtlMultiByteToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, "
    "PULONG BytesInUnicodeString, const CHAR *MultiByteString, ULONG BytesInMultiByteString)",
    irql=PASSIVE_LEVEL,
)
def RtlMultiByteToUnicodeN(
    k: Kernel,
    UnicodeString: int,
    MaxBytesInUnicodeString: int,
    BytesInUnicodeString: int,
    MultiByteString: int,
    BytesInMultiByteString: int,
) -> int:
    """WDK: "RtlMultiByteToUnicodeN function (ntifs.h)"."""
    raw = nls.ansi_to_unicode(strings.read_block(k.memory, MultiByteString, BytesInMultiByteString))
    _put(k, UnicodeString, MaxBytesInUnicodeString & ~1, raw, BytesInUnicodeString)
    return SUCCESS


@export(
    "NTSTATUS RtlUnicodeToMultiByteSize(PULONG BytesInMultiByteString, PCWCH UnicodeString, "
    "ULONG BytesInUnicodeString)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeToMultiByteSize(
    k: Kernel, BytesInMultiByteString: int, UnicodeString: int, BytesInUnicodeString: int
) -> int:
    """WDK: "RtlUnicodeToMultiByteSize function (ntifs.h)". Without a terminator."""
    raw = nls.unicode_to_ansi(strings.read_block(k.memory, UnicodeString, BytesInUnicodeString))
    k.memory.write(BytesInMultiByteString, len(raw).to_bytes(4, "little"))
    return SUCCESS


@export(
    "NTSTATUS RtlMultiByteToUnicodeSize(PULONG BytesInUnicodeString, "
    "const CHAR *MultiByteString, ULONG BytesInMultiByteString)",
    irql=PASSIVE_LEVEL,
)
def RtlMultiByteToUnicodeSize(
    k: Kernel, BytesInUnicodeString: int, MultiByteString: int, BytesInMultiByteString: int
) -> int:
    """WDK: "RtlMultiByteToUnicodeSize function (ntifs.h)". Without a terminator."""
    raw = nls.ansi_to_unicode(strings.read_block(k.memory, MultiByteString, BytesInMultiByteString))
    k.memory.write(BytesInUnicodeString, len(raw).to_bytes(4, "little"))
    return SUCCESS
