"""Remove locks. WDK page: "Using Remove Locks"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.dispatcher import Kind
from ..kernel.execution import Wait
from ..kernel.structs import Struct, const, place, size_of
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_EVENT: Final = place("IO_REMOVE_LOCK_COMMON_BLOCK", "RemoveEvent")[0]


def _common(k: Kernel, lock: int) -> Struct:
    return Struct(k.memory, "IO_REMOVE_LOCK_COMMON_BLOCK", lock)


@export(
    "VOID IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, "
    "ULONG MaxLockedMinutes, ULONG HighWatermark, ULONG RemlockSize)",
    irql=PASSIVE_LEVEL,
)
def IoInitializeRemoveLockEx(
    k: Kernel,
    Lock: int,
    AllocateTag: int,
    MaxLockedMinutes: int,
    HighWatermark: int,
    RemlockSize: int,
) -> None:
    """WDK: "IoInitializeRemoveLock macro (wdm.h)"."""
    k.memory.write(Lock, bytes(RemlockSize))
    lock = _common(k, Lock)
    lock["IoCount"] = 1
    k.dispatcher.initialize(Lock + _EVENT, Kind.SYNCHRONIZATION_EVENT, size_of("KEVENT"), 0)
    k.tell("remove-lock-initialized", Lock)


@export(
    "NTSTATUS IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, "
    "ULONG Line, ULONG RemlockSize)",
    irql=DISPATCH_LEVEL,
)
def IoAcquireRemoveLockEx(
    k: Kernel, RemoveLock: int, Tag: int, File: int, Line: int, RemlockSize: int
) -> int:
    """WDK: "IoAcquireRemoveLock macro (wdm.h)": STATUS_DELETE_PENDING once it is being removed."""
    lock = _common(k, RemoveLock)
    if lock["Removed"]:
        return const("STATUS_DELETE_PENDING")
    lock["IoCount"] += 1
    k.tell("remove-lock-acquired", RemoveLock, Tag)
    return 0


def _release(k: Kernel, lock: int, tag: int) -> None:
    common = _common(k, lock)
    count = common["IoCount"] - 1
    if count < 0 or (count == 0 and not common["Removed"]):
        k.tell("remove-lock-released-twice", lock)
        return
    common["IoCount"] = count
    k.tell("remove-lock-released", lock, tag)
    if count == 0:
        k.dispatcher.signal(lock + _EVENT, 1)


@export(
    "VOID IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)",
    irql=DISPATCH_LEVEL,
)
def IoReleaseRemoveLockEx(k: Kernel, RemoveLock: int, Tag: int, RemlockSize: int) -> None:
    """WDK: "IoReleaseRemoveLock macro (wdm.h)"."""
    _release(k, RemoveLock, Tag)


@export(
    "VOID IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)",
    irql=PASSIVE_LEVEL,
)
def IoReleaseRemoveLockAndWaitEx(
    k: Kernel, RemoveLock: int, Tag: int, RemlockSize: int
) -> int | Wait:
    """WDK: "IoReleaseRemoveLockAndWait macro (wdm.h)": until all others have released it."""
    lock = _common(k, RemoveLock)
    lock["Removed"] = 1
    _release(k, RemoveLock, Tag)
    lock["IoCount"] -= 1
    if not lock["IoCount"]:
        return 0
    return k.dispatcher.wait((RemoveLock + _EVENT,), why="a remove lock to be released by others")
