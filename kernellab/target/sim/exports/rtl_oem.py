"""Text in the OEM code page, which is 437 here, and names in the 8.3 form.

An OEM string is what the FAT file systems and the console use: one byte a character.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import nls, shortname, strings
from ..kernel.structs import const
from .registry import APC_LEVEL, PASSIVE_LEVEL, export
from .rtl_string import SUCCESS, RtlFreeUnicodeString, allocator

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_UNMAPPABLE = const("STATUS_UNMAPPABLE_CHARACTER")


def _store(k: Kernel, target: int, raw: bytes, end: bytes, allocate: int) -> int:
    """The content of a counted string, with what comes behind it and is not counted."""
    size = len(raw) + len(end)
    if size > 0xFFFF:
        return strings.INVALID_PARAMETER_2
    allocator_ = allocator(k, allocate)
    if allocator_ is not None:
        buffer = allocator_(size) if size else 0
        if size and not buffer:
            return strings.NO_MEMORY
        strings.store(k.memory, target, strings.Counted(len(raw), size, buffer))
    else:
        into = strings.load(k.memory, target)
        if size > into.maximum:
            return strings.BUFFER_OVERFLOW
        buffer = into.buffer
        strings.set_length(k.memory, target, len(raw))
    strings.write_block(k.memory, buffer, raw + end)
    return SUCCESS


def _upcased(text: bytes) -> tuple[bytes, bool]:
    """To OEM by way of OEM: a character's best fit is what becomes upper case."""
    raw, all_there = nls.unicode_to_oem(text)
    return nls.unicode_to_oem(nls.upcase(nls.oem_to_unicode(raw)))[0], all_there


# -- counted strings ---------------------------------------------------------------------------


@export(
    "NTSTATUS RtlOemStringToUnicodeString(PUNICODE_STRING DestinationString, "
    "PCOEM_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlOemStringToUnicodeString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlOemStringToUnicodeString function (ntifs.h)". Ends in NUL."""
    text = nls.oem_to_unicode(strings.content(k.memory, SourceString))
    return _store(k, DestinationString, text, b"\0\0", AllocateDestinationString)


@export(
    "NTSTATUS RtlOemStringToCountedUnicodeString(PUNICODE_STRING DestinationString, "
    "PCOEM_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlOemStringToCountedUnicodeString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlOemStringToCountedUnicodeString function (ntifs.h)". Does not end in NUL."""
    text = nls.oem_to_unicode(strings.content(k.memory, SourceString))
    return _store(k, DestinationString, text, b"", AllocateDestinationString)


@export(
    "NTSTATUS RtlUnicodeStringToOemString(POEM_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeStringToOemString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUnicodeStringToOemString function (ntifs.h)". Ends in NUL."""
    raw, _all = nls.unicode_to_oem(strings.content(k.memory, SourceString))
    return _store(k, DestinationString, raw, b"\0", AllocateDestinationString)


@export(
    "NTSTATUS RtlUnicodeStringToCountedOemString(POEM_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUnicodeStringToCountedOemString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUnicodeStringToCountedOemString function (ntifs.h)".

    STATUS_UNMAPPABLE_CHARACTER where a character is not in the code page.
    """
    raw, all_there = nls.unicode_to_oem(strings.content(k.memory, SourceString))
    if not all_there:
        return _UNMAPPABLE
    return _store(k, DestinationString, raw, b"", AllocateDestinationString)


@export(
    "NTSTATUS RtlUpcaseUnicodeStringToOemString(POEM_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUpcaseUnicodeStringToOemString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUpcaseUnicodeStringToOemString function (ntifs.h)"."""
    raw, all_there = _upcased(strings.content(k.memory, SourceString))
    if not all_there:
        return _UNMAPPABLE
    return _store(k, DestinationString, raw, b"\0", AllocateDestinationString)


@export(
    "NTSTATUS RtlUpcaseUnicodeStringToCountedOemString(POEM_STRING DestinationString, "
    "PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlUpcaseUnicodeStringToCountedOemString(
    k: Kernel, DestinationString: int, SourceString: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlUpcaseUnicodeStringToCountedOemString function (ntifs.h)"."""
    raw, all_there = _upcased(strings.content(k.memory, SourceString))
    if not all_there:
        return _UNMAPPABLE
    return _store(k, DestinationString, raw, b"", AllocateDestinationString)


@export("VOID RtlFreeOemString(POEM_STRING OemString)", irql=PASSIVE_LEVEL)
def RtlFreeOemString(k: Kernel, OemString: int) -> None:
    """WDK: "RtlFreeOemString function (ntifs.h)"."""
    RtlFreeUnicodeString(k, OemString)


@export("ULONG RtlxOemStringToUnicodeSize(PCOEM_STRING OemString)", irql=PASSIVE_LEVEL)
def RtlxOemStringToUnicodeSize(k: Kernel, OemString: int) -> int:
    """WDK: "RtlxOemStringToUnicodeSize function (ntifs.h)". With the terminator."""
    return 2 * strings.load(k.memory, OemString).length + 2


@export("ULONG RtlxUnicodeStringToOemSize(PCUNICODE_STRING UnicodeString)", irql=PASSIVE_LEVEL)
def RtlxUnicodeStringToOemSize(k: Kernel, UnicodeString: int) -> int:
    """WDK: "RtlxUnicodeStringToOemSize function (ntifs.h)". With the terminator."""
    return strings.load(k.memory, UnicodeString).length // 2 + 1


@export("BOOLEAN RtlIsValidOemCharacter(PWCHAR Char)", irql=PASSIVE_LEVEL)
def RtlIsValidOemCharacter(k: Kernel, Char: int) -> bool:
    """WDK: "RtlIsValidOemCharacter function (ntifs.h)". Char becomes its upper-case OEM form."""
    raw, there = _upcased(k.memory.read(Char, 2))
    if there:
        k.memory.write(Char, nls.oem_to_unicode(raw))
    return there


# -- blocks ------------------------------------------------------------------------------------


def _put(k: Kernel, target: int, room: int, raw: bytes, stored: int) -> int:
    kept = raw[:room]
    strings.write_block(k.memory, target, kept)
    if stored:
        k.memory.set_u32(stored, len(kept))
    return SUCCESS if len(kept) == len(raw) else strings.BUFFER_OVERFLOW


@export(
    "NTSTATUS RtlOemToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, "
    "PULONG BytesInUnicodeString, PCCH OemString, ULONG BytesInOemString)",
    irql=APC_LEVEL,
)
def RtlOemToUnicodeN(
    k: Kernel,
    UnicodeString: int,
    MaxBytesInUnicodeString: int,
    BytesInUnicodeString: int,
    OemString: int,
    BytesInOemString: int,
) -> int:
    """WDK: "RtlOemToUnicodeN function (ntifs.h)". STATUS_BUFFER_OVERFLOW where it is cut."""
    text = nls.oem_to_unicode(strings.read_block(k.memory, OemString, BytesInOemString))
    return _put(k, UnicodeString, MaxBytesInUnicodeString & ~1, text, BytesInUnicodeString)


@export(
    "NTSTATUS RtlUnicodeToOemN(PCHAR OemString, ULONG MaxBytesInOemString, "
    "PULONG BytesInOemString, PCWCH UnicodeString, ULONG BytesInUnicodeString)",
    irql=APC_LEVEL,
)
def RtlUnicodeToOemN(
    k: Kernel,
    OemString: int,
    MaxBytesInOemString: int,
    BytesInOemString: int,
    UnicodeString: int,
    BytesInUnicodeString: int,
) -> int:
    """WDK: "RtlUnicodeToOemN function (ntifs.h)". STATUS_BUFFER_OVERFLOW where it is cut."""
    text = strings.read_block(k.memory, UnicodeString, BytesInUnicodeString & ~1)
    raw = nls.unicode_to_oem(text)[0]
    return _put(k, OemString, MaxBytesInOemString, raw, BytesInOemString)


@export(
    "NTSTATUS RtlUpcaseUnicodeToOemN(PCHAR OemString, ULONG MaxBytesInOemString, "
    "PULONG BytesInOemString, PCWCH UnicodeString, ULONG BytesInUnicodeString)",
    irql=APC_LEVEL,
)
def RtlUpcaseUnicodeToOemN(
    k: Kernel,
    OemString: int,
    MaxBytesInOemString: int,
    BytesInOemString: int,
    UnicodeString: int,
    BytesInUnicodeString: int,
) -> int:
    """WDK: "RtlUpcaseUnicodeToOemN function (ntifs.h)"."""
    raw = _upcased(strings.read_block(k.memory, UnicodeString, BytesInUnicodeString & ~1))[0]
    return _put(k, OemString, MaxBytesInOemString, raw, BytesInOemString)


# -- 8.3 names ---------------------------------------------------------------------------------


@export(
    "BOOLEAN RtlIsNameLegalDOS8Dot3(PCUNICODE_STRING Name, POEM_STRING OemName, "
    "PBOOLEAN NameContainsSpaces)",
    irql=PASSIVE_LEVEL,
)
def RtlIsNameLegalDOS8Dot3(k: Kernel, Name: int, OemName: int, NameContainsSpaces: int) -> bool:
    """WDK: "RtlIsNameLegalDOS8Dot3 function (ntifs.h)".

    OemName gets the upper-case OEM form; NameContainsSpaces is set only for a legal name.
    """
    text = strings.content(k.memory, Name)
    if len(text) > 2 * shortname.LONGEST:
        return False
    raw, all_there = _upcased(text)
    if not all_there:
        return False
    if OemName:
        into = strings.load(k.memory, OemName)
        if len(raw) > into.maximum:
            return False
        strings.set_length(k.memory, OemName, len(raw))
        strings.write_block(k.memory, into.buffer, raw)
    if not shortname.legal(raw):
        return False
    if NameContainsSpaces:
        k.memory.set_u8(NameContainsSpaces, b" " in raw)
    return True


@export(
    "NTSTATUS RtlGenerate8dot3Name(PCUNICODE_STRING Name, BOOLEAN AllowExtendedCharacters, "
    "PGENERATE_NAME_CONTEXT Context, PUNICODE_STRING Name8dot3)",
    irql=PASSIVE_LEVEL,
)
def RtlGenerate8dot3Name(
    k: Kernel, Name: int, AllowExtendedCharacters: int, Context: int, Name8dot3: int
) -> int:
    """WDK: "RtlGenerate8dot3Name function (ntifs.h)".

    Called again with the same Context, it gives the next name: NAME~1 to NAME~4, then such with
    a checksum of the long name.
    """
    text = strings.content(k.memory, Name)
    context = shortname.Context.load(k.memory.read(Context, shortname.Context.SIZE))
    if not context.started:
        context.start(text, extended=bool(AllowExtendedCharacters))
    name = context.next(text)
    k.memory.write(Context, context.store())
    if not name:
        return const("STATUS_FILE_SYSTEM_LIMITATION")
    into = strings.load(k.memory, Name8dot3)
    raw = name.encode("utf-16-le")
    if len(raw) > into.maximum:
        return strings.BUFFER_OVERFLOW
    strings.set_length(k.memory, Name8dot3, len(raw))
    k.memory.write(into.buffer, raw)
    return SUCCESS
