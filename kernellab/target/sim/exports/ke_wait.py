"""Events, and waiting for dispatcher objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.dispatcher import WAIT_ANY, Kind
from ..kernel.execution import Wait as Blocked
from ..kernel.structs import size_of
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_MAXIMUM_WAIT_OBJECTS = 64
_THREAD_WAIT_OBJECTS = 3


@export("VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)", irql=HIGH_LEVEL)
def KeInitializeEvent(k: Kernel, Event: int, Type: int, State: int) -> None:
    """WDK: "KeInitializeEvent function (wdm.h)". Type 0 notifies, 1 synchronizes."""
    k.dispatcher.initialize(Event, Kind(Type & 1), size_of("KEVENT"), int(bool(State)))


@export("LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)", irql=DISPATCH_LEVEL)
def KeSetEvent(k: Kernel, Event: int, Increment: int, Wait: int) -> int:
    """WDK: "KeSetEvent function (wdm.h)": the state before; the priority boost is not given."""
    old = k.dispatcher.signal(Event, 1)
    k.dispatcher.keep_irql(Wait)
    return old


@export("LONG KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)", irql=DISPATCH_LEVEL)
def KePulseEvent(k: Kernel, Event: int, Increment: int, Wait: int) -> int:
    """WDK: "KePulseEvent function (ntifs.h)": for who waits now; the state before."""
    old = k.dispatcher.pulse(Event)
    k.dispatcher.keep_irql(Wait)
    return old


@export("VOID KeClearEvent(PRKEVENT Event)", irql=DISPATCH_LEVEL)
def KeClearEvent(k: Kernel, Event: int) -> None:
    """WDK: "KeClearEvent function (wdm.h)"."""
    k.dispatcher.set_state(Event, 0)


@export("LONG KeResetEvent(PRKEVENT Event)", irql=DISPATCH_LEVEL)
def KeResetEvent(k: Kernel, Event: int) -> int:
    """WDK: "KeResetEvent function (wdm.h)": the state before."""
    old = k.dispatcher.state(Event)
    k.dispatcher.set_state(Event, 0)
    return old


@export("LONG KeReadStateEvent(PRKEVENT Event)", irql=DISPATCH_LEVEL)
def KeReadStateEvent(k: Kernel, Event: int) -> int:
    """WDK: "KeReadStateEvent function (wdm.h)"."""
    return k.dispatcher.state(Event)


@export(
    "NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, "
    "KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout)",
    irql=DISPATCH_LEVEL,
)
def KeWaitForSingleObject(
    k: Kernel, Object: int, WaitReason: int, WaitMode: int, Alertable: int, Timeout: int
) -> int | Blocked:
    """WDK: "KeWaitForSingleObject function (wdm.h)". At DISPATCH_LEVEL only with a zero timeout."""
    timeout = interval(k, Timeout) if Timeout else None
    return k.dispatcher.wait((Object,), timeout=timeout, alertable=bool(Alertable))


@export(
    "NTSTATUS KeWaitForMultipleObjects(ULONG Count, PVOID *Object, ULONG WaitType, "
    "KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, "
    "PLARGE_INTEGER Timeout, PKWAIT_BLOCK WaitBlockArray)",
    irql=DISPATCH_LEVEL,
)
def KeWaitForMultipleObjects(
    k: Kernel,
    Count: int,
    Object: int,
    WaitType: int,
    WaitReason: int,
    WaitMode: int,
    Alertable: int,
    Timeout: int,
    WaitBlockArray: int,
) -> int | Blocked:
    """WDK: "KeWaitForMultipleObjects function (wdm.h)". More than 3 need a WaitBlockArray."""
    if Count > (_MAXIMUM_WAIT_OBJECTS if WaitBlockArray else _THREAD_WAIT_OBJECTS):
        raise BugCheck(
            "MAXIMUM_WAIT_OBJECTS_EXCEEDED",
            message=f"The driver waited for {Count} objects: 3 at most without a WaitBlockArray, "
            "64 with one.",
        )
    objects = tuple(k.memory.u64(Object + 8 * n) for n in range(Count))
    return k.dispatcher.wait(
        objects,
        every=WaitType != WAIT_ANY,
        timeout=interval(k, Timeout),
        alertable=bool(Alertable),
        why=f"{'one' if WaitType == WAIT_ANY else 'all'} of {Count} objects",
    )


@export(
    "NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, "
    "PLARGE_INTEGER Interval)",
    irql=APC_LEVEL,
)
def KeDelayExecutionThread(
    k: Kernel, WaitMode: int, Alertable: int, Interval: int
) -> int | Blocked:
    """WDK: "KeDelayExecutionThread function (wdm.h)". Negative intervals are relative."""
    return k.dispatcher.sleep(interval(k, Interval) or 0, alertable=bool(Alertable))


def interval(k: Kernel, pointer: int) -> int | None:
    """The signed LARGE_INTEGER at ``pointer``, None for a null pointer."""
    if not pointer:
        return None
    value = k.memory.u64(pointer)
    return value - (1 << 64) if value >> 63 else value
