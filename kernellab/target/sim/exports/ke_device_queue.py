"""Device queues. WDK page: "Introduction to Device Queues"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import io_queue
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("VOID KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue)", irql=HIGH_LEVEL)
def KeInitializeDeviceQueue(k: Kernel, DeviceQueue: int) -> None:
    """WDK: "KeInitializeDeviceQueue function (ntifs.h)"."""
    io_queue.initialize(k, DeviceQueue)


@export(
    "BOOLEAN KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, "
    "PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)",
    irql=DISPATCH_LEVEL,
)
def KeInsertDeviceQueue(k: Kernel, DeviceQueue: int, DeviceQueueEntry: int) -> bool:
    """WDK: "KeInsertDeviceQueue function (ntifs.h)": FALSE where the device was not busy."""
    return io_queue.insert(k, DeviceQueue, DeviceQueueEntry, None)


@export(
    "BOOLEAN KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, "
    "PKDEVICE_QUEUE_ENTRY DeviceQueueEntry, ULONG SortKey)",
    irql=DISPATCH_LEVEL,
)
def KeInsertByKeyDeviceQueue(
    k: Kernel, DeviceQueue: int, DeviceQueueEntry: int, SortKey: int
) -> bool:
    """WDK: "KeInsertByKeyDeviceQueue function (ntifs.h)"."""
    return io_queue.insert(k, DeviceQueue, DeviceQueueEntry, SortKey)


@export("PKDEVICE_QUEUE_ENTRY KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue)", irql=DISPATCH_LEVEL)
def KeRemoveDeviceQueue(k: Kernel, DeviceQueue: int) -> int:
    """WDK: "KeRemoveDeviceQueue function (ntifs.h)": NULL where it is empty, and not busy then."""
    return io_queue.remove(k, DeviceQueue)


@export(
    "PKDEVICE_QUEUE_ENTRY KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey)",
    irql=DISPATCH_LEVEL,
)
def KeRemoveByKeyDeviceQueue(k: Kernel, DeviceQueue: int, SortKey: int) -> int:
    """WDK: "KeRemoveByKeyDeviceQueue function (ntifs.h)"."""
    return io_queue.remove(k, DeviceQueue, SortKey)


@export(
    "PKDEVICE_QUEUE_ENTRY KeRemoveByKeyDeviceQueueIfBusy(PKDEVICE_QUEUE DeviceQueue, "
    "ULONG SortKey)",
    irql=DISPATCH_LEVEL,
)
def KeRemoveByKeyDeviceQueueIfBusy(k: Kernel, DeviceQueue: int, SortKey: int) -> int:
    """WDK: "KeRemoveByKeyDeviceQueueIfBusy function (ntifs.h)"."""
    return io_queue.remove(k, DeviceQueue, SortKey) if io_queue.busy(k, DeviceQueue) else 0


@export(
    "BOOLEAN KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, "
    "PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)",
    irql=DISPATCH_LEVEL,
)
def KeRemoveEntryDeviceQueue(k: Kernel, DeviceQueue: int, DeviceQueueEntry: int) -> bool:
    """WDK: "KeRemoveEntryDeviceQueue function (ntifs.h)": whether it was queued."""
    return io_queue.remove_entry(k, DeviceQueue, DeviceQueueEntry)
