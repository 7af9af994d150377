"""Fast mutexes and guarded mutexes: one structure, and two ways to hold APCs off.

WDK: "Fast Mutexes and Guarded Mutexes". FAST_MUTEX.Count is 1 while the mutex is free; while it
is owned, each waiter counts 4. A release hands the mutex to the thread that waited longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.dispatcher import Kind
from ..kernel.execution import Wait
from ..kernel.locks import AfterWait
from ..kernel.structs import Struct, size_of
from .ke_region import apcs_must_be_disabled, enter_guarded, leave_guarded
from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_FREE: Final = 1
_WAITER: Final = 4
_FAST, _GUARDED = "fast mutex", "guarded mutex"


class _Acquire(AfterWait):
    """What is left when a contended mutex was handed over: note the old IRQL."""

    __slots__ = ("_k", "_kind", "_mutex", "_old")

    def __init__(self, k: Kernel, mutex: int, kind: str, old: int, wait: Wait) -> None:
        super().__init__(wait)
        self._k = k
        self._mutex = mutex
        self._kind = kind
        self._old = old

    def finish(self, value: int) -> int:
        _taken(self._k, self._mutex, self._kind, self._old)
        return 0


def _taken(k: Kernel, mutex: int, kind: str, old: int) -> None:
    entry = Struct(k.memory, "FAST_MUTEX", mutex)
    entry["Owner"] = k.thread.object
    entry["OldIrql"] = old
    k.tell("lock-taken", kind, mutex)


def _acquire(k: Kernel, mutex: int, kind: str, old: int) -> int | _Acquire:
    entry = Struct(k.memory, "FAST_MUTEX", mutex)
    if entry["Count"] == _FREE:
        entry["Count"] = 0
        _taken(k, mutex, kind, old)
        return 0
    owner = entry["Owner"]
    if owner == k.thread.object:
        raise BugCheck(
            *("MUTEX_ALREADY_OWNED", mutex, owner),
            message=f"A thread acquired a {kind} that it owns already: it would wait for itself "
            "for ever.",
        )
    why = f"the {kind} at {mutex:#x}"
    if not owner:
        why += ", which was never initialized"
    wait = k.dispatcher.wait((entry.at("Event"),), why=why)
    if not isinstance(wait, Wait):  # somebody has set its event: it is no mutex at all
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", 0x3, mutex),
            message=f"The {kind} at {mutex:#x} was overwritten, or never initialized.",
        )
    entry["Count"] += _WAITER
    entry["Contention"] += 1
    return _Acquire(k, mutex, kind, old, wait)


def _try(k: Kernel, mutex: int, kind: str, old: int) -> bool:
    entry = Struct(k.memory, "FAST_MUTEX", mutex)
    if entry["Count"] != _FREE:
        return False
    entry["Count"] = 0
    _taken(k, mutex, kind, old)
    return True


def _release(k: Kernel, mutex: int, kind: str) -> int:
    """Release; the IRQL that it was acquired at."""
    entry = Struct(k.memory, "FAST_MUTEX", mutex)
    owner = entry["Owner"]
    if entry["Count"] == _FREE or not owner:
        raise BugCheck(
            "THREAD_NOT_MUTEX_OWNER",
            message=f"The {kind} at {mutex:#x} was released, and nobody holds it.",
        )
    if owner != k.thread.object:
        k.tell("lock-not-owner", f"a {kind} was released by a thread that does not own it")
    k.tell("lock-released", kind, mutex)
    old = entry["OldIrql"]
    event = entry.at("Event")
    waiters = k.dispatcher.waiters.get(event)
    if waiters:
        entry["Count"] -= _WAITER
        entry["Owner"] = waiters[0].thread.object
        k.dispatcher.signal(event, 1)
    else:
        entry["Count"], entry["Owner"] = _FREE, 0
    return old


def _to_apc_level(k: Kernel) -> int:
    old = k.cpu.irql
    if old < APC_LEVEL:
        k.scheduler.set_irql(APC_LEVEL)
    return old


@export("VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex)", irql=APC_LEVEL)
def ExAcquireFastMutex(k: Kernel, FastMutex: int) -> int | _Acquire:
    """WDK: "ExAcquireFastMutex function (wdm.h)": IRQL becomes APC_LEVEL."""
    return _acquire(k, FastMutex, _FAST, _to_apc_level(k))


@export("BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)", irql=APC_LEVEL)
def ExTryToAcquireFastMutex(k: Kernel, FastMutex: int) -> bool:
    """WDK: "ExTryToAcquireFastMutex function (wdm.h)": the IRQL stays where it fails."""
    old = _to_apc_level(k)
    if _try(k, FastMutex, _FAST, old):
        return True
    k.scheduler.set_irql(old)
    return False


@export("VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex)", irql=APC_LEVEL)
def ExReleaseFastMutex(k: Kernel, FastMutex: int) -> None:
    """WDK: "ExReleaseFastMutex function (wdm.h)": at APC_LEVEL; the IRQL from before is back."""
    if k.cpu.irql < APC_LEVEL:
        k.tell("called-below-irql", "ExReleaseFastMutex", APC_LEVEL)
    k.scheduler.set_irql(_release(k, FastMutex, _FAST))


@export("VOID ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)", irql=APC_LEVEL)
def ExAcquireFastMutexUnsafe(k: Kernel, FastMutex: int) -> int | _Acquire:
    """WDK: "ExAcquireFastMutexUnsafe function (wdm.h)": the caller has disabled APCs."""
    apcs_must_be_disabled(k, "ExAcquireFastMutexUnsafe")
    return _acquire(k, FastMutex, _FAST, k.cpu.irql)


@export("VOID ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)", irql=APC_LEVEL)
def ExReleaseFastMutexUnsafe(k: Kernel, FastMutex: int) -> None:
    """WDK: "ExReleaseFastMutexUnsafe function (wdm.h)"."""
    apcs_must_be_disabled(k, "ExReleaseFastMutexUnsafe")
    _release(k, FastMutex, _FAST)


@export("VOID KeInitializeGuardedMutex(PKGUARDED_MUTEX Mutex)", irql=DISPATCH_LEVEL)
def KeInitializeGuardedMutex(k: Kernel, Mutex: int) -> None:
    """WDK: "KeInitializeGuardedMutex function (wdm.h)"."""
    entry = Struct(k.memory, "FAST_MUTEX", Mutex)
    entry["Count"], entry["Owner"], entry["Contention"] = _FREE, 0, 0
    event = entry.at("Event")
    k.dispatcher.initialize(event, Kind.SYNCHRONIZATION_EVENT, size_of("KEVENT"), 0)


@export("VOID KeAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)", irql=APC_LEVEL)
def KeAcquireGuardedMutex(k: Kernel, Mutex: int) -> int | _Acquire:
    """WDK: "KeAcquireGuardedMutex function (wdm.h)": enters a guarded region."""
    enter_guarded(k)
    return _acquire(k, Mutex, _GUARDED, k.cpu.irql)


@export("BOOLEAN KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)", irql=APC_LEVEL)
def KeTryToAcquireGuardedMutex(k: Kernel, Mutex: int) -> bool:
    """WDK: "KeTryToAcquireGuardedMutex function (wdm.h)"."""
    enter_guarded(k)
    if _try(k, Mutex, _GUARDED, k.cpu.irql):
        return True
    leave_guarded(k)
    return False


@export("VOID KeReleaseGuardedMutex(PKGUARDED_MUTEX Mutex)", irql=APC_LEVEL)
def KeReleaseGuardedMutex(k: Kernel, Mutex: int) -> None:
    """WDK: "KeReleaseGuardedMutex function (wdm.h)": leaves the guarded region."""
    _release(k, Mutex, _GUARDED)
    leave_guarded(k)


@export("VOID KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX FastMutex)", irql=APC_LEVEL)
def KeAcquireGuardedMutexUnsafe(k: Kernel, FastMutex: int) -> int | _Acquire:
    """WDK: "KeAcquireGuardedMutexUnsafe function (wdm.h)": the caller has disabled APCs."""
    apcs_must_be_disabled(k, "KeAcquireGuardedMutexUnsafe")
    return _acquire(k, FastMutex, _GUARDED, k.cpu.irql)


@export("VOID KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX FastMutex)", irql=APC_LEVEL)
def KeReleaseGuardedMutexUnsafe(k: Kernel, FastMutex: int) -> None:
    """WDK: "KeReleaseGuardedMutexUnsafe function (wdm.h)"."""
    apcs_must_be_disabled(k, "KeReleaseGuardedMutexUnsafe")
    _release(k, FastMutex, _GUARDED)
