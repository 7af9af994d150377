"""Lists and numbers behind a spin lock, and sequenced singly linked lists without one.

WDK: "Singly and Doubly Linked Lists", "Introduction to ExInterlocked routines". A call is one
step of its processor, so it waits until the lock is free and needs not take it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import RaisedStatus
from ..kernel.locks import SpinThen
from ..kernel.structs import const
from .ke_spinlock import already_owned
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

Operation = Callable[..., int]

_FLINK, _BLINK = 0, 8
_CORRUPT_LIST_ENTRY: Final = 3
_BITS_64: Final = (1 << 64) - 1


class _WhenFree(SpinThen):
    """An operation that has to wait for its lock."""

    __slots__ = ("_arguments", "_operation")

    def __init__(self, k: Kernel, lock: int, operation: Operation, arguments: Any) -> None:
        super().__init__(k, lock, "spin lock")
        self._operation = operation
        self._arguments = arguments

    def ready(self) -> bool:
        return not self.k.memory.u64(self.address)

    def take(self) -> None:
        self.result = self._operation(self.k, *self._arguments)


def _locked(k: Kernel, lock: int, operation: Operation, *arguments: int) -> int | SpinThen:
    if not k.memory.u64(lock):
        return operation(k, *arguments)
    already_owned(k, lock)
    return _WhenFree(k, lock, operation, arguments)


def _check(k: Kernel, entry: int, head: int) -> None:
    """Neighbours in a list that do not point at each other are bug check 0x139, as in Windows."""
    if k.memory.u64(entry + _BLINK) != head or k.memory.u64(head + _FLINK) != entry:
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", _CORRUPT_LIST_ENTRY),
            message=f"The list entries at {head:#x} and {entry:#x} do not point at each other: "
            "one was overwritten, inserted twice, or freed while in the list.",
        )


def _link(k: Kernel, before: int, entry: int, after: int) -> None:
    m = k.memory
    m.set_u64(entry + _FLINK, after)
    m.set_u64(entry + _BLINK, before)
    m.set_u64(before + _FLINK, entry)
    m.set_u64(after + _BLINK, entry)


def _insert_head(k: Kernel, head: int, entry: int) -> int:
    first = k.memory.u64(head + _FLINK)
    _check(k, first, head)
    _link(k, head, entry, first)
    return 0 if first == head else first


def _insert_tail(k: Kernel, head: int, entry: int) -> int:
    last = k.memory.u64(head + _BLINK)
    _check(k, head, last)
    _link(k, last, entry, head)
    return 0 if last == head else last


def _remove_head(k: Kernel, head: int) -> int:
    first = k.memory.u64(head + _FLINK)
    if first == head:
        return 0
    after = k.memory.u64(first + _FLINK)
    _check(k, first, head)
    _check(k, after, first)
    k.memory.set_u64(head + _FLINK, after)
    k.memory.set_u64(after + _BLINK, head)
    return first


def _push(k: Kernel, head: int, entry: int) -> int:
    first = k.memory.u64(head)
    k.memory.set_u64(entry, first)
    k.memory.set_u64(head, entry)
    return first


def _pop(k: Kernel, head: int) -> int:
    first = k.memory.u64(head)
    if first:
        k.memory.set_u64(head, k.memory.u64(first))
    return first


def _add_ulong(k: Kernel, addend: int, increment: int) -> int:
    old = k.memory.u32(addend)
    k.memory.set_u32(addend, old + increment)
    return old


def _add_large(k: Kernel, addend: int, increment: int) -> int:
    old = k.memory.u64(addend)
    k.memory.set_u64(addend, old + increment)
    return old


@export("PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, "
        "PKSPIN_LOCK Lock)", irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedInsertHeadList(
    k: Kernel, ListHead: int, ListEntry: int, Lock: int
) -> int | SpinThen:
    """WDK: "ExInterlockedInsertHeadList function (wdm.h)": the entry that was first, or NULL."""
    return _locked(k, Lock, _insert_head, ListHead, ListEntry)


@export("PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, "
        "PKSPIN_LOCK Lock)", irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedInsertTailList(
    k: Kernel, ListHead: int, ListEntry: int, Lock: int
) -> int | SpinThen:
    """WDK: "ExInterlockedInsertTailList function (wdm.h)": the entry that was last, or NULL."""
    return _locked(k, Lock, _insert_tail, ListHead, ListEntry)


@export("PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)",
        irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedRemoveHeadList(k: Kernel, ListHead: int, Lock: int) -> int | SpinThen:
    """WDK: "ExInterlockedRemoveHeadList function (wdm.h)": NULL where the list is empty."""
    return _locked(k, Lock, _remove_head, ListHead)


@export("PSINGLE_LIST_ENTRY ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, "
        "PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock)", irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedPushEntryList(
    k: Kernel, ListHead: int, ListEntry: int, Lock: int
) -> int | SpinThen:
    """WDK: "ExInterlockedPushEntryList function (wdm.h)": the entry that was first, or NULL."""
    return _locked(k, Lock, _push, ListHead, ListEntry)


@export("PSINGLE_LIST_ENTRY ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, "
        "PKSPIN_LOCK Lock)", irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedPopEntryList(k: Kernel, ListHead: int, Lock: int) -> int | SpinThen:
    """WDK: "ExInterlockedPopEntryList function (wdm.h)": NULL where the list is empty."""
    return _locked(k, Lock, _pop, ListHead)


@export("ULONG ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)",
        irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedAddUlong(k: Kernel, Addend: int, Increment: int, Lock: int) -> int | SpinThen:
    """WDK: "ExInterlockedAddUlong function (wdm.h)": the value before."""
    return _locked(k, Lock, _add_ulong, Addend, Increment)


@export("LARGE_INTEGER ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, "
        "LARGE_INTEGER Increment, PKSPIN_LOCK Lock)", irql=HIGH_LEVEL)  # fmt: skip
def ExInterlockedAddLargeInteger(
    k: Kernel, Addend: int, Increment: int, Lock: int
) -> int | SpinThen:
    """WDK: "ExInterlockedAddLargeInteger function (wdm.h)": the value before."""
    return _locked(k, Lock, _add_large, Addend, Increment)


# -- SLIST_HEADER: depth in 16 bits and a sequence number in 48, then the first entry -------------

_ALIGNMENT: Final = 16
_DEPTH: Final = 0xFFFF


def _aligned(address: int, what: str) -> None:
    if address % _ALIGNMENT:
        raise RaisedStatus(
            const("STATUS_DATATYPE_MISALIGNMENT"),
            f"The {what} at {address:#x} is not aligned to 16 bytes.",
        )


def _set_slist(k: Kernel, head: int, depth: int, first: int) -> None:
    sequence = (k.memory.u64(head) >> 16) + 1
    k.memory.set_u64(head, (sequence << 16 | (depth & _DEPTH)) & _BITS_64)
    k.memory.set_u64(head + 8, first)


@export("VOID InitializeSListHead(PSLIST_HEADER SListHead)", irql=HIGH_LEVEL)
def InitializeSListHead(k: Kernel, SListHead: int) -> None:
    """WDK: "ExInitializeSListHead function (wdm.h)"; raises STATUS_DATATYPE_MISALIGNMENT."""
    _aligned(SListHead, "SLIST_HEADER")
    k.memory.write(SListHead, bytes(16))


@export("PSLIST_ENTRY ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, "
        "PSLIST_ENTRY ListEntry)", irql=DISPATCH_LEVEL)  # fmt: skip
def ExpInterlockedPushEntrySList(k: Kernel, ListHead: int, ListEntry: int) -> int:
    """WDK: "ExInterlockedPushEntrySList function (wdm.h)": the entry that was first, or NULL."""
    _aligned(ListHead, "SLIST_HEADER")
    _aligned(ListEntry, "SLIST_ENTRY")
    first = k.memory.u64(ListHead + 8) & ~0xF
    k.memory.set_u64(ListEntry, first)
    _set_slist(k, ListHead, (k.memory.u64(ListHead) & _DEPTH) + 1, ListEntry)
    return first


@export("PSLIST_ENTRY ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)", irql=DISPATCH_LEVEL)
def ExpInterlockedPopEntrySList(k: Kernel, ListHead: int) -> int:
    """WDK: "ExInterlockedPopEntrySList function (wdm.h)": NULL where the list is empty."""
    _aligned(ListHead, "SLIST_HEADER")
    first = k.memory.u64(ListHead + 8) & ~0xF
    if first:
        _set_slist(k, ListHead, (k.memory.u64(ListHead) & _DEPTH) - 1, k.memory.u64(first))
    return first


@export("PSLIST_ENTRY ExpInterlockedFlushSList(PSLIST_HEADER ListHead)", irql=DISPATCH_LEVEL)
def ExpInterlockedFlushSList(k: Kernel, ListHead: int) -> int:
    """WDK: "ExInterlockedFlushSList function (wdm.h)": all entries, by the first."""
    _aligned(ListHead, "SLIST_HEADER")
    first = k.memory.u64(ListHead + 8) & ~0xF
    _set_slist(k, ListHead, 0, 0)
    return first


@export("USHORT ExQueryDepthSList(PSLIST_HEADER SListHead)", irql=HIGH_LEVEL)
def ExQueryDepthSList(k: Kernel, SListHead: int) -> int:
    """WDK: "ExQueryDepthSList function (wdm.h)"."""
    return k.memory.u64(SListHead) & _DEPTH
