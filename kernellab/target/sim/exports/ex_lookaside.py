"""Lookaside lists; entries are taken and put back by code that the WDK compiles in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.execution import Steps
from ..kernel.structs import const
from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_PAGED: Final = 1
_DEPTH: Final = "the depth does not adapt: it stays 4"


@export(
    "VOID ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, "
    "PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, "
    "USHORT Depth)",
    irql=DISPATCH_LEVEL,
    simplified=_DEPTH,
)
def ExInitializeNPagedLookasideList(
    k: Kernel, Lookaside: int, Allocate: int, Free: int, Flags: int, Size: int, Tag: int, Depth: int
) -> None:
    """WDK: "ExInitializeNPagedLookasideList function (wdm.h)"."""
    k.lookaside.initialize(Lookaside, Allocate, Free, Flags, Size, Tag)


@export(
    "VOID ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, "
    "PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, "
    "USHORT Depth)",
    irql=APC_LEVEL,
    simplified=_DEPTH,
)
def ExInitializePagedLookasideList(
    k: Kernel, Lookaside: int, Allocate: int, Free: int, Flags: int, Size: int, Tag: int, Depth: int
) -> None:
    """WDK: "ExInitializePagedLookasideList function (wdm.h)"."""
    k.lookaside.initialize(Lookaside, Allocate, Free, Flags | _PAGED, Size, Tag)


@export(
    "NTSTATUS ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, "
    "PALLOCATE_FUNCTION_EX Allocate, PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, "
    "SIZE_T Size, ULONG Tag, USHORT Depth)",
    irql=DISPATCH_LEVEL,
    simplified=_DEPTH,
)
def ExInitializeLookasideListEx(
    k: Kernel,
    Lookaside: int,
    Allocate: int,
    Free: int,
    PoolType: int,
    Flags: int,
    Size: int,
    Tag: int,
    Depth: int,
) -> int:
    """WDK: "ExInitializeLookasideListEx function (wdm.h)"."""
    raises = const("EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL")
    fails = const("EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE")
    if Flags & ~(raises | fails) or Flags == raises | fails:
        return const("STATUS_INVALID_PARAMETER_5")
    if Depth:
        return const("STATUS_INVALID_PARAMETER_8")
    kind = PoolType
    if Flags & raises:
        kind |= const("POOL_RAISE_IF_ALLOCATION_FAILURE")
    if Flags & fails:
        kind |= const("POOL_QUOTA_FAIL_INSTEAD_OF_RAISE")
    k.lookaside.initialize(Lookaside, Allocate, Free, kind, Size, Tag, extended=True)
    return 0


@export("VOID ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)", irql=DISPATCH_LEVEL)
def ExDeleteNPagedLookasideList(k: Kernel, Lookaside: int) -> Steps:
    """WDK: "ExDeleteNPagedLookasideList function (wdm.h)": what is in it is freed."""
    return k.lookaside.delete(Lookaside)


@export("VOID ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)", irql=APC_LEVEL)
def ExDeletePagedLookasideList(k: Kernel, Lookaside: int) -> Steps:
    """WDK: "ExDeletePagedLookasideList function (wdm.h)"."""
    return k.lookaside.delete(Lookaside)


@export("VOID ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)", irql=DISPATCH_LEVEL)
def ExDeleteLookasideListEx(k: Kernel, Lookaside: int) -> Steps:
    """WDK: "ExDeleteLookasideListEx function (wdm.h)"."""
    return k.lookaside.delete(Lookaside)


@export("VOID ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)", irql=DISPATCH_LEVEL)
def ExFlushLookasideListEx(k: Kernel, Lookaside: int) -> Steps:
    """WDK: "ExFlushLookasideListEx function (wdm.h)": it can be used on."""
    return k.lookaside.flush(Lookaside)
