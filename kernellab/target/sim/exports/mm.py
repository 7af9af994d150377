"""Memory management: what of it the core has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.structs import read_unicode_string
from ..kernel.uservm import PROBE_LIMIT
from ..machine.memory import HIGHEST_USER, KERNEL_START
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export, export_data

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("PVOID MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)", irql=PASSIVE_LEVEL)
def MmGetSystemRoutineAddress(k: Kernel, SystemRoutineName: int) -> int:
    """WDK: "MmGetSystemRoutineAddress function (wdm.h)": by exact name, else NULL."""
    return k.export_address(read_unicode_string(k.memory, SystemRoutineName))


@export("BOOLEAN MmIsAddressValid(PVOID VirtualAddress)", irql=DISPATCH_LEVEL)
def MmIsAddressValid(k: Kernel, VirtualAddress: int) -> bool:
    """WDK: "MmIsAddressValid function (ntddk.h)"."""
    return k.memory.page(VirtualAddress) is not None


export_data("MmHighestUserAddress", lambda k: HIGHEST_USER.to_bytes(8, "little"))
export_data("MmSystemRangeStart", lambda k: KERNEL_START.to_bytes(8, "little"))
export_data("MmUserProbeAddress", lambda k: PROBE_LIMIT.to_bytes(8, "little"))
