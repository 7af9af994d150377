"""Plug and Play notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import pnp_notify
from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.pnp import Action, DeviceNode
from ..kernel.pnp_notify import INTERFACE, KIND, PROFILE, TARGET, guid_at
from ..kernel.structs import Struct, const
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"PnpN", "little")
_INCLUDE_EXISTING: Final = 1  # PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES


@export(
    "NTSTATUS IoRegisterPlugPlayNotification(ULONG EventCategory, ULONG EventCategoryFlags, "
    "PVOID EventCategoryData, PDRIVER_OBJECT DriverObject, "
    "PDRIVER_NOTIFICATION_CALLBACK_ROUTINE CallbackRoutine, PVOID Context, "
    "PVOID *NotificationEntry)",
    irql=PASSIVE_LEVEL,
    simplified="the hardware profile never changes",
)
def IoRegisterPlugPlayNotification(
    k: Kernel,
    EventCategory: int,
    EventCategoryFlags: int,
    EventCategoryData: int,
    DriverObject: int,
    CallbackRoutine: int,
    Context: int,
    NotificationEntry: int,
) -> int | Steps:
    """WDK: "IoRegisterPlugPlayNotification function (wdm.h)".

    Interfaces of a class that come and go, and on request those that are there; the removal and
    custom events of the device that a file object is open on.
    """
    if EventCategory == INTERFACE:
        detail: tuple[object, ...] = (INTERFACE, str(guid_at(k, EventCategoryData)))
    elif EventCategory == TARGET:
        k.ob.get(EventCategoryData)
        device = Struct(k.memory, "FILE_OBJECT", EventCategoryData)["DeviceObject"]
        detail = TARGET, EventCategoryData, device
    elif EventCategory == PROFILE:
        detail = (PROFILE,)
    else:
        return const("STATUS_INVALID_PARAMETER")
    entry = k.pool.allocate(8, _TAG)
    if not entry:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    made = Registration(*(KIND, CallbackRoutine, k.caller(), Context), cookie=entry, detail=detail)
    registration = k.callbacks.add(made)
    k.memory.set_u64(NotificationEntry, entry)
    if EventCategory == INTERFACE and EventCategoryFlags & _INCLUDE_EXISTING:
        return _existing(k, registration)
    return 0


def _existing(k: Kernel, registration: Registration) -> Steps:
    for interface in list(k.interfaces.values()):
        if interface.enabled:
            yield from pnp_notify.interface_event(k, interface.name, 1, only=registration)
    return 0


def _unregister(k: Kernel, entry: int, routine: str) -> int | Steps:
    registration = k.callbacks.find(KIND, cookie=entry)
    if registration is None:
        k.tell("bad-callback", f"{routine} was given {entry:#x}, which is registered no more")
        k.memory.u64(entry)  # faults as it would in Windows: the entry is freed
        return const("STATUS_INVALID_PARAMETER")
    k.callbacks.remove(registration)
    k.pool.free(k.pool.live[entry])
    return k.callbacks.drain(registration)


@export("NTSTATUS IoUnregisterPlugPlayNotification(PVOID NotificationEntry)", irql=PASSIVE_LEVEL)
def IoUnregisterPlugPlayNotification(k: Kernel, NotificationEntry: int) -> int | Steps:
    """WDK: "IoUnregisterPlugPlayNotification function (wdm.h)"; waits for a running callback."""
    return _unregister(k, NotificationEntry, "IoUnregisterPlugPlayNotification")


@export("NTSTATUS IoUnregisterPlugPlayNotificationEx(PVOID NotificationEntry)", irql=PASSIVE_LEVEL)
def IoUnregisterPlugPlayNotificationEx(k: Kernel, NotificationEntry: int) -> int | Steps:
    """WDK: "IoUnregisterPlugPlayNotificationEx function (wdm.h)"; no callback runs afterwards."""
    return _unregister(k, NotificationEntry, "IoUnregisterPlugPlayNotificationEx")


def _copy(k: Kernel, pdo: int, notification: int) -> tuple[DeviceNode, int] | int:
    """The node and a copy of the notification, or the NTSTATUS that refuses it."""
    node = k.pnp.by_pdo(pdo)
    if node is None:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    name = "TARGET_DEVICE_CUSTOM_NOTIFICATION"
    entry = Struct(k.memory, name, notification)
    event = str(guid_at(k, entry.at("Event")))
    if event in pnp_notify.SYSTEM_EVENTS:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    if entry["FileObject"]:
        k.tell("bad-callback", f"{name}.FileObject has to be NULL: the PnP manager fills it in")
    size = entry["Size"]
    block = k.pool.allocate(size, _TAG)
    if not block:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    k.memory.write(block, k.memory.read(notification, size))
    return node, block


@export(
    "NTSTATUS IoReportTargetDeviceChange(PDEVICE_OBJECT PhysicalDeviceObject, "
    "PVOID NotificationStructure)",
    irql=PASSIVE_LEVEL,
)
def IoReportTargetDeviceChange(
    k: Kernel, PhysicalDeviceObject: int, NotificationStructure: int
) -> int | Steps:
    """WDK: "IoReportTargetDeviceChange function (wdm.h)": returns when all were told."""
    copied = _copy(k, PhysicalDeviceObject, NotificationStructure)
    if isinstance(copied, int):
        return copied
    return _report(k, *copied)


def _report(k: Kernel, node: DeviceNode, block: int) -> Steps:
    yield from pnp_notify.custom_event(k, node, block)
    return 0


@export(
    "NTSTATUS IoReportTargetDeviceChangeAsynchronous(PDEVICE_OBJECT PhysicalDeviceObject, "
    "PVOID NotificationStructure, PDEVICE_CHANGE_COMPLETE_CALLBACK Callback, PVOID Context)",
    irql=DISPATCH_LEVEL,
)
def IoReportTargetDeviceChangeAsynchronous(
    k: Kernel, PhysicalDeviceObject: int, NotificationStructure: int, Callback: int, Context: int
) -> int:
    """WDK: "IoReportTargetDeviceChangeAsynchronous function (wdm.h)": STATUS_PENDING.

    The callback is called when all were told.
    """
    copied = _copy(k, PhysicalDeviceObject, NotificationStructure)
    if isinstance(copied, int):
        return copied
    k.pnp.later(Action("custom", PhysicalDeviceObject, arguments=(copied[1], Callback, Context)))
    return const("STATUS_PENDING")
