"""Spin locks between simulated processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.locks import SpinThen
from .ke import KeLowerIrql, raise_irql
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeInitializeSpinLock(k: Kernel, SpinLock: int) -> None:
    """WDK: "KeInitializeSpinLock function (wdm.h)"."""
    k.memory.set_u64(SpinLock, 0)


class _Acquire(SpinThen):
    """Wait until no other processor holds the lock."""

    __slots__ = ()

    def ready(self) -> bool:
        return not self.k.memory.u64(self.address)

    def take(self) -> None:
        own(self.k, self.address)


def take(k: Kernel, lock: int, result: int = 0) -> int | SpinThen:
    """Acquire a lock, spinning while another processor holds it; ``result`` when it is done."""
    if not k.memory.u64(lock):
        own(k, lock)
        return result
    already_owned(k, lock)
    return _Acquire(k, lock, "spin lock", result)


def already_owned(k: Kernel, lock: int) -> None:
    """Bug check 0xF where this processor holds the lock itself."""
    if k.memory.u64(lock) == k.scheduler.current.number + 1:
        raise BugCheck(
            *("SPIN_LOCK_ALREADY_OWNED", lock),
            message="A spin lock was acquired that this processor holds already: it would wait "
            "for itself for ever.",
        )


def own(k: Kernel, lock: int) -> None:
    """Take a free lock."""
    # Not 1 as in Windows: the number of the processor, so that its owner is known.
    k.memory.set_u64(lock, k.scheduler.current.number + 1)
    k.tell("lock-taken", "spin lock", lock)


def release(k: Kernel, lock: int) -> None:
    """Release a lock. Bug check 0x10 where it is not held."""
    if not k.memory.u64(lock):
        raise BugCheck(
            *("SPIN_LOCK_NOT_OWNED", lock), message="A spin lock was released that is not held."
        )
    k.tell("lock-released", "spin lock", lock)
    k.memory.set_u64(lock, 0)


@export("KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)", irql=DISPATCH_LEVEL)
def KeAcquireSpinLockRaiseToDpc(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "KeAcquireSpinLockRaiseToDpc function (wdm.h)"; held already is bug check 0xF."""
    return take(k, SpinLock, raise_irql(k, DISPATCH_LEVEL))


@export("VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)", irql=DISPATCH_LEVEL)
def KeReleaseSpinLock(k: Kernel, SpinLock: int, NewIrql: int) -> None:
    """WDK: "KeReleaseSpinLock function (wdm.h)"; not held is bug check 0x10."""
    release(k, SpinLock)
    KeLowerIrql(k, NewIrql)


@export("VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeAcquireSpinLockAtDpcLevel(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "KeAcquireSpinLockAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "KeAcquireSpinLockAtDpcLevel")
    return take(k, SpinLock)


@export("VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeReleaseSpinLockFromDpcLevel(k: Kernel, SpinLock: int) -> None:
    """WDK: "KeReleaseSpinLockFromDpcLevel function (wdm.h)"."""
    at_dispatch(k, "KeReleaseSpinLockFromDpcLevel")
    release(k, SpinLock)


def at_dispatch(k: Kernel, name: str) -> None:
    """Report a routine that has to be called at DISPATCH_LEVEL or above and was not."""
    if k.cpu.irql < DISPATCH_LEVEL:
        k.tell("called-below-irql", name, DISPATCH_LEVEL)


@export("BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeTryToAcquireSpinLockAtDpcLevel(k: Kernel, SpinLock: int) -> bool:
    """WDK: "KeTryToAcquireSpinLockAtDpcLevel function (wdm.h)"."""
    at_dispatch(k, "KeTryToAcquireSpinLockAtDpcLevel")
    if k.memory.u64(SpinLock):
        return False
    own(k, SpinLock)
    return True


@export("BOOLEAN KeTestSpinLock(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeTestSpinLock(k: Kernel, SpinLock: int) -> bool:
    """WDK: "KeTestSpinLock function (wdm.h)": TRUE while nobody holds it."""
    return not k.memory.u64(SpinLock)


@export("KIRQL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)", irql=DISPATCH_LEVEL)
def KeAcquireSpinLockForDpc(k: Kernel, SpinLock: int) -> int | SpinThen:
    """WDK: "KeAcquireSpinLockForDpc function (wdm.h)": in ordinary and threaded DPCs."""
    return take(k, SpinLock, raise_irql(k, DISPATCH_LEVEL))


@export("VOID KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)", irql=DISPATCH_LEVEL)
def KeReleaseSpinLockForDpc(k: Kernel, SpinLock: int, OldIrql: int) -> None:
    """WDK: "KeReleaseSpinLockForDpc function (wdm.h)"."""
    release(k, SpinLock)
    KeLowerIrql(k, OldIrql)
