"""Generic tables on balanced (AVL) trees.

Resident tables may be used at DISPATCH_LEVEL; what is behind the routines is in
:mod:`..kernel.tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.tables import AvlTable
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.execution import Steps
    from ..kernel.kernel import Kernel


@export(
    "VOID RtlInitializeGenericTableAvl(PRTL_AVL_TABLE Table, PVOID CompareRoutine, "
    "PVOID AllocateRoutine, PVOID FreeRoutine, PVOID TableContext)",
    irql=DISPATCH_LEVEL,
)
def RtlInitializeGenericTableAvl(
    k: Kernel,
    Table: int,
    CompareRoutine: int,
    AllocateRoutine: int,
    FreeRoutine: int,
    TableContext: int,
) -> None:
    """WDK: "RtlInitializeGenericTableAvl function (ntddk.h)"."""
    AvlTable(k, Table).initialize(CompareRoutine, AllocateRoutine, FreeRoutine, TableContext)


@export(
    "PVOID RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize, "
    "PBOOLEAN NewElement)",
    irql=DISPATCH_LEVEL,
)
def RtlInsertElementGenericTableAvl(
    k: Kernel, Table: int, Buffer: int, BufferSize: int, NewElement: int
) -> Steps:
    """WDK: "RtlInsertElementGenericTableAvl function (ntddk.h)".

    What is there already stays as it is and is the result.
    """
    return (yield from AvlTable(k, Table).insert(Buffer, BufferSize, NewElement))


@export(
    "PVOID RtlInsertElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, "
    "CLONG BufferSize, PBOOLEAN NewElement, PVOID NodeOrParent, TABLE_SEARCH_RESULT SearchResult)",
    irql=DISPATCH_LEVEL,
)
def RtlInsertElementGenericTableFullAvl(
    k: Kernel,
    Table: int,
    Buffer: int,
    BufferSize: int,
    NewElement: int,
    NodeOrParent: int,
    SearchResult: int,
) -> Steps:
    """WDK: "RtlInsertElementGenericTableFullAvl function (ntddk.h)".

    With what RtlLookupElementGenericTableFullAvl found: nothing is compared.
    """
    found = (NodeOrParent, SearchResult)
    return (yield from AvlTable(k, Table).insert(Buffer, BufferSize, NewElement, found))


@export(
    "BOOLEAN RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)",
    irql=DISPATCH_LEVEL,
)
def RtlDeleteElementGenericTableAvl(k: Kernel, Table: int, Buffer: int) -> Steps:
    """WDK: "RtlDeleteElementGenericTableAvl function (ntddk.h)"."""
    return (yield from AvlTable(k, Table).delete(Buffer))


@export(
    "PVOID RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)",
    irql=DISPATCH_LEVEL,
)
def RtlLookupElementGenericTableAvl(k: Kernel, Table: int, Buffer: int) -> Steps:
    """WDK: "RtlLookupElementGenericTableAvl function (ntddk.h)". NULL where it is not there."""
    return (yield from AvlTable(k, Table).lookup(Buffer))


@export(
    "PVOID RtlLookupElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, "
    "PVOID *NodeOrParent, TABLE_SEARCH_RESULT *SearchResult)",
    irql=DISPATCH_LEVEL,
)
def RtlLookupElementGenericTableFullAvl(
    k: Kernel, Table: int, Buffer: int, NodeOrParent: int, SearchResult: int
) -> Steps:
    """WDK: "RtlLookupElementGenericTableFullAvl function (ntddk.h)"."""
    return (yield from AvlTable(k, Table).lookup(Buffer, NodeOrParent, SearchResult))


@export(
    "PVOID RtlEnumerateGenericTableAvl(PRTL_AVL_TABLE Table, BOOLEAN Restart)", irql=DISPATCH_LEVEL
)
def RtlEnumerateGenericTableAvl(k: Kernel, Table: int, Restart: int) -> int:
    """WDK: "RtlEnumerateGenericTableAvl function (ntddk.h)". In order; NULL behind the last."""
    table = AvlTable(k, Table)
    if Restart:
        k.memory.set_u64(Table + table.RESTART, 0)
    return table.step(Table + table.RESTART)


@export(
    "PVOID RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE Table, PVOID *RestartKey)",
    irql=DISPATCH_LEVEL,
)
def RtlEnumerateGenericTableWithoutSplayingAvl(k: Kernel, Table: int, RestartKey: int) -> int:
    """WDK: "RtlEnumerateGenericTableWithoutSplayingAvl function (ntddk.h)"."""
    return AvlTable(k, Table).step(RestartKey)


@export("ULONG RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE Table)", irql=DISPATCH_LEVEL)
def RtlNumberGenericTableElementsAvl(k: Kernel, Table: int) -> int:
    """WDK: "RtlNumberGenericTableElementsAvl function (ntddk.h)"."""
    return AvlTable(k, Table).count


@export("BOOLEAN RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE Table)", irql=DISPATCH_LEVEL)
def RtlIsGenericTableEmptyAvl(k: Kernel, Table: int) -> bool:
    """WDK: "RtlIsGenericTableEmptyAvl function (ntddk.h)"."""
    return AvlTable(k, Table).count == 0


@export("PVOID RtlGetElementGenericTableAvl(PRTL_AVL_TABLE Table, ULONG I)", irql=DISPATCH_LEVEL)
def RtlGetElementGenericTableAvl(k: Kernel, Table: int, I: int) -> int:  # noqa: E741 - the WDK's
    """WDK: "RtlGetElementGenericTableAvl function (ntddk.h)". Number I in order."""
    return AvlTable(k, Table).get(I)


@export(
    "PVOID RtlLookupFirstMatchingElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, "
    "PVOID *RestartKey)",
    irql=DISPATCH_LEVEL,
)
def RtlLookupFirstMatchingElementGenericTableAvl(
    k: Kernel, Table: int, Buffer: int, RestartKey: int
) -> Steps:
    """WDK: "RtlLookupFirstMatchingElementGenericTableAvl function (ntddk.h)".

    The leftmost of those that compare as equal; RestartKey is for the enumeration from there.
    """
    table = AvlTable(k, Table)
    node = yield from table.first_match(Buffer)
    if not node:
        return 0
    k.memory.set_u64(RestartKey, node)
    return node + table.HEADER
