"""Power management."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import power
from ..kernel.execution import Steps
from ..kernel.io_call import CallDriver
from ..kernel.power import DEVICE, Requested
from ..kernel.structs import const
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("NTSTATUS PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)", irql=DISPATCH_LEVEL)
def PoCallDriver(k: Kernel, DeviceObject: int, Irp: int) -> CallDriver:
    """WDK: "PoCallDriver function (ntifs.h)": since Windows Vista the same as IoCallDriver."""
    return CallDriver(k, DeviceObject, Irp)


@export("VOID PoStartNextPowerIrp(PIRP Irp)", irql=DISPATCH_LEVEL)
def PoStartNextPowerIrp(k: Kernel, Irp: int) -> None:
    """WDK: "PoStartNextPowerIrp function (ntifs.h)": since Windows Vista it does nothing."""


@export(
    "POWER_STATE PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type, "
    "POWER_STATE State)",
    irql=DISPATCH_LEVEL,
)
def PoSetPowerState(k: Kernel, DeviceObject: int, Type: int, State: int) -> int:
    """WDK: "PoSetPowerState function (ntifs.h)": the state before, 0 where none was told."""
    states = k.power.device if Type == DEVICE else k.power.system
    k.memory.u64(DeviceObject)
    before = states.get(DeviceObject, 0)
    states[DeviceObject] = State
    return before


@export(
    "NTSTATUS PoRequestPowerIrp(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, "
    "POWER_STATE PowerState, PREQUEST_POWER_COMPLETE CompletionFunction, PVOID Context, "
    "PIRP *Irp)",
    irql=DISPATCH_LEVEL,
    simplified="the IRP is sent in the caller's thread, whatever DO_POWER_PAGABLE says; nothing "
    "wakes the machine, so IRP_MN_WAIT_WAKE fails at the PDO",
)
def PoRequestPowerIrp(
    k: Kernel,
    DeviceObject: int,
    MinorFunction: int,
    PowerState: int,
    CompletionFunction: int,
    Context: int,
    Irp: int,
) -> int | Steps:
    """WDK: "PoRequestPowerIrp function (wdm.h)". STATUS_PENDING where it was sent.

    STATUS_INVALID_PARAMETER_2 for another minor code than query, set and wait.
    """
    minors = [const(f"IRP_MN_{name}") for name in ("SET_POWER", "QUERY_POWER", "WAIT_WAKE")]
    if MinorFunction not in minors:
        return const("STATUS_INVALID_PARAMETER_2")
    wanted = Requested(
        *(DeviceObject, MinorFunction, PowerState, CompletionFunction, Context), k.caller()
    )
    return power.request(k, wanted, Irp)


@export(
    "NTSTATUS PopRequestCompletion(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def PopRequestCompletion(k: Kernel, DeviceObject: int, Irp: int, Context: int) -> Steps:
    """The completion routine of the power IRPs that drivers request."""
    return (yield from power.completed(k, Irp))
