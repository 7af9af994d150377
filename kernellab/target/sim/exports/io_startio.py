"""StartIo: one IRP at a time for a device, the others in its device queue.

WDK pages: "Writing a StartIo Routine", "IoStartPacket function (ntifs.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import io_cancel, io_device, io_queue
from ..kernel.driver import at_same_irql
from ..kernel.execution import Call, Steps
from ..kernel.structs import Struct, place
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ENTRY: Final = place("IRP", "Tail.Overlay.DeviceQueueEntry")[0]
_QUEUE: Final = place("DEVICE_OBJECT", "DeviceQueue")[0]
#: Bits of StartIoFlags in the device's extension.
_DEFERRED, _NON_CANCELABLE = 1, 2


@export(
    "VOID IoSetStartIoAttributes(PDEVICE_OBJECT DeviceObject, BOOLEAN DeferredStartIo, "
    "BOOLEAN NonCancelable)",
    irql=HIGH_LEVEL,
)
def IoSetStartIoAttributes(
    k: Kernel, DeviceObject: int, DeferredStartIo: int, NonCancelable: int
) -> None:
    """WDK: "IoSetStartIoAttributes function (wdm.h)"."""
    flags = (_DEFERRED if DeferredStartIo else 0) | (_NON_CANCELABLE if NonCancelable else 0)
    io_device.extension_of(k, DeviceObject)["StartIoFlags"] = flags


def _start_io(k: Kernel, device: int, irp: int) -> Steps:
    entry = Struct(k.memory, "DEVICE_OBJECT", device)
    routine = Struct(k.memory, "DRIVER_OBJECT", entry["DriverObject"])["DriverStartIo"]
    return (yield from at_same_irql(k, Call(routine, (device, irp)), "StartIo"))


def _run(k: Kernel, device: int, irp: int) -> Steps:
    """Call StartIo for ``irp``; where asked, later rather than inside itself."""
    state = io_device.extension_of(k, device)
    if not state["StartIoFlags"] & _DEFERRED:
        yield from _start_io(k, device, irp)
        return
    # StartIoCount says how deep it is; one that comes meanwhile is kept in StartIoKey's place.
    if state["StartIoCount"]:
        k.deferred_start_io.setdefault(device, []).append(irp)
        return
    state["StartIoCount"] = 1
    waiting = k.deferred_start_io.setdefault(device, [])
    waiting.append(irp)
    while waiting:
        yield from _start_io(k, device, waiting.pop(0))
    del k.deferred_start_io[device]
    state["StartIoCount"] = 0


@export(
    "VOID IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, "
    "PDRIVER_CANCEL CancelFunction)",
    irql=DISPATCH_LEVEL,
)
def IoStartPacket(k: Kernel, DeviceObject: int, Irp: int, Key: int, CancelFunction: int) -> Steps:
    """WDK: "IoStartPacket function (ntifs.h)": StartIo at once, or the device queue."""
    device, irp = Struct(k.memory, "DEVICE_OBJECT", DeviceObject), Struct(k.memory, "IRP", Irp)
    old = k.cpu.irql
    k.scheduler.set_irql(DISPATCH_LEVEL)
    if CancelFunction:
        yield from io_cancel.acquire(k)
        irp["CancelRoutine"] = CancelFunction
    key = k.memory.u32(Key) if Key else None
    if io_queue.insert(k, DeviceObject + _QUEUE, Irp + _ENTRY, key):
        if CancelFunction and irp["Cancel"]:
            # It came too late: its cancel routine finds it in the queue.
            irp["CancelIrql"], irp["CancelRoutine"] = DISPATCH_LEVEL, 0
            yield Call(CancelFunction, (DeviceObject, Irp))
        elif CancelFunction:
            io_cancel.release(k, DISPATCH_LEVEL)
    else:
        device["CurrentIrp"] = Irp
        if CancelFunction:
            if io_device.extension_of(k, DeviceObject)["StartIoFlags"] & _NON_CANCELABLE:
                irp["CancelRoutine"] = 0
            io_cancel.release(k, DISPATCH_LEVEL)
        yield from _run(k, DeviceObject, Irp)
    k.scheduler.set_irql(old)
    return 0


def _next(k: Kernel, device: int, cancelable: int, key: int | None) -> Steps:
    entry = Struct(k.memory, "DEVICE_OBJECT", device)
    if cancelable:
        yield from io_cancel.acquire(k)
    entry["CurrentIrp"] = 0
    found = io_queue.remove(k, device + _QUEUE, key)
    irp = found - _ENTRY if found else 0
    if irp:
        entry["CurrentIrp"] = irp
        flags = io_device.extension_of(k, device)["StartIoFlags"]
        if cancelable and flags & _NON_CANCELABLE:
            Struct(k.memory, "IRP", irp)["CancelRoutine"] = 0
    if cancelable:
        io_cancel.release(k, DISPATCH_LEVEL)
    if irp:
        yield from _run(k, device, irp)
    return 0


def _at_dispatch(k: Kernel, name: str) -> None:
    if k.cpu.irql != DISPATCH_LEVEL:
        k.tell("called-below-irql", name, DISPATCH_LEVEL)


@export(
    "VOID IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable)", irql=DISPATCH_LEVEL
)
def IoStartNextPacket(k: Kernel, DeviceObject: int, Cancelable: int) -> Steps:
    """WDK: "IoStartNextPacket function (ntifs.h)": StartIo for the next in the device queue."""
    _at_dispatch(k, "IoStartNextPacket")
    return (yield from _next(k, DeviceObject, Cancelable, None))


@export(
    "VOID IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key)",
    irql=DISPATCH_LEVEL,
)
def IoStartNextPacketByKey(k: Kernel, DeviceObject: int, Cancelable: int, Key: int) -> Steps:
    """WDK: "IoStartNextPacketByKey function (ntifs.h)"."""
    _at_dispatch(k, "IoStartNextPacketByKey")
    return (yield from _next(k, DeviceObject, Cancelable, Key))
