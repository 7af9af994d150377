"""Passing IRPs down and completing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.execution import Steps
from ..kernel.io import IopfCallDriver, IopfCompleteRequest
from ..kernel.structs import Struct, const
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("NTSTATUS IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)", irql=DISPATCH_LEVEL)
def IofCallDriver(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """WDK: "IofCallDriver function (wdm.h)"; bug check 0x35 past the last stack location."""
    return (yield from IopfCallDriver(k, DeviceObject, Irp))


@export("VOID IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)", irql=DISPATCH_LEVEL)
def IofCompleteRequest(k: Kernel, Irp: int, PriorityBoost: int) -> Steps:
    """WDK: "IofCompleteRequest function (wdm.h)"; bug check 0x44 the second time."""
    yield from IopfCompleteRequest(k, Irp)
    return 0


@export("VOID IoCompleteRequest(PIRP Irp, CCHAR PriorityBoost)", irql=DISPATCH_LEVEL)
def IoCompleteRequest(k: Kernel, Irp: int, PriorityBoost: int) -> Steps:
    """The same as IofCompleteRequest, which headers call in its place."""
    yield from IopfCompleteRequest(k, Irp)
    return 0


@export(
    "NTSTATUS IopInvalidDeviceRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def IopInvalidDeviceRequest(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """What fills MajorFunction slots that a driver leaves alone ("DRIVER_OBJECT structure")."""
    entry = Struct(k.memory, "IRP", Irp)
    status = const("STATUS_INVALID_DEVICE_REQUEST")
    entry["IoStatus.Status"] = status
    entry["IoStatus.Information"] = 0
    yield from IopfCompleteRequest(k, Irp)
    return status
