"""Mutexes and semaphores: dispatcher objects that threads own or count.

WDK: "Mutex Objects", "Semaphore Objects".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.dispatcher import Kind
from ..kernel.execution import RaisedStatus
from ..kernel.execution import Wait as Blocked
from ..kernel.structs import Struct, const, size_of
from .ke_wait import KeWaitForSingleObject
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


def _initialize(k: Kernel, mutex: int, *, apc_disable: int) -> None:
    k.memory.write(mutex, bytes(size_of("KMUTANT")))
    k.dispatcher.initialize(mutex, Kind.MUTANT, size_of("KMUTANT"), 1)
    Struct(k.memory, "KMUTANT", mutex)["ApcDisable"] = apc_disable


@export("VOID KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)", irql=PASSIVE_LEVEL)
def KeInitializeMutex(k: Kernel, Mutex: int, Level: int) -> None:
    """WDK: "KeInitializeMutex function (wdm.h)": who owns it gets no normal kernel APCs."""
    _initialize(k, Mutex, apc_disable=1)


@export("VOID KeInitializeMutant(PRKMUTANT Mutant, BOOLEAN InitialOwner)", irql=PASSIVE_LEVEL)
def KeInitializeMutant(k: Kernel, Mutant: int, InitialOwner: int) -> None:
    """WDK: "KeInitializeMutant function (ntifs.h)": a mutex that does not hold off APCs."""
    _initialize(k, Mutant, apc_disable=0)
    if InitialOwner:
        k.dispatcher.wait((Mutant,), timeout=0)


@export("LONG KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)", irql=DISPATCH_LEVEL)
def KeReleaseMutex(k: Kernel, Mutex: int, Wait: int) -> int:
    """WDK: "KeReleaseMutex function (wdm.h)": 0 where it is free now.

    Raises STATUS_MUTANT_NOT_OWNED in a thread that does not own it.
    """
    old = k.dispatcher.release_mutant(Mutex)
    k.dispatcher.keep_irql(Wait)
    return old


@export("LONG KeReleaseMutant(PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned, "
        "BOOLEAN Wait)", irql=DISPATCH_LEVEL)  # fmt: skip
def KeReleaseMutant(k: Kernel, Mutant: int, Increment: int, Abandoned: int, Wait: int) -> int:
    """WDK: "KeReleaseMutant function (ntifs.h)": drivers pass FALSE for Abandoned."""
    return KeReleaseMutex(k, Mutant, Wait)  # type: ignore[no-any-return]


@export("LONG KeReadStateMutex(PRKMUTEX Mutex)", irql=DISPATCH_LEVEL)
def KeReadStateMutex(k: Kernel, Mutex: int) -> int:
    """WDK: "KeReadStateMutex function (wdm.h)": 1 while it is free."""
    return k.dispatcher.state(Mutex)


@export("LONG KeReadStateMutant(PRKMUTANT Mutant)", irql=DISPATCH_LEVEL)
def KeReadStateMutant(k: Kernel, Mutant: int) -> int:
    """WDK: "KeReadStateMutant function (ntifs.h)"."""
    return k.dispatcher.state(Mutant)


@export(
    "NTSTATUS KeWaitForMutexObject(PRKMUTEX Mutex, KWAIT_REASON WaitReason, "
    "KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout)",
    irql=DISPATCH_LEVEL,
)
def KeWaitForMutexObject(
    k: Kernel, Mutex: int, WaitReason: int, WaitMode: int, Alertable: int, Timeout: int
) -> int | Blocked:
    """WDK: "KeWaitForMutexObject function (wdm.h)": another name of KeWaitForSingleObject."""
    return KeWaitForSingleObject(k, Mutex, WaitReason, WaitMode, Alertable, Timeout)  # type: ignore[no-any-return]


@export("VOID KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)",
        irql=HIGH_LEVEL)  # fmt: skip
def KeInitializeSemaphore(k: Kernel, Semaphore: int, Count: int, Limit: int) -> None:
    """WDK: "KeInitializeSemaphore function (wdm.h)"."""
    k.dispatcher.initialize(Semaphore, Kind.SEMAPHORE, size_of("KSEMAPHORE"), Count)
    Struct(k.memory, "KSEMAPHORE", Semaphore)["Limit"] = Limit


@export("LONG KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, "
        "BOOLEAN Wait)", irql=DISPATCH_LEVEL)  # fmt: skip
def KeReleaseSemaphore(
    k: Kernel, Semaphore: int, Increment: int, Adjustment: int, Wait: int
) -> int:
    """WDK: "KeReleaseSemaphore function (wdm.h)": the count before.

    Raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, and changes nothing, above the limit.
    """
    old = k.dispatcher.state(Semaphore)
    limit = Struct(k.memory, "KSEMAPHORE", Semaphore)["Limit"]
    if not old < old + Adjustment <= limit:
        raise RaisedStatus(
            const("STATUS_SEMAPHORE_LIMIT_EXCEEDED"),
            f"A semaphore with a count of {old} and a limit of {limit} was released by "
            f"{Adjustment}.",
        )
    k.dispatcher.signal(Semaphore, old + Adjustment)
    k.dispatcher.keep_irql(Wait)
    return old


@export("LONG KeReadStateSemaphore(PRKSEMAPHORE Semaphore)", irql=HIGH_LEVEL)
def KeReadStateSemaphore(k: Kernel, Semaphore: int) -> int:
    """WDK: "KeReadStateSemaphore function (wdm.h)"."""
    return k.dispatcher.state(Semaphore)
