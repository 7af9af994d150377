"""Deferred procedure calls and kernel timers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.dispatcher import Kind
from ..kernel.dpc import DPC_OBJECT, THREADED_DPC_OBJECT, queue_dpc, set_target
from ..kernel.execution import Wait
from ..kernel.locks import EndWait, park
from ..kernel.structs import Struct, const, size_of
from ..kernel.timers import UNITS_A_MS
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_MEDIUM: Final = 1


@export(
    "VOID KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)",
    irql=HIGH_LEVEL,
)
def KeInitializeDpc(k: Kernel, Dpc: int, DeferredRoutine: int, DeferredContext: int) -> None:
    """WDK: "KeInitializeDpc function (wdm.h)"."""
    _initialize(k, Dpc, DPC_OBJECT, DeferredRoutine, DeferredContext)


def _initialize(k: Kernel, dpc: int, kind: int, routine: int, context: int) -> None:
    k.memory.write(dpc, bytes(size_of("KDPC")))
    entry = Struct(k.memory, "KDPC", dpc)
    entry["Type"] = kind
    entry["Importance"] = _MEDIUM
    entry["DeferredRoutine"] = routine
    entry["DeferredContext"] = context


@export(
    "VOID KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, "
    "PVOID DeferredContext)",
    irql=HIGH_LEVEL,
)
def KeInitializeThreadedDpc(
    k: Kernel, Dpc: int, DeferredRoutine: int, DeferredContext: int
) -> None:
    """WDK: "KeInitializeThreadedDpc function (wdm.h)": its routine runs at PASSIVE_LEVEL."""
    _initialize(k, Dpc, THREADED_DPC_OBJECT, DeferredRoutine, DeferredContext)


@export("VOID KeSetImportanceDpc(PRKDPC Dpc, ULONG Importance)", irql=HIGH_LEVEL)
def KeSetImportanceDpc(k: Kernel, Dpc: int, Importance: int) -> None:
    """WDK: "KeSetImportanceDpc function (wdm.h)": HighImportance goes first in the queue."""
    Struct(k.memory, "KDPC", Dpc)["Importance"] = Importance


@export("VOID KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number)", irql=HIGH_LEVEL)
def KeSetTargetProcessorDpc(k: Kernel, Dpc: int, Number: int) -> None:
    """WDK: "KeSetTargetProcessorDpc function (ntddk.h)"; no such processor is bug check 0xC7."""
    set_target(k, Dpc, Number)


@export("NTSTATUS KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)",
        irql=HIGH_LEVEL)  # fmt: skip
def KeSetTargetProcessorDpcEx(k: Kernel, Dpc: int, ProcNumber: int) -> int:
    """WDK: "KeSetTargetProcessorDpcEx function (wdm.h)"."""
    number = Struct(k.memory, "PROCESSOR_NUMBER", ProcNumber)
    if number["Group"] or number["Reserved"] or number["Number"] >= len(k.scheduler.processors):
        return const("STATUS_INVALID_PARAMETER")
    set_target(k, Dpc, number["Number"])
    return 0


@export("VOID KeFlushQueuedDpcs(VOID)", irql=PASSIVE_LEVEL)
def KeFlushQueuedDpcs(k: Kernel) -> int | Wait:
    """WDK: "KeFlushQueuedDpcs function (wdm.h)": waits for all that are queued on any processor."""
    return flush(k)


def flush(k: Kernel) -> int | Wait:
    """Block the current thread until each DPC that is queued or runs now has run."""
    action = EndWait(k)
    if not k.scheduler.dpcs.afterwards(action):
        return 0
    action.waiting, wait = park(k, "the DPCs that are queued")
    return wait


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
    if not k.scheduler.dpcs.remove(Dpc):
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
    return k.timers.set(Timer, DueTime, max(Period, 0) * UNITS_A_MS, Dpc)


@export(
    "BOOLEAN KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, "
    "ULONG TolerableDelay, PKDPC Dpc)",
    irql=DISPATCH_LEVEL,
    simplified="timers are exact: the tolerable delay is never used",
)
def KeSetCoalescableTimer(
    k: Kernel, Timer: int, DueTime: int, Period: int, TolerableDelay: int, Dpc: int
) -> bool:
    """WDK: "KeSetCoalescableTimer function (wdm.h)"; Period and TolerableDelay: milliseconds."""
    return k.timers.set(Timer, DueTime, Period * UNITS_A_MS, Dpc)


@export("BOOLEAN KeCancelTimer(PKTIMER Timer)", irql=DISPATCH_LEVEL)
def KeCancelTimer(k: Kernel, Timer: int) -> bool:
    """WDK: "KeCancelTimer function (wdm.h)". True where it was set."""
    return k.timers.cancel(Timer)


@export("BOOLEAN KeReadStateTimer(PKTIMER Timer)", irql=DISPATCH_LEVEL)
def KeReadStateTimer(k: Kernel, Timer: int) -> bool:
    """WDK: "KeReadStateTimer function (wdm.h)"."""
    return k.dispatcher.state(Timer) > 0
