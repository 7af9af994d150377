"""Counted strings: RtlInitUnicodeString and its family.

The behaviour is in :mod:`kernellab.target.sim.kernel.strings`; here are the signatures and
the IRQL that each routine's WDK page gives ("any level" where the page says that buffers
must be resident at DISPATCH_LEVEL and above).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab.ntdata import status_code

from ..kernel import crt, nls, strings
from .pool import ExAllocatePoolWithTag, ExFreePool
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

SUCCESS: Final = 0
INVALID_PARAMETER: Final = status_code("STATUS_INVALID_PARAMETER")

#: The tag of buffers that these routines allocate from paged pool for the driver.
_TAG: Final = int.from_bytes(b"RtlS", "little")
_PAGED_POOL: Final = 1


def allocator(k: Kernel, wanted: int) -> strings.Allocate | None:
    """What allocates a result's buffer on the driver's account; None where it is not asked to."""
    if not wanted:
        return None
    return lambda size: ExAllocatePoolWithTag(k, _PAGED_POOL, max(size, 1), _TAG)


# -- initialising -----------------------------------------------------------------------------


@export(
    "VOID RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)",
    irql=DISPATCH_LEVEL,
)
def RtlInitUnicodeString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlInitUnicodeString function (wdm.h)"."""
    strings.init_cut(k.memory, DestinationString, SourceString, wide=True)


@export(
    "NTSTATUS RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString)",
    irql=DISPATCH_LEVEL,
)
def RtlInitUnicodeStringEx(k: Kernel, DestinationString: int, SourceString: int) -> int:
    """WDK: "RtlInitUnicodeStringEx function (wdm.h)"."""
    return strings.init(k.memory, DestinationString, SourceString, wide=True)


@export(
    "VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)",
    irql=DISPATCH_LEVEL,
)
def RtlInitAnsiString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlInitAnsiString function (wdm.h)"."""
    strings.init_cut(k.memory, DestinationString, SourceString, wide=False)


@export("VOID RtlInitString(PSTRING DestinationString, PCSZ SourceString)", irql=DISPATCH_LEVEL)
def RtlInitString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlInitString function (wdm.h)"."""
    strings.init_cut(k.memory, DestinationString, SourceString, wide=False)


@export(
    "NTSTATUS RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString)",
    irql=DISPATCH_LEVEL,
)
def RtlInitAnsiStringEx(k: Kernel, DestinationString: int, SourceString: int) -> int:
    """WDK: "RtlInitAnsiStringEx function (ntifs.h)"."""
    return strings.init(k.memory, DestinationString, SourceString, wide=False)


# -- copying and joining ----------------------------------------------------------------------


@export(
    "VOID RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)",
    irql=HIGH_LEVEL,
)
def RtlCopyUnicodeString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlCopyUnicodeString function (wdm.h)"."""
    strings.copy(k.memory, DestinationString, SourceString, wide=True)


@export("VOID RtlCopyString(PSTRING DestinationString, PSTRING SourceString)", irql=HIGH_LEVEL)
def RtlCopyString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlCopyString function (ntddk.h)"."""
    strings.copy(k.memory, DestinationString, SourceString, wide=False)


@export(
    "NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)",
    irql=HIGH_LEVEL,
)
def RtlAppendUnicodeStringToString(k: Kernel, Destination: int, Source: int) -> int:
    """WDK: "RtlAppendUnicodeStringToString function (wdm.h)"."""
    memory = k.memory
    return strings.append(memory, Destination, strings.content(memory, Source), wide=True)


@export(
    "NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)",
    irql=HIGH_LEVEL,
)
def RtlAppendUnicodeToString(k: Kernel, Destination: int, Source: int) -> int:
    """WDK: "RtlAppendUnicodeToString function (wdm.h)"."""
    memory = k.memory
    text = crt.read(memory, Source, wide=True) if Source else b""
    return strings.append(memory, Destination, text, wide=True)


@export("NTSTATUS RtlAppendStringToString(PSTRING Destination, PSTRING Source)", irql=HIGH_LEVEL)
def RtlAppendStringToString(k: Kernel, Destination: int, Source: int) -> int:
    """WDK: "RtlAppendStringToString function (ntifs.h)"."""
    memory = k.memory
    return strings.append(memory, Destination, strings.content(memory, Source), wide=False)


# -- comparing --------------------------------------------------------------------------------


@export(
    "LONG RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, "
    "BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlCompareUnicodeString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> int:
    """WDK: "RtlCompareUnicodeString function (wdm.h)"."""
    left, right = strings.content(k.memory, String1), strings.content(k.memory, String2)
    return nls.compare(left, right, ignore_case=bool(CaseInSensitive))


@export(
    "LONG RtlCompareUnicodeStrings(PCWCH String1, SIZE_T String1Length, PCWCH String2, "
    "SIZE_T String2Length, BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlCompareUnicodeStrings(
    k: Kernel,
    String1: int,
    String1Length: int,
    String2: int,
    String2Length: int,
    CaseInSensitive: int,
) -> int:
    """WDK: "RtlCompareUnicodeStrings function (ntifs.h)".

    Lengths are in characters.
    """
    left, right = (
        strings.read_block(k.memory, String1, String1Length * 2),
        strings.read_block(k.memory, String2, String2Length * 2),
    )
    return nls.compare(left, right, ignore_case=bool(CaseInSensitive))


@export(
    "BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, "
    "BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlEqualUnicodeString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> int:
    """WDK: "RtlEqualUnicodeString function (wdm.h)"."""
    return int(RtlCompareUnicodeString(k, String1, String2, CaseInSensitive) == 0)


@export(
    "BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, "
    "BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlPrefixUnicodeString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> int:
    """WDK: "RtlPrefixUnicodeString function (ntddk.h)"."""
    head, whole = strings.content(k.memory, String1), strings.content(k.memory, String2)
    if len(head) > len(whole):
        return 0
    return int(nls.compare(head, whole[: len(head)], ignore_case=bool(CaseInSensitive)) == 0)


@export(
    "LONG RtlCompareString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlCompareString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> int:
    """WDK: "RtlCompareString function (ntddk.h)"."""
    left, right = strings.content(k.memory, String1), strings.content(k.memory, String2)
    return nls.compare_ansi(left, right, ignore_case=bool(CaseInSensitive))


@export(
    "BOOLEAN RtlEqualString(PSTRING String1, PSTRING String2, BOOLEAN CaseInSensitive)",
    irql=PASSIVE_LEVEL,
)
def RtlEqualString(k: Kernel, String1: int, String2: int, CaseInSensitive: int) -> int:
    """WDK: "RtlEqualString function (ntddk.h)"."""
    return int(RtlCompareString(k, String1, String2, CaseInSensitive) == 0)


@export(
    "NTSTATUS RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, "
    "ULONG HashAlgorithm, PULONG HashValue)",
    irql=APC_LEVEL,
)
def RtlHashUnicodeString(
    k: Kernel, String: int, CaseInSensitive: int, HashAlgorithm: int, HashValue: int
) -> int:
    """WDK: "RtlHashUnicodeString function (wdm.h)"."""
    if not String or not HashValue or HashAlgorithm > 1:
        return INVALID_PARAMETER
    value = nls.hash_unicode(strings.content(k.memory, String), ignore_case=bool(CaseInSensitive))
    k.memory.write(HashValue, value.to_bytes(4, "little"))
    return SUCCESS


# -- case -------------------------------------------------------------------------------------


@export("WCHAR RtlUpcaseUnicodeChar(WCHAR SourceCharacter)", irql=PASSIVE_LEVEL)
def RtlUpcaseUnicodeChar(k: Kernel, SourceCharacter: int) -> int:
    """WDK: "RtlUpcaseUnicodeChar function (ntifs.h)"."""
    return nls.upcase_char(SourceCharacter)


@export("WCHAR RtlDowncaseUnicodeChar(WCHAR SourceCharacter)", irql=PASSIVE_LEVEL)
def RtlDowncaseUnicodeChar(k: Kernel, SourceCharacter: int) -> int:
    """WDK: "RtlDowncaseUnicodeChar function (ntifs.h)"."""
    return nls.downcase_char(SourceCharacter)


@export("CHAR RtlUpperChar(CHAR Character)", irql=PASSIVE_LEVEL)
def RtlUpperChar(k: Kernel, Character: int) -> int:
    """WDK: "RtlUpperChar function (ntddk.h)"."""
    return nls.upper_ansi(bytes((Character & 0xFF,)))[0]


@export(
    "VOID RtlUpperString(PSTRING DestinationString, PSTRING SourceString)",
    irql=PASSIVE_LEVEL,
)
def RtlUpperString(k: Kernel, DestinationString: int, SourceString: int) -> None:
    """WDK: "RtlUpperString function (ntddk.h)"."""
    memory = k.memory
    into = strings.load(memory, DestinationString)
    text = nls.upper_ansi(strings.content(memory, SourceString))[: into.maximum]
    strings.write_block(memory, into.buffer, text)
    strings.set_length(memory, DestinationString, len(text))


@export(
    "NTSTATUS RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUpcaseUnicodeString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUpcaseUnicodeString function (ntddk.h)"."""
    return strings.change_case(
        k.memory,
        DestinationString,
        SourceString,
        allocator(k, AllocateDestinationString),
        nls.upcase,
    )


@export(
    "NTSTATUS RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlDowncaseUnicodeString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlDowncaseUnicodeString function (ntifs.h)"."""
    return strings.change_case(
        k.memory,
        DestinationString,
        SourceString,
        allocator(k, AllocateDestinationString),
        nls.downcase,
    )


# -- ANSI and Unicode -------------------------------------------------------------------------


@export(
    "NTSTATUS RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, "
    "PCANSI_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlAnsiStringToUnicodeString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlAnsiStringToUnicodeString function (wdm.h)"."""
    return strings.ansi_to_unicode(
        k.memory, DestinationString, SourceString, allocator(k, AllocateDestinationString)
    )


@export(
    "NTSTATUS RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeStringToAnsiString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUnicodeStringToAnsiString function (wdm.h)"."""
    return strings.unicode_to_ansi(
        k.memory, DestinationString, SourceString, allocator(k, AllocateDestinationString)
    )


@export("ULONG RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString)", irql=PASSIVE_LEVEL)
def RtlxAnsiStringToUnicodeSize(k: Kernel, AnsiString: int) -> int:
    """WDK: "RtlxAnsiStringToUnicodeSize function (wdm.h)".

    Bytes of the result, terminator included; behind RtlAnsiStringToUnicodeSize.
    """
    return len(nls.ansi_to_unicode(strings.content(k.memory, AnsiString))) + 2


@export("ULONG RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString)", irql=PASSIVE_LEVEL)
def RtlxUnicodeStringToAnsiSize(k: Kernel, UnicodeString: int) -> int:
    """WDK: "RtlxUnicodeStringToAnsiSize function (wdm.h)".

    Bytes of the result, terminator included; behind RtlUnicodeStringToAnsiSize.
    """
    return len(nls.unicode_to_ansi(strings.content(k.memory, UnicodeString))) + 1


@export("VOID RtlFreeUnicodeString(PUNICODE_STRING UnicodeString)", irql=PASSIVE_LEVEL)
def RtlFreeUnicodeString(k: Kernel, UnicodeString: int) -> None:
    """WDK: "RtlFreeUnicodeString function (wdm.h)".

    Frees the buffer that a routine above allocated, and zeroes the struct.
    """
    buffer = strings.load(k.memory, UnicodeString).buffer
    if buffer:
        ExFreePool(k, buffer)
        k.memory.write(UnicodeString, bytes(strings.SIZE))


@export("VOID RtlFreeAnsiString(PANSI_STRING AnsiString)", irql=PASSIVE_LEVEL)
def RtlFreeAnsiString(k: Kernel, AnsiString: int) -> None:
    """WDK: "RtlFreeAnsiString function (wdm.h)"."""
    RtlFreeUnicodeString(k, AnsiString)
