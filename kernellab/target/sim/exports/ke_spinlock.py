"""Spin locks between simulated processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Spin, Steps
from .ke import KeLowerIrql, raise_irql
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeInitializeSpinLock(k: Kernel, SpinLock: int) -> None:
    """WDK: "KeInitializeSpinLock function (wdm.h)"."""
    k.memory.set_u64(SpinLock, 0)


def take(k: Kernel, lock: int, result: int = 0) -> int | Steps:
    """Acquire a lock, spinning while another processor holds it; ``result`` when it is done."""
    if not k.memory.u64(lock):
        _own(k, lock)
        return result
    if k.memory.u64(lock) == k.scheduler.current.number + 1:
        raise BugCheck(
            *("SPIN_LOCK_ALREADY_OWNED", lock),
            message="A spin lock was acquired that this processor holds already: it would wait "
            "for itself for ever.",
        )
    return _spin(k, lock, result)


def _spin(k: Kernel, lock: int, result: int) -> Steps:
    yield Spin(lambda: not k.memory.u64(lock), f"the spin lock at {lock:#x}")
    _own(k, lock)
    return result


def _own(k: Kernel, lock: int) -> None:
    # Not 1 as in Windows: the number of the processor, so that its owner is known.
    k.memory.set_u64(lock, k.scheduler.current.number + 1)
    k.tell("spin-lock-taken", lock)


def release(k: Kernel, lock: int) -> None:
    """Release a lock. Bug check 0x10 where it is not held."""
    if not k.memory.u64(lock):
        raise BugCheck(
            *("SPIN_LOCK_NOT_OWNED", lock), message="A spin lock was released that is not held."
        )
    k.tell("spin-lock-released", lock)
    k.memory.set_u64(lock, 0)


@export("KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)", irql=DISPATCH_LEVEL)
def KeAcquireSpinLockRaiseToDpc(k: Kernel, SpinLock: int) -> int | Steps:
    """WDK: "KeAcquireSpinLockRaiseToDpc function (wdm.h)"; held already is bug check 0xF."""
    return take(k, SpinLock, raise_irql(k, DISPATCH_LEVEL))


@export("VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)", irql=DISPATCH_LEVEL)
def KeReleaseSpinLock(k: Kernel, SpinLock: int, NewIrql: int) -> None:
    """WDK: "KeReleaseSpinLock function (wdm.h)"; not held is bug check 0x10."""
    release(k, SpinLock)
    KeLowerIrql(k, NewIrql)


@export("VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)", irql=HIGH_LEVEL)
def KeAcquireSpinLockAtDpcLevel(k: Kernel, SpinLock: int) -> int | Steps:
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
        k.violation("irql-too-low", f"{name} was called at IRQL {k.cpu.irql}, below DISPATCH_LEVEL")
