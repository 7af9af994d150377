"""What text takes in another form, by the names that the headers' macros do not use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import nls, strings
from .registry import PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("ULONG RtlAnsiStringToUnicodeSize(PCANSI_STRING AnsiString)", irql=PASSIVE_LEVEL)
def RtlAnsiStringToUnicodeSize(k: Kernel, AnsiString: int) -> int:
    """WDK: "RtlAnsiStringToUnicodeSize macro (wdm.h)"; the kernel exports it as well."""
    return len(nls.ansi_to_unicode(strings.content(k.memory, AnsiString))) + 2


@export("ULONG RtlUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString)", irql=PASSIVE_LEVEL)
def RtlUnicodeStringToAnsiSize(k: Kernel, UnicodeString: int) -> int:
    """WDK: "RtlUnicodeStringToAnsiSize macro (wdm.h)"; the kernel exports it as well."""
    return len(nls.unicode_to_ansi(strings.content(k.memory, UnicodeString))) + 1


@export("ULONG RtlOemStringToUnicodeSize(PCOEM_STRING OemString)", irql=PASSIVE_LEVEL)
def RtlOemStringToUnicodeSize(k: Kernel, OemString: int) -> int:
    """WDK: "RtlOemStringToUnicodeSize macro (ntifs.h)"; the kernel exports it as well."""
    return 2 * strings.load(k.memory, OemString).length + 2


@export("ULONG RtlUnicodeStringToOemSize(PCUNICODE_STRING UnicodeString)", irql=PASSIVE_LEVEL)
def RtlUnicodeStringToOemSize(k: Kernel, UnicodeString: int) -> int:
    """WDK: "RtlUnicodeStringToOemSize macro (ntifs.h)"; the kernel exports it as well."""
    return strings.load(k.memory, UnicodeString).length // 2 + 1
