"""Pool allocation: ExAllocatePool2 and the routines before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import pool_damage
from ..kernel.bugcheck import BugCheck
from ..kernel.execution import RaisedStatus
from ..kernel.pool import tell_allocated
from ..kernel.structs import const, size_of
from ..machine.memory import PAGE
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ANY_TAG: Final = int.from_bytes(b"None", "little")
_GUARDED: Final = (
    "each allocation has pages of its own, ends at an unmapped page, and its address is never "
    "used again"
)
_NO_QUOTA: Final = f"{_GUARDED}; quotas are not charged"
# POOL_TYPE: the lowest bit says paged, 4 aligned to a cache line, 0x200 (NonPagedPoolNx) not
# executable.
_PAGED: Final = 1
_ALIGNED: Final = 4
#: POOL_HEADER's size: it lies before what does not begin on a page.
_POOL_HEADER: Final = 16
_CACHE_LINE: Final = 64
_QUOTA_FAILS: Final = const("POOL_QUOTA_FAIL_INSTEAD_OF_RAISE")
_RAISE: Final = const("POOL_RAISE_IF_ALLOCATION_FAILURE")
_NX: Final = const("POOL_NX_ALLOCATION")
_ZERO: Final = const("POOL_ZERO_ALLOCATION")
# POOL_FLAGS, and what the three pools of ExAllocatePool2 are: paged, executable.
_POOLS: Final = {
    const("POOL_FLAG_NON_PAGED"): (False, False),
    const("POOL_FLAG_NON_PAGED_EXECUTE"): (False, True),
    const("POOL_FLAG_PAGED"): (True, False),
}
_ANY_POOL: Final = sum(_POOLS)
_UNINITIALIZED: Final = const("POOL_FLAG_UNINITIALIZED")
_CACHE_ALIGNED: Final = const("POOL_FLAG_CACHE_ALIGNED")
_RAISE_ON_FAILURE: Final = const("POOL_FLAG_RAISE_ON_FAILURE")


def _allocate(
    k: Kernel,
    size: int,
    tag: int,
    *,
    paged: bool,
    zero: bool,
    execute: bool = False,
    aligned: bool = False,
    guard: str = "",
) -> int:
    # Without unpacking, which takes as long as the call: drivers allocate all the time.
    address = k.pool.allocate(
        size,
        tag,
        paged=paged,
        zero=zero,
        owner=k.caller(),
        execute=execute,
        align=_CACHE_LINE if aligned else 16,
        guard=guard,
    )
    if address:
        tell_allocated(k, address)
    return address


def _by_type(k: Kernel, kind: int, size: int, tag: int, *, fails: bool, guard: str = "") -> int:
    """Allocate as a POOL_TYPE says; raises where it says so, or where ``fails`` is false."""
    paged = bool(kind & _PAGED)
    address = _allocate(
        k,
        size,
        tag,
        paged=paged,
        zero=bool(kind & _ZERO),
        execute=not paged and not kind & _NX,
        aligned=bool(kind & _ALIGNED),
        guard=guard,
    )
    if not address and (kind & _RAISE or not fails):
        raise _failed(size)
    return address


def _by_flags(k: Kernel, flags: int, size: int, tag: int, guard: str = "") -> int:
    """Allocate as POOL_FLAG_… say."""
    chosen = _POOLS.get(flags & _ANY_POOL)  # exactly one of them
    address = 0
    if size and tag and chosen is not None:
        paged, execute = chosen
        address = _allocate(
            k,
            size,
            tag,
            paged=paged,
            zero=not flags & _UNINITIALIZED,
            execute=execute,
            aligned=bool(flags & _CACHE_ALIGNED),
            guard=guard,
        )
    if not address and flags & _RAISE_ON_FAILURE:
        raise _failed(size)
    return address


def _failed(size: int) -> RaisedStatus:
    return RaisedStatus(
        const("STATUS_INSUFFICIENT_RESOURCES"),
        f"An allocation of {size} bytes failed, and raised an exception as it was asked to.",
    )


@export(
    "PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified=_NO_QUOTA,
)
def ExAllocatePool2(k: Kernel, Flags: int, NumberOfBytes: int, Tag: int) -> int:
    """WDK: "ExAllocatePool2 function (wdm.h)". Zeroed unless POOL_FLAG_UNINITIALIZED.

    A size or tag of 0 and flags without a pool fail; POOL_FLAG_RAISE_ON_FAILURE raises
    STATUS_INSUFFICIENT_RESOURCES.
    """
    return _by_flags(k, Flags, NumberOfBytes, Tag)


#: POOL_EXTENDED_PARAMETER_TYPE.
_PRIORITY, _SECURE, _NODE = 1, 2, 3


@export(
    "PVOID ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag, "
    "PCPOOL_EXTENDED_PARAMETER ExtendedParameters, ULONG ExtendedParametersCount)",
    irql=DISPATCH_LEVEL,
    simplified=f"{_NO_QUOTA}; there is no secure pool",
)
def ExAllocatePool3(
    k: Kernel,
    Flags: int,
    NumberOfBytes: int,
    Tag: int,
    ExtendedParameters: int,
    ExtendedParametersCount: int,
) -> int:
    """WDK: "ExAllocatePool3 function (wdm.h)". Unknown parameters fail unless they are optional."""
    guard = ""
    for index in range(ExtendedParametersCount):
        at = ExtendedParameters + index * size_of("POOL_EXTENDED_PARAMETER")
        head = k.memory.u64(at)
        kind, optional = head & 0xFF, head >> 8 & 1
        if kind == _PRIORITY:
            guard = _side(k.memory.u32(at + 8))
        elif kind != _NODE and not optional:  # there is one node, so any is served
            return 0
    return _by_flags(k, Flags, NumberOfBytes, Tag, guard)


def _side(priority: int) -> str:
    """EX_POOL_PRIORITY: which side of the allocation shall be guarded, where it says so."""
    return {8: "after", 9: "before"}.get(priority & 0xF, "")


@export(
    "PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified=_GUARDED,
)
def ExAllocatePoolWithTag(k: Kernel, PoolType: int, NumberOfBytes: int, Tag: int) -> int:
    """WDK: "ExAllocatePoolWithTag function (wdm.h)". Zeroed only with POOL_ZERO_ALLOCATION."""
    return _by_type(k, PoolType, NumberOfBytes, Tag, fails=True)


@export(
    "PVOID ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, "
    "EX_POOL_PRIORITY Priority)",
    irql=DISPATCH_LEVEL,
    simplified=f"{_GUARDED}; of the priority only the side to guard (SpecialPoolUnderrun) counts",
)
def ExAllocatePoolWithTagPriority(
    k: Kernel, PoolType: int, NumberOfBytes: int, Tag: int, Priority: int
) -> int:
    """WDK: "ExAllocatePoolWithTagPriority function (wdm.h)"."""
    return _by_type(k, PoolType, NumberOfBytes, Tag, fails=True, guard=_side(Priority))


@export(
    "PVOID ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified=_NO_QUOTA,
)
def ExAllocatePoolWithQuotaTag(k: Kernel, PoolType: int, NumberOfBytes: int, Tag: int) -> int:
    """WDK: "ExAllocatePoolWithQuotaTag function (wdm.h)": a failure raises, unless told not to."""
    return _by_type(k, PoolType, NumberOfBytes, Tag, fails=bool(PoolType & _QUOTA_FAILS))


@export(
    "PVOID ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)",
    irql=DISPATCH_LEVEL,
    simplified=_NO_QUOTA,
)
def ExAllocatePoolWithQuota(k: Kernel, PoolType: int, NumberOfBytes: int) -> int:
    """WDK: "ExAllocatePoolWithQuota function (wdm.h)". The tag is 'None'."""
    return _by_type(k, PoolType, NumberOfBytes, _ANY_TAG, fails=bool(PoolType & _QUOTA_FAILS))


@export(
    "PVOID ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)",
    irql=DISPATCH_LEVEL,
    simplified=_GUARDED,
)
def ExAllocatePool(k: Kernel, PoolType: int, NumberOfBytes: int) -> int:
    """WDK: "ExAllocatePool function (wdm.h)". The tag is 'None'."""
    return _by_type(k, PoolType, NumberOfBytes, _ANY_TAG, fails=True)


@export("VOID ExFreePool(PVOID P)", irql=DISPATCH_LEVEL)
def ExFreePool(k: Kernel, P: int) -> None:
    """WDK: "ExFreePool macro (wdm.h)": ExFreePoolWithTag with a tag of 0."""
    ExFreePoolWithTag(k, P, 0)


@export("VOID ExFreePoolWithTag(PVOID P, ULONG Tag)", irql=DISPATCH_LEVEL)
def ExFreePoolWithTag(k: Kernel, P: int, Tag: int) -> None:
    """WDK: "ExFreePoolWithTag function (wdm.h)"; "Bug Check 0xC2: BAD_POOL_CALLER".

    What was written outside of the allocation, and no rule reports, is 0x19 or 0xC1.
    """
    allocation = k.pool.live.get(P)
    if allocation is None:
        raise _bad_free(k, P)
    if Tag and allocation.tag != Tag:
        given = Tag.to_bytes(4, "little").decode("latin-1")
        raise BugCheck(
            *("BAD_POOL_CALLER", 0xA, P, allocation.tag, Tag),
            message=f"Pool with tag '{allocation.tag_text}' was freed with the tag {given!r}.",
        )
    if not allocation.owner:
        raise BugCheck(
            *("BAD_POOL_CALLER", 0x46, P),
            message="The driver freed memory that belongs to the kernel.",
        )
    if allocation.paged:
        k.tell("paged-pool-freeing", allocation)
    k.tell("pool-freeing", allocation)
    pool_damage.check(k, allocation)
    k.pool.free(allocation)


@export(
    "VOID ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters, "
    "ULONG ExtendedParametersCount)",
    irql=DISPATCH_LEVEL,
)
def ExFreePool2(
    k: Kernel, P: int, Tag: int, ExtendedParameters: int, ExtendedParametersCount: int
) -> None:
    """WDK: "ExFreePool2 function (wdm.h)". The parameters are for secure pool only."""
    ExFreePoolWithTag(k, P, Tag)


def _bad_free(k: Kernel, address: int) -> BugCheck:
    """Bug Check 0xC2: BAD_POOL_CALLER; Bug Check 0xC5: DRIVER_CORRUPTED_EXPOOL."""
    freed = k.pool.freed.get(address)
    if freed is not None:
        return BugCheck(
            *("BAD_POOL_CALLER", 7, 0, freed.tag, address),
            message=f"{freed.size} bytes of pool with tag '{freed.tag_text}' were freed twice.",
        )
    near = k.pool.near(address) if address else None
    header = address - _POOL_HEADER
    if k.irql >= DISPATCH_LEVEL and address % PAGE and not k.memory.page(header):
        return BugCheck(
            *("DRIVER_CORRUPTED_EXPOOL", header, k.irql, 0, k.stub_of("ExFreePoolWithTag")),
            message=f"The driver freed {address:#x} at IRQL {k.irql}, and no memory is mapped "
            "there: the pool's routine could not read its header.",
        )
    where = ""
    if near is not None and not near[1]:
        where = f": it is {address - near[0].address} bytes into an allocation"
    return BugCheck(
        *("BAD_POOL_CALLER", 0x46, address),
        message=f"The driver freed {address:#x}, which no allocation begins at{where}.",
    )
