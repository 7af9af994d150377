"""Deferred procedure calls and kernel timers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.dispatcher import Kind
from ..kernel.dpc import queue_dpc
from ..kernel.structs import Struct, size_of
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_DPC_OBJECT: Final = 19
_MEDIUM: Final = 1


@export(
    "VOID KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)",
    irql=HIGH_LEVEL,
)
def KeInitializeDpc(k: Kernel, Dpc: int, DeferredRoutine: int, DeferredContext: int) -> None:
    """WDK: "KeInitializeDpc function (wdm.h)"."""
    k.memory.write(Dpc, bytes(size_of("KDPC")))
    entry = Struct(k.memory, "KDPC", Dpc)
    entry["Type"] = _DPC_OBJECT
    entry["Importance"] = _MEDIUM
    entry["DeferredRoutine"] = DeferredRoutine
    entry["DeferredContext"] = DeferredContext


@export(
    "BOOLEAN KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)",
    irql=HIGH_LEVEL,
)
def KeInsertQueueDpc(k: Kernel, Dpc: int, SystemArgument1: int, SystemArgument2: int) -> bool:
    """WDK: "KeInsertQueueDpc function (wdm.h)". False where it is queued already."""
    return queue_dpc(k, Dpc, SystemArgument1, SystemArgument2)


@export("BOOLEAN KeRemoveQueueDpc(PRKDPC Dpc)", irql=HIGH_LEVEL)
def KeRemoveQueueDpc(k: Kernel, Dpc: int) -> bool:
    """WDK: "KeRemoveQueueDpc function (wdm.h)". True where it was queued."""
    if not k.scheduler.remove_dpc(Dpc):
        return False
    Struct(k.memory, "KDPC", Dpc)["DpcData"] = 0
    return True


@export("VOID KeInitializeTimer(PKTIMER Timer)", irql=DISPATCH_LEVEL)
def KeInitializeTimer(k: Kernel, Timer: int) -> None:
    """WDK: "KeInitializeTimer function (wdm.h)": a notification timer."""
    k.timers.initialize(Timer, Kind.NOTIFICATION_TIMER)


@export("VOID KeInitializeTimerEx(PKTIMER Timer, ULONG Type)", irql=DISPATCH_LEVEL)
def KeInitializeTimerEx(k: Kernel, Timer: int, Type: int) -> None:
    """WDK: "KeInitializeTimerEx function (wdm.h)". Type 0 notifies, 1 synchronizes."""
    k.timers.initialize(Timer, Kind.SYNCHRONIZATION_TIMER if Type else Kind.NOTIFICATION_TIMER)


@export("BOOLEAN KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)", irql=DISPATCH_LEVEL)
def KeSetTimer(k: Kernel, Timer: int, DueTime: int, Dpc: int) -> bool:
    """WDK: "KeSetTimer function (wdm.h)". True where it was set already."""
    return k.timers.set(Timer, DueTime, 0, Dpc)


@export(
    "BOOLEAN KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)",
    irql=DISPATCH_LEVEL,
)
def KeSetTimerEx(k: Kernel, Timer: int, DueTime: int, Period: int, Dpc: int) -> bool:
    """WDK: "KeSetTimerEx function (wdm.h)". The period is in milliseconds."""
    return k.timers.set(Timer, DueTime, max(Period, 0), Dpc)


@export("BOOLEAN KeCancelTimer(PKTIMER Timer)", irql=DISPATCH_LEVEL)
def KeCancelTimer(k: Kernel, Timer: int) -> bool:
    """WDK: "KeCancelTimer function (wdm.h)". True where it was set."""
    return k.timers.cancel(Timer)


@export("BOOLEAN KeReadStateTimer(PKTIMER Timer)", irql=DISPATCH_LEVEL)
def KeReadStateTimer(k: Kernel, Timer: int) -> bool:
    """WDK: "KeReadStateTimer function (wdm.h)"."""
    return k.dispatcher.state(Timer) > 0
