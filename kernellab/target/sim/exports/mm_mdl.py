"""Memory descriptor lists. What they do is in :mod:`..kernel.mdl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import RaisedStatus
from ..kernel.mdl_map import MAPPED, spanned
from ..kernel.pool import tell_allocated
from ..kernel.structs import Struct, const, size_of
from ..kernel.uservm import VmError, protection
from ..machine.memory import PAGE, OutOfMemory
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_MDL_TAG: Final = int.from_bytes(b"Mdl ", "little")
_UNCACHED: Final = "all memory is cached, whatever the caching type"


@export(
    "PMDL IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, "
    "BOOLEAN ChargeQuota, PIRP Irp)",
    irql=DISPATCH_LEVEL,
)
def IoAllocateMdl(
    k: Kernel, VirtualAddress: int, Length: int, SecondaryBuffer: int, ChargeQuota: int, Irp: int
) -> int:
    """WDK: "IoAllocateMdl function (wdm.h)". A secondary one goes to the end of the IRP's chain."""
    mdl = k.mdl.allocate(VirtualAddress, Length, owner=k.caller())
    if mdl and Irp:
        irp = Struct(k.memory, "IRP", Irp)
        if not SecondaryBuffer:
            irp["MdlAddress"] = mdl
        else:
            at = irp.at("MdlAddress")
            while following := k.memory.u64(at):
                at = Struct(k.memory, "MDL", following).at("Next")
            k.memory.set_u64(at, mdl)
    return mdl


@export("VOID IoFreeMdl(PMDL Mdl)", irql=DISPATCH_LEVEL)
def IoFreeMdl(k: Kernel, Mdl: int) -> None:
    """WDK: "IoFreeMdl function (wdm.h)"."""
    k.mdl.free(Mdl)


@export("SIZE_T MmSizeOfMdl(PVOID Base, SIZE_T Length)", irql=HIGH_LEVEL)
def MmSizeOfMdl(k: Kernel, Base: int, Length: int) -> int:
    """WDK: "MmSizeOfMdl function (wdm.h)"."""
    return size_of("MDL") + 8 * spanned(Base, Length)


@export("VOID MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList)", irql=DISPATCH_LEVEL)
def MmBuildMdlForNonPagedPool(k: Kernel, MemoryDescriptorList: int) -> None:
    """WDK: "MmBuildMdlForNonPagedPool function (wdm.h)"."""
    k.mdl.build_for_nonpaged(MemoryDescriptorList)


@export(
    "VOID IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length)",
    irql=DISPATCH_LEVEL,
)
def IoBuildPartialMdl(
    k: Kernel, SourceMdl: int, TargetMdl: int, VirtualAddress: int, Length: int
) -> None:
    """WDK: "IoBuildPartialMdl function (wdm.h)"."""
    k.mdl.build_partial(SourceMdl, TargetMdl, VirtualAddress, Length)


@export(
    "VOID MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, "
    "LOCK_OPERATION Operation)",
    irql=DISPATCH_LEVEL,
)
def MmProbeAndLockPages(
    k: Kernel, MemoryDescriptorList: int, AccessMode: int, Operation: int
) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)": at APC_LEVEL at most for pageable addresses."""
    _lock(k, MemoryDescriptorList, AccessMode, Operation, "MmProbeAndLockPages")


@export(
    "VOID MmProbeAndLockProcessPages(PMDL MemoryDescriptorList, PEPROCESS Process, "
    "KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation)",
    irql=APC_LEVEL,
)
def MmProbeAndLockProcessPages(
    k: Kernel, MemoryDescriptorList: int, Process: int, AccessMode: int, Operation: int
) -> None:
    """WDK: "MmProbeAndLockProcessPages function (ntddk.h)": the addresses are the process's."""
    if Process not in k.ps.process_objects:
        k.ob.get(Process)
    _lock(k, MemoryDescriptorList, AccessMode, Operation, "MmProbeAndLockProcessPages", Process)


def _lock(k: Kernel, mdl: int, mode: int, operation: int, name: str, process: int = 0) -> None:
    if k.irql > APC_LEVEL and k.pageable(k.mdl.address(mdl)):
        k.tell("called-above-irql", f"{name} (for pageable memory)", APC_LEVEL)
    write = operation != const("IoReadAccess")
    whose = k.ps.process_objects.get(process)
    k.mdl.probe_and_lock(mdl, user=bool(mode), write=write, process=whose, owner=k.caller())


@export("VOID MmUnlockPages(PMDL MemoryDescriptorList)", irql=DISPATCH_LEVEL)
def MmUnlockPages(k: Kernel, MemoryDescriptorList: int) -> None:
    """WDK: "MmUnlockPages function (wdm.h)": takes a mapping in system space away too."""
    k.mdl.unlock(MemoryDescriptorList)


@export(
    "PVOID MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, "
    "MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress, ULONG BugCheckOnFailure, "
    "ULONG Priority)",
    irql=DISPATCH_LEVEL,
    simplified=_UNCACHED,
)
def MmMapLockedPagesSpecifyCache(
    k: Kernel,
    MemoryDescriptorList: int,
    AccessMode: int,
    CacheType: int,
    RequestedAddress: int,
    BugCheckOnFailure: int,
    Priority: int,
) -> int:
    """WDK: "MmMapLockedPagesSpecifyCache function (wdm.h)".

    Into user space at APC_LEVEL at most, and a failure there is an exception.
    """
    if AccessMode and k.irql > APC_LEVEL:
        k.tell("called-above-irql", "MmMapLockedPagesSpecifyCache (for user mode)", APC_LEVEL)
    try:
        at = k.mdl.map(
            MemoryDescriptorList,
            user=bool(AccessMode),
            requested=RequestedAddress if AccessMode else 0,
            write=not Priority & const("MdlMappingNoWrite"),
            execute=not Priority & const("MdlMappingNoExecute"),
            owner=k.caller(),
        )
    except VmError as error:
        message = "MmMapLockedPagesSpecifyCache found no room in the process"
        raise RaisedStatus(error.status, message) from None
    if not at and BugCheckOnFailure:
        raise BugCheck(
            *("NO_MORE_SYSTEM_PTES", 0, k.mdl.count(MemoryDescriptorList)),
            message="There was no room to map an MDL, and the driver asked for a bug check then.",
        )
    return at


@export(
    "PVOID MmMapLockedPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode)",
    irql=DISPATCH_LEVEL,
)
def MmMapLockedPages(k: Kernel, MemoryDescriptorList: int, AccessMode: int) -> int:
    """WDK: "MmMapLockedPages function (wdm.h)": a failure is a bug check, or raises for users."""
    return int(
        MmMapLockedPagesSpecifyCache(
            *(k, MemoryDescriptorList, AccessMode, const("MmCached"), 0, 1, 0)
        )
    )


@export(
    "VOID MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList)", irql=DISPATCH_LEVEL
)
def MmUnmapLockedPages(k: Kernel, BaseAddress: int, MemoryDescriptorList: int) -> None:
    """WDK: "MmUnmapLockedPages function (wdm.h)"; "Bug Check 0xDA: SYSTEM_PTE_MISUSE"."""
    k.mdl.unmap(BaseAddress, MemoryDescriptorList)


@export(
    "NTSTATUS MmProtectMdlSystemAddress(PMDL MemoryDescriptorList, ULONG NewProtect)",
    irql=DISPATCH_LEVEL,
)
def MmProtectMdlSystemAddress(k: Kernel, MemoryDescriptorList: int, NewProtect: int) -> int:
    """WDK: "MmProtectMdlSystemAddress function (wdm.h)"."""
    mdl = Struct(k.memory, "MDL", MemoryDescriptorList)
    mapping = k.mdl.mappings.get(mdl["MappedSystemVa"] & -PAGE)
    if not mdl["MdlFlags"] & MAPPED or mapping is None or mapping.mdl != MemoryDescriptorList:
        return const("STATUS_NOT_MAPPED_VIEW")
    try:
        allowed = protection(NewProtect)
    except VmError as error:
        return error.status
    at, frames = mapping.address, list(mapping.frames)
    if k.memory.page(at) is not None:
        k.memory.unmap(at, len(frames), release=False)
    if allowed.read:
        k.memory.map(at, len(frames), write=allowed.write, execute=allowed.execute, physical=frames)
    return 0


# -- pages that belong to an MDL ------------------------------------------------------------------


@export(
    "PMDL MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, "
    "PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType, ULONG Flags)",
    irql=DISPATCH_LEVEL,
    simplified=_UNCACHED,
)
def MmAllocatePagesForMdlEx(
    k: Kernel,
    LowAddress: int,
    HighAddress: int,
    SkipBytes: int,
    TotalBytes: int,
    CacheType: int,
    Flags: int,
) -> int:
    """WDK: "MmAllocatePagesForMdlEx function (wdm.h)". Perhaps fewer pages than were asked for."""
    count = -(-TotalBytes // PAGE)
    if not count or count > 0xFFFF_FFFF // PAGE:
        return 0
    chunk = 1
    if Flags & const("MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS"):
        chunk = SkipBytes // PAGE or count
        if (chunk & (chunk - 1) and SkipBytes) or count % chunk:
            return 0
    low, high, skip = LowAddress, HighAddress, SkipBytes if chunk == 1 else 0
    frames: list[int] = []
    while len(frames) < count:
        # With a distance, the next range of addresses is tried when one has no more pages.
        found = _pages(k, low, high, chunk)
        if found is None and skip and low + skip < k.memory.size:
            low, high = low + skip, high + skip
            continue
        if found is None:
            break
        frames += found
    fully = Flags & const("MM_ALLOCATE_FULLY_REQUIRED")
    mdl = 0
    if frames and not (fully and len(frames) < count):
        room = size_of("MDL") + 8 * len(frames)
        mdl = k.pool.allocate(room, _MDL_TAG, owner=k.caller())
    if not mdl:
        for frame in frames:
            k.memory.release(frame)
        return 0
    tell_allocated(k, mdl)
    if Flags & const("MM_DONT_ZERO_ALLOCATION"):
        for frame in frames:
            k.memory.write_physical(frame, bytes([k.pool.fill]) * PAGE)
    k.mdl.initialize(mdl, 0, len(frames) * PAGE)
    k.mdl.hold(mdl, frames, k.caller())
    return mdl


def _pages(k: Kernel, low: int, high: int, count: int) -> list[int] | None:
    try:
        first = k.memory.allocate_within(low, high, count)
    except OutOfMemory:
        return None
    return [first + PAGE * n for n in range(count)]


@export(
    "PMDL MmAllocatePagesForMdl(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, "
    "PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes)",
    irql=DISPATCH_LEVEL,
)
def MmAllocatePagesForMdl(
    k: Kernel, LowAddress: int, HighAddress: int, SkipBytes: int, TotalBytes: int
) -> int:
    """WDK: "MmAllocatePagesForMdl function (wdm.h)": zeroed pages."""
    return int(
        MmAllocatePagesForMdlEx(
            *(k, LowAddress, HighAddress, SkipBytes, TotalBytes, const("MmCached"), 0)
        )
    )


@export("VOID MmFreePagesFromMdl(PMDL MemoryDescriptorList)", irql=DISPATCH_LEVEL)
def MmFreePagesFromMdl(k: Kernel, MemoryDescriptorList: int) -> None:
    """WDK: "MmFreePagesFromMdl function (wdm.h)". The MDL itself is freed with ExFreePool."""
    lock = k.mdl.locks.get(MemoryDescriptorList)
    allocation = k.pool.live.get(MemoryDescriptorList)
    if lock is None or allocation is None or MemoryDescriptorList in k.mdl.live:
        pfns = k.mdl.frames(MemoryDescriptorList)
        raise BugCheck(
            *("PFN_LIST_CORRUPT", 7, pfns[0] // PAGE if pfns else 0),
            message="MmFreePagesFromMdl was given an MDL whose pages were freed already, or that "
            "MmAllocatePagesForMdl did not make.",
        )
    k.mdl.unlock(MemoryDescriptorList)
    for frame in lock.frames:
        k.memory.release(frame)


# -- reserved mappings ----------------------------------------------------------------------------


@export("PVOID MmAllocateMappingAddress(SIZE_T NumberOfBytes, ULONG PoolTag)", irql=APC_LEVEL)
def MmAllocateMappingAddress(k: Kernel, NumberOfBytes: int, PoolTag: int) -> int:
    """WDK: "MmAllocateMappingAddress function (wdm.h)"."""
    pages = -(-NumberOfBytes // PAGE)
    if not pages:
        raise BugCheck(
            *("SYSTEM_PTE_MISUSE", 0x100, 0, PoolTag, k.memory.u64(k.flow.trap_rsp)),
            message="MmAllocateMappingAddress was asked for 0 bytes.",
        )
    return k.mdl.reserve_mapping(pages, PoolTag, k.caller())


@export("VOID MmFreeMappingAddress(PVOID BaseAddress, ULONG PoolTag)", irql=APC_LEVEL)
def MmFreeMappingAddress(k: Kernel, BaseAddress: int, PoolTag: int) -> None:
    """WDK: "MmFreeMappingAddress function (wdm.h)"; "Bug Check 0xDA: SYSTEM_PTE_MISUSE"."""
    reserved = k.mdl.reserved.get(BaseAddress)
    if reserved is None:
        raise _misuse(0x102, "freed that was not reserved", BaseAddress, PoolTag)
    if reserved.tag != PoolTag:
        raise _misuse(0x101, "freed with another tag", BaseAddress, PoolTag, reserved.tag)
    if BaseAddress in k.mdl.mappings:
        raise _misuse(0x103, "freed that is still mapped", BaseAddress, PoolTag, reserved.pages)
    k.mdl.free_mapping(reserved)


@export(
    "PVOID MmMapLockedPagesWithReservedMapping(PVOID MappingAddress, ULONG PoolTag, "
    "PMDL MemoryDescriptorList, MEMORY_CACHING_TYPE CacheType)",
    irql=DISPATCH_LEVEL,
    simplified=_UNCACHED,
)
def MmMapLockedPagesWithReservedMapping(
    k: Kernel, MappingAddress: int, PoolTag: int, MemoryDescriptorList: int, CacheType: int
) -> int:
    """WDK: "MmMapLockedPagesWithReservedMapping function (wdm.h)". NULL when it is too small."""
    reserved = k.mdl.reserved.get(MappingAddress)
    if reserved is None:
        raise _misuse(0x105, "used that was not reserved", MappingAddress, PoolTag)
    if reserved.tag != PoolTag:
        raise _misuse(0x104, "used with another tag", MappingAddress, PoolTag, reserved.tag)
    if MappingAddress in k.mdl.mappings:
        last = MappingAddress + (reserved.pages - 1) * PAGE
        raise _misuse(0x107, "used that is mapped already", MappingAddress, MappingAddress, last)
    if k.mdl.count(MemoryDescriptorList) > reserved.pages:
        return 0
    return k.mdl.map(MemoryDescriptorList, at=MappingAddress, owner=k.caller())


@export(
    "VOID MmUnmapReservedMapping(PVOID BaseAddress, ULONG PoolTag, PMDL MemoryDescriptorList)",
    irql=DISPATCH_LEVEL,
)
def MmUnmapReservedMapping(
    k: Kernel, BaseAddress: int, PoolTag: int, MemoryDescriptorList: int
) -> None:
    """WDK: "MmUnmapReservedMapping function (wdm.h)"; "Bug Check 0xDA: SYSTEM_PTE_MISUSE"."""
    base = BaseAddress & -PAGE
    reserved = k.mdl.reserved.get(base)
    count = k.mdl.count(MemoryDescriptorList)
    if reserved is None:
        raise _misuse(0x109, "unmapped that was not reserved", BaseAddress, PoolTag)
    if reserved.tag != PoolTag:
        raise _misuse(0x108, "unmapped with another tag", BaseAddress, PoolTag, reserved.tag)
    if count > reserved.pages:
        raise _misuse(0x10A, "unmapped beyond its end", BaseAddress, reserved.pages, count)
    if base not in k.mdl.mappings:
        raise _misuse(0x10B, "unmapped that is not mapped", BaseAddress, PoolTag, count)
    k.mdl.unmap(BaseAddress, MemoryDescriptorList)


def _misuse(kind: int, what: str, *parameters: int) -> BugCheck:
    message = f"A range of addresses of MmAllocateMappingAddress was {what}."
    return BugCheck("SYSTEM_PTE_MISUSE", kind, *parameters, message=message)
