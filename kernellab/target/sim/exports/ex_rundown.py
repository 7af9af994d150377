"""Run-down protection: users of a shared object, and its owner who waits for the last of them.

WDK: "Run-Down Protection". EX_RUNDOWN_REF.Count is twice the number of users, and odd once the
object is being run down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.execution import Wait
from ..kernel.locks import park
from .pool import ExAllocatePoolWithTag, ExFreePool
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ACTIVE, _USER = 1, 2
_SIZE: Final = 8


def _acquire(k: Kernel, ref: int, count: int) -> bool:
    value = k.memory.u64(ref)
    if value & _ACTIVE:
        return False
    k.memory.set_u64(ref, value + count * _USER)
    return True


def _release(k: Kernel, ref: int, count: int) -> None:
    value = k.memory.u64(ref)
    if value < count * _USER:
        k.tell("rundown-not-acquired", "run-down protection was released that nobody holds")
        return
    value -= count * _USER
    k.memory.set_u64(ref, value)
    if value == _ACTIVE:
        for waiting in k.locks.rundown.pop(ref, []):
            k.dispatcher.end(waiting, 0)


def _wait(k: Kernel, ref: int) -> int | Wait:
    value = k.memory.u64(ref) | _ACTIVE
    if value == _ACTIVE:
        k.memory.set_u64(ref, value)
        return 0
    waiting, wait = park(k, f"{value // _USER} users of the run-down protection at {ref:#x}")
    k.memory.set_u64(ref, value)
    k.locks.rundown.setdefault(ref, []).append(waiting)
    return wait


@export("VOID ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)", irql=HIGH_LEVEL)
def ExInitializeRundownProtection(k: Kernel, RunRef: int) -> None:
    """WDK: "ExInitializeRundownProtection function (wdm.h)"."""
    k.memory.set_u64(RunRef, 0)


@export("VOID ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)", irql=HIGH_LEVEL)
def ExReInitializeRundownProtection(k: Kernel, RunRef: int) -> None:
    """WDK: "ExReInitializeRundownProtection function (wdm.h)": after a run-down only."""
    if k.memory.u64(RunRef) != _ACTIVE:
        k.tell("rundown-in-use", "run-down protection was initialized anew while in use")
    k.memory.set_u64(RunRef, 0)


@export("BOOLEAN ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)", irql=DISPATCH_LEVEL)
def ExAcquireRundownProtection(k: Kernel, RunRef: int) -> bool:
    """WDK: "ExAcquireRundownProtection function (wdm.h)": FALSE once it is being run down."""
    return _acquire(k, RunRef, 1)


@export("BOOLEAN ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExAcquireRundownProtectionEx(k: Kernel, RunRef: int, Count: int) -> bool:
    """WDK: "ExAcquireRundownProtectionEx function (wdm.h)": ``Count`` times at once."""
    return _acquire(k, RunRef, Count)


@export("VOID ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)", irql=DISPATCH_LEVEL)
def ExReleaseRundownProtection(k: Kernel, RunRef: int) -> None:
    """WDK: "ExReleaseRundownProtection function (wdm.h)"."""
    _release(k, RunRef, 1)


@export("VOID ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExReleaseRundownProtectionEx(k: Kernel, RunRef: int, Count: int) -> None:
    """WDK: "ExReleaseRundownProtectionEx function (wdm.h)"."""
    _release(k, RunRef, Count)


@export("VOID ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)", irql=APC_LEVEL)
def ExWaitForRundownProtectionRelease(k: Kernel, RunRef: int) -> int | Wait:
    """WDK: "ExWaitForRundownProtectionRelease function (wdm.h)"."""
    return _wait(k, RunRef)


@export("VOID ExRundownCompleted(PEX_RUNDOWN_REF RunRef)", irql=HIGH_LEVEL)
def ExRundownCompleted(k: Kernel, RunRef: int) -> None:
    """WDK: "ExRundownCompleted function (wdm.h)": it is run down, and stays so."""
    k.memory.set_u64(RunRef, _ACTIVE)


# -- cache-aware: one count for each processor in Windows, one for all here -------------------


@export("SIZE_T ExSizeOfRundownProtectionCacheAware(VOID)", irql=HIGH_LEVEL)
def ExSizeOfRundownProtectionCacheAware(k: Kernel) -> int:
    """WDK: "ExSizeOfRundownProtectionCacheAware function (wdm.h)": bytes."""
    return _SIZE


@export("PVOID ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType, ULONG PoolTag)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExAllocateCacheAwareRundownProtection(k: Kernel, PoolType: int, PoolTag: int) -> int:
    """WDK: "ExAllocateCacheAwareRundownProtection function (wdm.h)". NULL where memory is out."""
    address: int = ExAllocatePoolWithTag(k, PoolType, _SIZE, PoolTag)
    if address:
        k.memory.set_u64(address, 0)
    return address


@export("VOID ExFreeCacheAwareRundownProtection(PVOID RunRefCacheAware)", irql=DISPATCH_LEVEL)
def ExFreeCacheAwareRundownProtection(k: Kernel, RunRefCacheAware: int) -> None:
    """WDK: "ExFreeCacheAwareRundownProtection function (wdm.h)"."""
    ExFreePool(k, RunRefCacheAware)


@export("VOID ExInitializeRundownProtectionCacheAware(PVOID RunRefCacheAware, SIZE_T RunRefSize)",
        irql=HIGH_LEVEL)  # fmt: skip
def ExInitializeRundownProtectionCacheAware(
    k: Kernel, RunRefCacheAware: int, RunRefSize: int
) -> None:
    """WDK: "ExInitializeRundownProtectionCacheAware function (wdm.h)"."""
    k.memory.set_u64(RunRefCacheAware, 0)


@export("VOID ExReInitializeRundownProtectionCacheAware(PVOID RunRefCacheAware)", irql=HIGH_LEVEL)
def ExReInitializeRundownProtectionCacheAware(k: Kernel, RunRefCacheAware: int) -> None:
    """WDK: "ExReInitializeRundownProtectionCacheAware function (wdm.h)"."""
    ExReInitializeRundownProtection(k, RunRefCacheAware)


@export("BOOLEAN ExAcquireRundownProtectionCacheAware(PVOID RunRefCacheAware)", irql=DISPATCH_LEVEL)
def ExAcquireRundownProtectionCacheAware(k: Kernel, RunRefCacheAware: int) -> bool:
    """WDK: "ExAcquireRundownProtectionCacheAware function (wdm.h)"."""
    return _acquire(k, RunRefCacheAware, 1)


@export("VOID ExReleaseRundownProtectionCacheAware(PVOID RunRefCacheAware)", irql=DISPATCH_LEVEL)
def ExReleaseRundownProtectionCacheAware(k: Kernel, RunRefCacheAware: int) -> None:
    """WDK: "ExReleaseRundownProtectionCacheAware function (wdm.h)"."""
    _release(k, RunRefCacheAware, 1)


@export("VOID ExWaitForRundownProtectionReleaseCacheAware(PVOID RunRef)", irql=APC_LEVEL)
def ExWaitForRundownProtectionReleaseCacheAware(k: Kernel, RunRef: int) -> int | Wait:
    """WDK: "ExWaitForRundownProtectionReleaseCacheAware function (wdm.h)"."""
    return _wait(k, RunRef)


@export("VOID ExRundownCompletedCacheAware(PVOID RunRefCacheAware)", irql=HIGH_LEVEL)
def ExRundownCompletedCacheAware(k: Kernel, RunRefCacheAware: int) -> None:
    """WDK: "ExRundownCompletedCacheAware function (wdm.h)"."""
    k.memory.set_u64(RunRefCacheAware, _ACTIVE)
