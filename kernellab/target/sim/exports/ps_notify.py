"""Being told of processes, threads and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import ps_notify as notify
from ..kernel.execution import Steps
from ..kernel.structs import const
from .registry import PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_UNSIGNED = "the image need not be linked with /INTEGRITYCHECK"


def _process(k: Kernel, routine: int, remove: int, detail: str) -> int | Steps:
    registration = k.callbacks.find(notify.PROCESS, routine=routine)
    if remove:
        return notify.unregister(k, notify.PROCESS, routine)
    if registration is not None:
        return const("STATUS_INVALID_PARAMETER")
    return notify.register(k, notify.PROCESS, routine, detail)


@export(
    "NTSTATUS PsSetCreateProcessNotifyRoutine(PCREATE_PROCESS_NOTIFY_ROUTINE NotifyRoutine, "
    "BOOLEAN Remove)",
    irql=PASSIVE_LEVEL,
)
def PsSetCreateProcessNotifyRoutine(k: Kernel, NotifyRoutine: int, Remove: int) -> int | Steps:
    """WDK: "PsSetCreateProcessNotifyRoutine function (ntddk.h)"."""
    return _process(k, NotifyRoutine, Remove, notify.PLAIN)


@export(
    "NTSTATUS PsSetCreateProcessNotifyRoutineEx(PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine, "
    "BOOLEAN Remove)",
    irql=PASSIVE_LEVEL,
    simplified=_UNSIGNED,
)
def PsSetCreateProcessNotifyRoutineEx(k: Kernel, NotifyRoutine: int, Remove: int) -> int | Steps:
    """WDK: "PsSetCreateProcessNotifyRoutineEx function (ntddk.h)"; it may refuse a creation."""
    return _process(k, NotifyRoutine, Remove, notify.EXTENDED)


@export(
    "NTSTATUS PsSetCreateProcessNotifyRoutineEx2(ULONG NotifyType, PVOID NotifyInformation, "
    "BOOLEAN Remove)",
    irql=PASSIVE_LEVEL,
    simplified=_UNSIGNED,
)
def PsSetCreateProcessNotifyRoutineEx2(
    k: Kernel, NotifyType: int, NotifyInformation: int, Remove: int
) -> int | Steps:
    """WDK: "PsSetCreateProcessNotifyRoutineEx2 function (ntddk.h)"."""
    if NotifyType != const("PsCreateProcessNotifySubsystems"):
        return const("STATUS_INVALID_PARAMETER")
    return _process(k, NotifyInformation, Remove, notify.EXTENDED)


@export(
    "NTSTATUS PsSetCreateThreadNotifyRoutine(PCREATE_THREAD_NOTIFY_ROUTINE NotifyRoutine)",
    irql=PASSIVE_LEVEL,
)
def PsSetCreateThreadNotifyRoutine(k: Kernel, NotifyRoutine: int) -> int:
    """WDK: "PsSetCreateThreadNotifyRoutine function (ntddk.h)"."""
    return notify.register(k, notify.THREAD, NotifyRoutine, notify.PLAIN)


@export(
    "NTSTATUS PsSetCreateThreadNotifyRoutineEx(ULONG NotifyType, PVOID NotifyInformation)",
    irql=PASSIVE_LEVEL,
    simplified="called in the creating thread's context, rather than in the new one's",
)
def PsSetCreateThreadNotifyRoutineEx(k: Kernel, NotifyType: int, NotifyInformation: int) -> int:
    """WDK: "PsSetCreateThreadNotifyRoutineEx function (ntddk.h)"."""
    kinds = {
        const("PsCreateThreadNotifyNonSystem"): notify.NON_SYSTEM,
        const("PsCreateThreadNotifySubsystems"): notify.PLAIN,
    }
    if NotifyType not in kinds:
        return const("STATUS_INVALID_PARAMETER")
    return notify.register(k, notify.THREAD, NotifyInformation, kinds[NotifyType])


@export(
    "NTSTATUS PsRemoveCreateThreadNotifyRoutine(PCREATE_THREAD_NOTIFY_ROUTINE NotifyRoutine)",
    irql=PASSIVE_LEVEL,
)
def PsRemoveCreateThreadNotifyRoutine(k: Kernel, NotifyRoutine: int) -> Steps:
    """WDK: "PsRemoveCreateThreadNotifyRoutine function (ntddk.h)"."""
    return notify.unregister(k, notify.THREAD, NotifyRoutine)


@export(
    "NTSTATUS PsSetLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine)",
    irql=PASSIVE_LEVEL,
)
def PsSetLoadImageNotifyRoutine(k: Kernel, NotifyRoutine: int) -> int:
    """WDK: "PsSetLoadImageNotifyRoutine function (ntddk.h)"."""
    return notify.register(k, notify.IMAGE, NotifyRoutine, notify.PLAIN)


@export(
    "NTSTATUS PsSetLoadImageNotifyRoutineEx(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine, "
    "ULONG_PTR Flags)",
    irql=PASSIVE_LEVEL,
)
def PsSetLoadImageNotifyRoutineEx(k: Kernel, NotifyRoutine: int, Flags: int) -> int:
    """WDK: "PsSetLoadImageNotifyRoutineEx function (ntddk.h)". All images are of this machine."""
    if Flags & ~1:  # PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE
        return const("STATUS_INVALID_PARAMETER")
    return notify.register(k, notify.IMAGE, NotifyRoutine, notify.PLAIN)


@export(
    "NTSTATUS PsRemoveLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine)",
    irql=PASSIVE_LEVEL,
)
def PsRemoveLoadImageNotifyRoutine(k: Kernel, NotifyRoutine: int) -> Steps:
    """WDK: "PsRemoveLoadImageNotifyRoutine function (ntddk.h)"."""
    return notify.unregister(k, notify.IMAGE, NotifyRoutine)
