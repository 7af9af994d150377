"""Pool allocation: ExAllocatePool2 and the routines before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import RaisedStatus
from ..kernel.structs import const
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ANY_TAG: Final = int.from_bytes(b"None", "little")
_GUARDED: Final = (
    "each allocation has pages of its own, ends at an unmapped page, and its address is never "
    "used again"
)
# POOL_TYPE: the lowest bit says paged; 0x200 (NonPagedPoolNx) says not executable.
_PAGED: Final = 1
_NX: Final = 0x200
_RAISE: Final = 0x10  # POOL_RAISE_IF_ALLOCATION_FAILURE


def _allocate(
    k: Kernel, size: int, tag: int, *, paged: bool, zero: bool, execute: bool = False
) -> int:
    address = k.pool.allocate(size, tag, paged=paged, zero=zero, owner=k.caller(), execute=execute)
    if address:
        k.tell("pool-allocated", k.pool.live[address])
    return address


@export(
    "PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified=_GUARDED,
)
def ExAllocatePool2(k: Kernel, Flags: int, NumberOfBytes: int, Tag: int) -> int:
    """WDK: "ExAllocatePool2 function (wdm.h)". Zeroed unless POOL_FLAG_UNINITIALIZED.

    A size or tag of 0 and flags without a pool fail; POOL_FLAG_RAISE_ON_FAILURE raises
    STATUS_INSUFFICIENT_RESOURCES.
    """
    pools = {
        const("POOL_FLAG_NON_PAGED"): (False, False),
        const("POOL_FLAG_NON_PAGED_EXECUTE"): (False, True),
        const("POOL_FLAG_PAGED"): (True, False),
    }
    chosen = [kind for flag, kind in pools.items() if Flags & flag]
    address = 0
    if NumberOfBytes and Tag and len(chosen) == 1:
        paged, execute = chosen[0]
        zero = not Flags & const("POOL_FLAG_UNINITIALIZED")
        address = _allocate(k, NumberOfBytes, Tag, paged=paged, zero=zero, execute=execute)
    if not address and Flags & const("POOL_FLAG_RAISE_ON_FAILURE"):
        raise _failed(NumberOfBytes)
    return address


def _failed(size: int) -> RaisedStatus:
    return RaisedStatus(
        const("STATUS_INSUFFICIENT_RESOURCES"),
        f"An allocation of {size} bytes failed, and raised an exception as it was asked to.",
    )


@export(
    "PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified=_GUARDED,
)
def ExAllocatePoolWithTag(k: Kernel, PoolType: int, NumberOfBytes: int, Tag: int) -> int:
    """WDK: "ExAllocatePoolWithTag function (wdm.h)". The memory is not zeroed."""
    paged = bool(PoolType & _PAGED)
    execute = not paged and not PoolType & _NX
    address = _allocate(k, NumberOfBytes, Tag, paged=paged, zero=False, execute=execute)
    if not address and PoolType & _RAISE:
        raise _failed(NumberOfBytes)
    return address


@export(
    "PVOID ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)",
    irql=DISPATCH_LEVEL,
    simplified=_GUARDED,
)
def ExAllocatePool(k: Kernel, PoolType: int, NumberOfBytes: int) -> int:
    """WDK: "ExAllocatePool function (wdm.h)". The tag is 'None'."""
    address: int = ExAllocatePoolWithTag(k, PoolType, NumberOfBytes, _ANY_TAG)
    return address


@export("VOID ExFreePool(PVOID P)", irql=DISPATCH_LEVEL)
def ExFreePool(k: Kernel, P: int) -> None:
    """WDK: "ExFreePool macro (wdm.h)": ExFreePoolWithTag with a tag of 0."""
    ExFreePoolWithTag(k, P, 0)


@export("VOID ExFreePoolWithTag(PVOID P, ULONG Tag)", irql=DISPATCH_LEVEL)
def ExFreePoolWithTag(k: Kernel, P: int, Tag: int) -> None:
    """WDK: "ExFreePoolWithTag function (wdm.h)"; "Bug Check 0xC2: BAD_POOL_CALLER"."""
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
    k.tell("pool-freeing", allocation)
    k.pool.free(allocation)


def _bad_free(k: Kernel, address: int) -> BugCheck:
    freed = k.pool.freed.get(address)
    if freed is not None:
        return BugCheck(
            *("BAD_POOL_CALLER", 7, 0, freed.tag, address),
            message=f"{freed.size} bytes of pool with tag '{freed.tag_text}' were freed twice.",
        )
    near = k.pool.near(address) if address else None
    where = ""
    if near is not None and not near[1]:
        where = f": it is {address - near[0].address} bytes into an allocation"
    return BugCheck(
        *("BAD_POOL_CALLER", 0x46, address),
        message=f"The driver freed {address:#x}, which no allocation begins at{where}.",
    )
