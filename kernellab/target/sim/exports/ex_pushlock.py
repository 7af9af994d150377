"""Push locks: shared or exclusive, one pointer in size, first come first served.

WDK: "Push Locks". The word's bits are Windows': 0 locked, 1 somebody waits, from 4 on the number
of shared holders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.execution import Wait
from ..kernel.locks import AfterWait, PushLock, Waiter, park
from .ke_region import apcs_must_be_disabled
from .registry import APC_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_LOCKED, _WAITING, _SHARED = 1, 2, 16
_KIND: Final = "push lock"


class _Acquire(AfterWait):
    """The lock was handed over by whoever released it."""

    __slots__ = ("_k", "_lock")

    def __init__(self, k: Kernel, lock: int, wait: Wait) -> None:
        super().__init__(wait)
        self._k = k
        self._lock = lock

    def finish(self, value: int) -> int:
        self._k.tell("lock-taken", _KIND, self._lock)
        return 0


@export("VOID ExInitializePushLock(PEX_PUSH_LOCK PushLock)", irql=HIGH_LEVEL)
def ExInitializePushLock(k: Kernel, PushLock: int) -> None:
    """WDK: "ExInitializePushLock function (wdm.h)"."""
    k.memory.set_u64(PushLock, 0)
    k.locks.push.pop(PushLock, None)


def _acquire(k: Kernel, lock: int, *, exclusive: bool) -> int | _Acquire:
    word = k.memory.u64(lock)
    held = k.locks.push.get(lock)
    if held is None or not word & _LOCKED:
        held = k.locks.push[lock] = PushLock()
    thread = k.thread.object
    if not word & _LOCKED or not (exclusive or held.exclusive or held.waiters):
        _grant(k, lock, held, thread, exclusive=exclusive)
        k.tell("lock-taken", _KIND, lock)
        return 0
    why = f"the push lock at {lock:#x}"
    if held.exclusive == thread or (exclusive and thread in held.shared):
        why += ", which it holds itself"
        k.tell(
            "lock-recursive",
            "a thread acquired a push lock that it holds already: it waits for itself for ever",
        )
    waiting, wait = park(k, why)
    held.waiters.append(Waiter(waiting, exclusive))
    k.memory.set_u64(lock, word | _WAITING)
    return _Acquire(k, lock, wait)


def _grant(k: Kernel, lock: int, held: PushLock, thread: int, *, exclusive: bool) -> None:
    if exclusive:
        held.exclusive = thread
    else:
        held.shared.append(thread)
    word = _LOCKED | _SHARED * len(held.shared) | (_WAITING if held.waiters else 0)
    k.memory.set_u64(lock, word)


def _release(k: Kernel, lock: int, *, exclusive: bool) -> None:
    held = k.locks.push.get(lock)
    how = "exclusively" if exclusive else "shared"
    if held is None or not (held.exclusive if exclusive else held.shared):
        k.tell("lock-not-held", f"a push lock was released that is not held {how}")
        return
    thread = k.thread.object
    if thread not in (held.exclusive, *held.shared):
        k.tell("lock-not-owner", "a push lock was released by a thread that does not hold it")
    k.tell("lock-released", _KIND, lock)
    if exclusive:
        held.exclusive = 0
    else:
        held.shared.remove(thread if thread in held.shared else held.shared[0])
    if not held.shared:
        k.memory.set_u64(lock, 0)
        _hand_over(k, lock, held)
    else:
        word = _LOCKED | _SHARED * len(held.shared) | (_WAITING if held.waiters else 0)
        k.memory.set_u64(lock, word)


def _hand_over(k: Kernel, lock: int, held: PushLock) -> None:
    """Give it to who has waited longest; with a shared one all shared ones right behind it."""
    while held.waiters:
        first = held.waiters[0]
        if held.exclusive or (first.exclusive and held.shared):
            break
        held.waiters.popleft()
        _grant(k, lock, held, first.thread.object, exclusive=first.exclusive)
        k.dispatcher.end(first.waiting, 0)
    if not held.exclusive and not held.shared:
        del k.locks.push[lock]


@export("VOID ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)", irql=APC_LEVEL)
def ExAcquirePushLockExclusiveEx(k: Kernel, PushLock: int, Flags: int) -> int | _Acquire:
    """WDK: "ExAcquirePushLockExclusive macro (wdm.h)": in a critical region."""
    apcs_must_be_disabled(k, "ExAcquirePushLockExclusive")
    return _acquire(k, PushLock, exclusive=True)


@export("VOID ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)", irql=APC_LEVEL)
def ExAcquirePushLockSharedEx(k: Kernel, PushLock: int, Flags: int) -> int | _Acquire:
    """WDK: "ExAcquirePushLockShared macro (wdm.h)": in a critical region."""
    apcs_must_be_disabled(k, "ExAcquirePushLockShared")
    return _acquire(k, PushLock, exclusive=False)


@export("VOID ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)", irql=APC_LEVEL)
def ExReleasePushLockExclusiveEx(k: Kernel, PushLock: int, Flags: int) -> None:
    """WDK: "ExReleasePushLockExclusive macro (wdm.h)"."""
    _release(k, PushLock, exclusive=True)


@export("VOID ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)", irql=APC_LEVEL)
def ExReleasePushLockSharedEx(k: Kernel, PushLock: int, Flags: int) -> None:
    """WDK: "ExReleasePushLockShared macro (wdm.h)"."""
    _release(k, PushLock, exclusive=False)
