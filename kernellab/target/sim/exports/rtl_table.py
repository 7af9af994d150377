"""Generic tables on splay trees, and splay links by themselves.

Resident tables may be used at DISPATCH_LEVEL; what is behind the routines is in
:mod:`..kernel.tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.tables import SplayTable
from ..kernel.trees import LEFT, RIGHT, SplayTree
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.execution import Steps
    from ..kernel.kernel import Kernel


@export(
    "VOID RtlInitializeGenericTable(PRTL_GENERIC_TABLE Table, PVOID CompareRoutine, "
    "PVOID AllocateRoutine, PVOID FreeRoutine, PVOID TableContext)",
    irql=DISPATCH_LEVEL,
)
def RtlInitializeGenericTable(
    k: Kernel,
    Table: int,
    CompareRoutine: int,
    AllocateRoutine: int,
    FreeRoutine: int,
    TableContext: int,
) -> None:
    """WDK: "RtlInitializeGenericTable function (ntddk.h)"."""
    SplayTable(k, Table).initialize(CompareRoutine, AllocateRoutine, FreeRoutine, TableContext)


@export(
    "PVOID RtlInsertElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize, "
    "PBOOLEAN NewElement)",
    irql=DISPATCH_LEVEL,
)
def RtlInsertElementGenericTable(
    k: Kernel, Table: int, Buffer: int, BufferSize: int, NewElement: int
) -> Steps:
    """WDK: "RtlInsertElementGenericTable function (ntddk.h)".

    What is there already stays as it is and is the result.
    """
    return (yield from SplayTable(k, Table).insert(Buffer, BufferSize, NewElement))


@export(
    "PVOID RtlInsertElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, "
    "CLONG BufferSize, PBOOLEAN NewElement, PVOID NodeOrParent, TABLE_SEARCH_RESULT SearchResult)",
    irql=DISPATCH_LEVEL,
)
def RtlInsertElementGenericTableFull(
    k: Kernel,
    Table: int,
    Buffer: int,
    BufferSize: int,
    NewElement: int,
    NodeOrParent: int,
    SearchResult: int,
) -> Steps:
    """WDK: "RtlInsertElementGenericTableFull function (ntddk.h)".

    With what RtlLookupElementGenericTableFull found: nothing is compared.
    """
    found = (NodeOrParent, SearchResult)
    return (yield from SplayTable(k, Table).insert(Buffer, BufferSize, NewElement, found))


@export(
    "BOOLEAN RtlDeleteElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)",
    irql=DISPATCH_LEVEL,
)
def RtlDeleteElementGenericTable(k: Kernel, Table: int, Buffer: int) -> Steps:
    """WDK: "RtlDeleteElementGenericTable function (ntddk.h)"."""
    return (yield from SplayTable(k, Table).delete(Buffer))


@export(
    "PVOID RtlLookupElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)",
    irql=DISPATCH_LEVEL,
)
def RtlLookupElementGenericTable(k: Kernel, Table: int, Buffer: int) -> Steps:
    """WDK: "RtlLookupElementGenericTable function (ntddk.h)". NULL where it is not there."""
    return (yield from SplayTable(k, Table).lookup(Buffer))


@export(
    "PVOID RtlLookupElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, "
    "PVOID *NodeOrParent, TABLE_SEARCH_RESULT *SearchResult)",
    irql=DISPATCH_LEVEL,
)
def RtlLookupElementGenericTableFull(
    k: Kernel, Table: int, Buffer: int, NodeOrParent: int, SearchResult: int
) -> Steps:
    """WDK: "RtlLookupElementGenericTableFull function (ntddk.h)"."""
    return (yield from SplayTable(k, Table).lookup(Buffer, NodeOrParent, SearchResult))


@export(
    "PVOID RtlEnumerateGenericTable(PRTL_GENERIC_TABLE Table, BOOLEAN Restart)", irql=DISPATCH_LEVEL
)
def RtlEnumerateGenericTable(k: Kernel, Table: int, Restart: int) -> int:
    """WDK: "RtlEnumerateGenericTable function (ntddk.h)". In order; NULL behind the last."""
    table = SplayTable(k, Table)
    node = table.after(0 if Restart else table.root())
    if not node:
        return 0
    table.used(node)
    return node + table.HEADER


@export(
    "PVOID RtlEnumerateGenericTableWithoutSplaying(PRTL_GENERIC_TABLE Table, PVOID *RestartKey)",
    irql=DISPATCH_LEVEL,
)
def RtlEnumerateGenericTableWithoutSplaying(k: Kernel, Table: int, RestartKey: int) -> int:
    """WDK: "RtlEnumerateGenericTableWithoutSplaying function (ntddk.h)"."""
    return SplayTable(k, Table).step(RestartKey)


@export("ULONG RtlNumberGenericTableElements(PRTL_GENERIC_TABLE Table)", irql=DISPATCH_LEVEL)
def RtlNumberGenericTableElements(k: Kernel, Table: int) -> int:
    """WDK: "RtlNumberGenericTableElements function (ntddk.h)"."""
    return SplayTable(k, Table).count


@export("BOOLEAN RtlIsGenericTableEmpty(PRTL_GENERIC_TABLE Table)", irql=DISPATCH_LEVEL)
def RtlIsGenericTableEmpty(k: Kernel, Table: int) -> bool:
    """WDK: "RtlIsGenericTableEmpty function (ntddk.h)"."""
    return SplayTable(k, Table).count == 0


@export("PVOID RtlGetElementGenericTable(PRTL_GENERIC_TABLE Table, ULONG I)", irql=DISPATCH_LEVEL)
def RtlGetElementGenericTable(k: Kernel, Table: int, I: int) -> int:  # noqa: E741 - the WDK's
    """WDK: "RtlGetElementGenericTable function (ntddk.h)". Number I as inserted."""
    return SplayTable(k, Table).get(I)


# -- splay links -------------------------------------------------------------------------------


@export("PRTL_SPLAY_LINKS RtlSplay(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlSplay(k: Kernel, Links: int) -> int:
    """WDK: "RtlSplay function (ntifs.h)". The new root: Links itself."""
    return SplayTree(k.memory).splay(Links)


@export("PRTL_SPLAY_LINKS RtlDelete(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlDelete(k: Kernel, Links: int) -> int:
    """WDK: "RtlDelete function (ntddk.h)". The root of what is left, NULL where nothing is."""
    return SplayTree(k.memory).delete(Links)


@export(
    "VOID RtlDeleteNoSplay(PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS *Root)", irql=DISPATCH_LEVEL
)
def RtlDeleteNoSplay(k: Kernel, Links: int, Root: int) -> None:
    """WDK: "RtlDeleteNoSplay function (ntddk.h)". Root is changed where it is another now."""
    tree = SplayTree(k.memory)
    above, below = tree.remove(Links)
    k.memory.set_u64(Root, tree.root(above) if above else below)


@export("PRTL_SPLAY_LINKS RtlSubtreeSuccessor(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlSubtreeSuccessor(k: Kernel, Links: int) -> int:
    """WDK: "RtlSubtreeSuccessor function (ntddk.h)"."""
    tree = SplayTree(k.memory)
    below = tree.child(Links, RIGHT)
    return tree.outermost(below, LEFT) if below else 0


@export("PRTL_SPLAY_LINKS RtlSubtreePredecessor(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlSubtreePredecessor(k: Kernel, Links: int) -> int:
    """WDK: "RtlSubtreePredecessor function (ntddk.h)"."""
    tree = SplayTree(k.memory)
    below = tree.child(Links, LEFT)
    return tree.outermost(below, RIGHT) if below else 0


@export("PRTL_SPLAY_LINKS RtlRealSuccessor(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlRealSuccessor(k: Kernel, Links: int) -> int:
    """WDK: "RtlRealSuccessor function (ntddk.h)"."""
    return SplayTree(k.memory).neighbour(Links, RIGHT)


@export("PRTL_SPLAY_LINKS RtlRealPredecessor(PRTL_SPLAY_LINKS Links)", irql=DISPATCH_LEVEL)
def RtlRealPredecessor(k: Kernel, Links: int) -> int:
    """WDK: "RtlRealPredecessor function (ntddk.h)"."""
    return SplayTree(k.memory).neighbour(Links, LEFT)
