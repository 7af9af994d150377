"""Memory management: what of it the core has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.structs import const, read_unicode_string
from ..kernel.uservm import PROBE_LIMIT
from ..machine.memory import HIGHEST_USER, KERNEL_START
from .registry import (
    APC_LEVEL,
    DISPATCH_LEVEL,
    HIGH_LEVEL,
    PASSIVE_LEVEL,
    export,
    export_data,
)

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


# -- pageable sections of drivers -----------------------------------------------------------------


@export("PVOID MmLockPagableDataSection(PVOID AddressWithinSection)", irql=APC_LEVEL)
def MmLockPagableDataSection(k: Kernel, AddressWithinSection: int) -> int:
    """WDK: "MmLockPagableDataSection function (ntddk.h)", MmLockPagableCodeSection: a handle."""
    return k.paging.lock(AddressWithinSection)


@export("VOID MmLockPagableSectionByHandle(PVOID ImageSectionHandle)", irql=APC_LEVEL)
def MmLockPagableSectionByHandle(k: Kernel, ImageSectionHandle: int) -> None:
    """WDK: "MmLockPagableSectionByHandle function (ntddk.h)"."""
    k.paging.lock(ImageSectionHandle)


@export("VOID MmUnlockPagableImageSection(PVOID ImageSectionHandle)", irql=APC_LEVEL)
def MmUnlockPagableImageSection(k: Kernel, ImageSectionHandle: int) -> None:
    """WDK: "MmUnlockPagableImageSection function (ntddk.h)"; "Bug Check 0x1A", 0x1010."""
    k.paging.unlock(ImageSectionHandle)


@export("PVOID MmPageEntireDriver(PVOID AddressWithinSection)", irql=APC_LEVEL)
def MmPageEntireDriver(k: Kernel, AddressWithinSection: int) -> int:
    """WDK: "MmPageEntireDriver function (ntddk.h)": where the driver begins."""
    driver = k.driver_at(AddressWithinSection)
    if not driver:
        return 0
    k.paging.page_all(driver)
    return int(k.drivers[driver].base)


@export("VOID MmResetDriverPaging(PVOID AddressWithinSection)", irql=APC_LEVEL)
def MmResetDriverPaging(k: Kernel, AddressWithinSection: int) -> None:
    """WDK: "MmResetDriverPaging function (ntddk.h)": as the sections' names say."""
    k.paging.reset(k.driver_at(AddressWithinSection))


@export("MM_SYSTEMSIZE MmQuerySystemSize(VOID)", irql=HIGH_LEVEL)
def MmQuerySystemSize(k: Kernel) -> int:
    """WDK: "MmQuerySystemSize function (wdm.h)": by the machine's memory."""
    size = k.memory.size >> 20
    names = ("MmSmallSystem", "MmMediumSystem", "MmLargeSystem")
    return const(names[(size >= 256) + (size >= 2048)])
