"""In-stack queued spin locks, and reader/writer spin locks.

WDK: "Queued Spin Locks", "Reader/Writer Spin Locks".
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.locks import SpinThen
from ..kernel.structs import Struct
from .ke import KeLowerIrql, raise_irql
from .ke_spinlock import already_owned, at_dispatch, own, release
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_HANDLE: Final = "KLOCK_QUEUE_HANDLE"


class _InLine(SpinThen):
    """Wait for the lock, and for everybody who asked before."""

    __slots__ = ("_handle",)

    def __init__(self, k: Kernel, lock: int, handle: int) -> None:
        super().__init__(k, lock, "queued spin lock")
        self._handle = handle

    def ready(self) -> bool:
        free = not self.k.memory.u64(self.address)
        return free and self.k.locks.queued[self.address][0] == self._handle

    def take(self) -> None:
        queue = self.k.locks.queued[self.address]
        queue.popleft()
        if not queue:
            del self.k.locks.queued[self.address]
        own(self.k, self.address)


def _acquire(k: Kernel, lock: int, handle: int, old: int) -> int | SpinThen:
    entry = Struct(k.memory, _HANDLE, handle)
    entry["LockQueue.Next"] = 0
    entry["LockQueue.Lock"] = lock
    entry["OldIrql"] = old
    if not k.memory.u64(lock) and lock not in k.locks.queued:
        own(k, lock)
        return 0
    already_owned(k, lock)
    k.locks.queued.setdefault(lock, deque()).append(handle)
    return _InLine(k, lock, handle)


def _release(k: Kernel, handle: int) -> int:
    """The IRQL from before."""
    entry = Struct(k.memory, _HANDLE, handle)
    lock = entry["LockQueue.Lock"]
    if not lock:
        raise BugCheck(
            *("SPIN_LOCK_NOT_OWNED", handle),
            message="A lock handle was released that holds no queued spin lock.",
        )
    release(k, lock)
    entry["LockQueue.Lock"] = 0
    return entry["OldIrql"]


@export("VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, "
        "PKLOCK_QUEUE_HANDLE LockHandle)", irql=DISPATCH_LEVEL)  # fmt: skip
def KeAcquireInStackQueuedSpinLock(k: Kernel, SpinLock: int, LockHandle: int) -> int | SpinThen:
    """WDK: "KeAcquireInStackQueuedSpinLock function (wdm.h)": first come first served."""
    return _acquire(k, SpinLock, LockHandle, raise_irql(k, DISPATCH_LEVEL))


@export("VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)", irql=DISPATCH_LEVEL)
def KeReleaseInStackQueuedSpinLock(k: Kernel, LockHandle: int) -> None:
    """WDK: "KeReleaseInStackQueuedSpinLock function (wdm.h)": the IRQL from before is back."""
    KeLowerIrql(k, _release(k, LockHandle))


@export("VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, "
        "PKLOCK_QUEUE_HANDLE LockHandle)", irql=HIGH_LEVEL)  # fmt: skip
def KeAcquireInStackQueuedSpinLockAtDpcLevel(
    k: Kernel, SpinLock: int, LockHandle: int
) -> int | SpinThen:
    """WDK: "KeAcquireInStackQueuedSpinLockAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "KeAcquireInStackQueuedSpinLockAtDpcLevel")
    return _acquire(k, SpinLock, LockHandle, k.cpu.irql)


@export("VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)",
        irql=HIGH_LEVEL)  # fmt: skip
def KeReleaseInStackQueuedSpinLockFromDpcLevel(k: Kernel, LockHandle: int) -> None:
    """WDK: "KeReleaseInStackQueuedSpinLockFromDpcLevel function (wdm.h)"."""
    at_dispatch(k, "KeReleaseInStackQueuedSpinLockFromDpcLevel")
    _release(k, LockHandle)


@export("VOID KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, "
        "PKLOCK_QUEUE_HANDLE LockHandle)", irql=DISPATCH_LEVEL)  # fmt: skip
def KeAcquireInStackQueuedSpinLockForDpc(
    k: Kernel, SpinLock: int, LockHandle: int
) -> int | SpinThen:
    """WDK: "KeAcquireInStackQueuedSpinLockForDpc function (wdm.h)": in threaded DPCs too."""
    return _acquire(k, SpinLock, LockHandle, raise_irql(k, DISPATCH_LEVEL))


@export("VOID KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def KeReleaseInStackQueuedSpinLockForDpc(k: Kernel, LockHandle: int) -> None:
    """WDK: "KeReleaseInStackQueuedSpinLockForDpc function (wdm.h)"."""
    KeLowerIrql(k, _release(k, LockHandle))


# -- reader/writer spin locks: bit 31 a writer holds it, bit 30 one waits, below the readers ------

_WRITER, _WRITER_WAITS = 1 << 31, 1 << 30
_READERS: Final = _WRITER_WAITS - 1
_RW: Final = "reader/writer spin lock"


class _Shared(SpinThen):
    __slots__ = ()

    def ready(self) -> bool:
        return not self.k.memory.u32(self.address) & (_WRITER | _WRITER_WAITS)

    def take(self) -> None:
        _take_shared(self.k, self.address)


class _Exclusive(SpinThen):
    __slots__ = ()

    def ready(self) -> bool:
        word = self.k.memory.u32(self.address)
        if word & (_WRITER | _READERS):
            # Keeps new readers out; another writer's turn has cleared it.
            self.k.memory.set_u32(self.address, word | _WRITER_WAITS)
            return False
        return True

    def take(self) -> None:
        _take_exclusive(self.k, self.address)


def _take_shared(k: Kernel, lock: int) -> None:
    k.memory.set_u32(lock, k.memory.u32(lock) + 1)
    k.tell("lock-taken", _RW, lock)


def _take_exclusive(k: Kernel, lock: int) -> None:
    k.memory.set_u32(lock, _WRITER)
    k.locks.exclusive[lock] = k.scheduler.current.number
    k.tell("lock-taken", _RW, lock)


def _shared(k: Kernel, lock: int, old: int) -> int | SpinThen:
    word = k.memory.u32(lock)
    if word & (_WRITER | _WRITER_WAITS):
        _not_mine(k, lock)
        return _Shared(k, lock, _RW, old)
    _take_shared(k, lock)
    return old


def _exclusive(k: Kernel, lock: int, old: int) -> int | SpinThen:
    word = k.memory.u32(lock)
    if word & (_WRITER | _READERS):
        _not_mine(k, lock)
        k.memory.set_u32(lock, word | _WRITER_WAITS)
        return _Exclusive(k, lock, _RW, old)
    _take_exclusive(k, lock)
    return old


def _not_mine(k: Kernel, lock: int) -> None:
    if k.locks.exclusive.get(lock) == k.scheduler.current.number:
        raise BugCheck(
            *("SPIN_LOCK_ALREADY_OWNED", lock),
            message="A reader/writer spin lock was acquired that this processor holds "
            "exclusively: it would wait for itself for ever.",
        )


def _release_shared(k: Kernel, lock: int) -> None:
    word = k.memory.u32(lock)
    if not word & _READERS:
        raise _not_held(lock, "shared")
    k.tell("lock-released", _RW, lock)
    k.memory.set_u32(lock, word - 1)


def _release_exclusive(k: Kernel, lock: int) -> None:
    if not k.memory.u32(lock) & _WRITER:
        raise _not_held(lock, "exclusively")
    k.tell("lock-released", _RW, lock)
    k.locks.exclusive.pop(lock, None)
    k.memory.set_u32(lock, 0)


def _not_held(lock: int, how: str) -> BugCheck:
    return BugCheck(
        *("SPIN_LOCK_NOT_OWNED", lock),
        message=f"A reader/writer spin lock was released that is not held {how}.",
    )


@export("KIRQL ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)", irql=DISPATCH_LEVEL)
def ExAcquireSpinLockShared(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "ExAcquireSpinLockShared function (wdm.h)": the IRQL from before."""
    return _shared(k, SpinLock, raise_irql(k, DISPATCH_LEVEL))


@export("VOID ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)", irql=DISPATCH_LEVEL)
def ExReleaseSpinLockShared(k: Kernel, SpinLock: int, OldIrql: int) -> None:
    """WDK: "ExReleaseSpinLockShared function (wdm.h)"."""
    _release_shared(k, SpinLock)
    KeLowerIrql(k, OldIrql)


@export("KIRQL ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)", irql=DISPATCH_LEVEL)
def ExAcquireSpinLockExclusive(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "ExAcquireSpinLockExclusive function (wdm.h)": the IRQL from before."""
    return _exclusive(k, SpinLock, raise_irql(k, DISPATCH_LEVEL))


@export("VOID ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExReleaseSpinLockExclusive(k: Kernel, SpinLock: int, OldIrql: int) -> None:
    """WDK: "ExReleaseSpinLockExclusive function (wdm.h)"."""
    _release_exclusive(k, SpinLock)
    KeLowerIrql(k, OldIrql)


@export("VOID ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExAcquireSpinLockSharedAtDpcLevel(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "ExAcquireSpinLockSharedAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExAcquireSpinLockSharedAtDpcLevel")
    return _shared(k, SpinLock, 0)


@export("VOID ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExReleaseSpinLockSharedFromDpcLevel(k: Kernel, SpinLock: int) -> None:
    """WDK: "ExReleaseSpinLockSharedFromDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExReleaseSpinLockSharedFromDpcLevel")
    _release_shared(k, SpinLock)


@export("VOID ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExAcquireSpinLockExclusiveAtDpcLevel(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "ExAcquireSpinLockExclusiveAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExAcquireSpinLockExclusiveAtDpcLevel")
    return _exclusive(k, SpinLock, 0)


@export("VOID ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExReleaseSpinLockExclusiveFromDpcLevel(k: Kernel, SpinLock: int) -> None:
    """WDK: "ExReleaseSpinLockExclusiveFromDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExReleaseSpinLockExclusiveFromDpcLevel")
    _release_exclusive(k, SpinLock)


@export("LOGICAL ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExTryAcquireSpinLockSharedAtDpcLevel(k: Kernel, SpinLock: int) -> bool:
    """WDK: "ExTryAcquireSpinLockSharedAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExTryAcquireSpinLockSharedAtDpcLevel")
    if k.memory.u32(SpinLock) & (_WRITER | _WRITER_WAITS):
        return False
    _take_shared(k, SpinLock)
    return True


@export("LOGICAL ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExTryAcquireSpinLockExclusiveAtDpcLevel(k: Kernel, SpinLock: int) -> bool:
    """WDK: "ExTryAcquireSpinLockExclusiveAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "ExTryAcquireSpinLockExclusiveAtDpcLevel")
    if k.memory.u32(SpinLock):
        return False
    _take_exclusive(k, SpinLock)
    return True


@export("LOGICAL ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def ExTryConvertSharedSpinLockExclusive(k: Kernel, SpinLock: int) -> bool:
    """WDK: "ExTryConvertSharedSpinLockExclusive function (wdm.h)": for the only reader."""
    at_dispatch(k, "ExTryConvertSharedSpinLockExclusive")
    word = k.memory.u32(SpinLock)
    if word & _READERS != 1 or word & _WRITER:
        return False
    k.memory.set_u32(SpinLock, _WRITER | (word & _WRITER_WAITS))
    k.locks.exclusive[SpinLock] = k.scheduler.current.number
    return True
