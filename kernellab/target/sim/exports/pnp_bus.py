"""The root bus: what its PDOs answer to PnP, power and WMI requests. No driver imports these.

WDK pages: "Plug and Play Minor IRPs", "IRP_MN_QUERY_CAPABILITIES", "IRP_MN_QUERY_ID".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import irp as irps
from ..kernel import pnp
from ..kernel.execution import Steps
from ..kernel.io_call import complete, steps
from ..kernel.structs import Struct, const, size_of
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.pnp import DeviceNode

_TAG: Final = int.from_bytes(b"PnpB", "little")
_VERSION: Final = 1
_TARGET_RELATION: Final = 4
_TEXT_DESCRIPTION: Final = 0
_D0, _D3 = 1, 4
#: Bits of DEVICE_CAPABILITIES that a device on the root bus has: SilentInstall, RawDeviceOK no.
_SILENT_INSTALL: Final = 1 << 8
#: Where nothing is to be done, these succeed.
_SUCCEED: Final = (
    *("IRP_MN_START_DEVICE", "IRP_MN_QUERY_STOP_DEVICE", "IRP_MN_CANCEL_STOP_DEVICE"),
    *("IRP_MN_STOP_DEVICE", "IRP_MN_QUERY_REMOVE_DEVICE", "IRP_MN_CANCEL_REMOVE_DEVICE"),
    *("IRP_MN_SURPRISE_REMOVAL", "IRP_MN_REMOVE_DEVICE", "IRP_MN_QUERY_PNP_DEVICE_STATE"),
    *("IRP_MN_EJECT", "IRP_MN_DEVICE_ENUMERATED"),
)


def _finish(k: Kernel, address: int, status: int | None = None) -> Steps:
    """Complete an IRP, with its own status unless another is given; the status."""
    irp = Struct(k.memory, "IRP", address)
    if status is None:
        status = irp["IoStatus.Status"]
    irp["IoStatus.Status"] = status
    activity = complete(k, address)
    if not isinstance(activity, int):
        yield from steps(activity)
    return status


@export(
    "NTSTATUS PnpRootBusPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=PASSIVE_LEVEL,
    internal=True,
)
def PnpRootBusPnp(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """IRP_MJ_PNP at a PDO of the root bus."""
    irp = Struct(k.memory, "IRP", Irp)
    location = irps.current_location(k, irp)
    minor = location["MinorFunction"]
    node = k.pnp.by_pdo(DeviceObject)
    status = None
    if any(minor == const(name) for name in _SUCCEED):
        status = 0
    elif minor == const("IRP_MN_QUERY_CAPABILITIES"):
        _capabilities(k, location["Parameters.DeviceCapabilities.Capabilities"])
        status = 0
    elif minor == const("IRP_MN_QUERY_ID") and node is not None:
        text = _id(node, location["Parameters.QueryId.IdType"])
        if text:
            irp["IoStatus.Information"] = _pool(k, text.encode("utf-16-le"))
            status = 0
    elif minor == const("IRP_MN_QUERY_DEVICE_TEXT") and node is not None:
        if location["Parameters.QueryDeviceText.DeviceTextType"] == _TEXT_DESCRIPTION:
            text = node.description + "\0"
            irp["IoStatus.Information"] = _pool(k, text.encode("utf-16-le"))
            status = 0
    elif (
        minor == const("IRP_MN_QUERY_DEVICE_RELATIONS")
        and location["Parameters.QueryDeviceRelations.Type"] == _TARGET_RELATION
    ):
        k.ob.reference(DeviceObject)
        answer = (1).to_bytes(8, "little") + DeviceObject.to_bytes(8, "little")
        irp["IoStatus.Information"] = _pool(k, answer)
        status = 0
    return (yield from _finish(k, Irp, status))


def _pool(k: Kernel, data: bytes) -> int:
    """Paged pool that whoever asked frees with ExFreePool."""
    address = k.pool.allocate(len(data), _TAG, paged=True)
    k.memory.write(address, data)
    return address


def _capabilities(k: Kernel, address: int) -> None:
    """No D1 and D2; S0 is D0, every other system state D3."""
    entry = Struct(k.memory, "DEVICE_CAPABILITIES", address)
    if entry["Version"] != _VERSION or entry["Size"] < size_of("DEVICE_CAPABILITIES"):
        return
    k.memory.set_u32(address + 4, k.memory.u32(address + 4) | _SILENT_INSTALL)
    states = entry.at("DeviceState")
    for state in range(1, 7):
        k.memory.set_u32(states + 4 * state, _D0 if state == 1 else _D3)


def _id(node: DeviceNode, kind: int) -> str:
    if kind == pnp.DEVICE_ID:
        return node.instance.rpartition("\\")[0] + "\0"
    if kind == pnp.INSTANCE_ID:
        return node.instance.rpartition("\\")[2] + "\0"
    many = {pnp.HARDWARE_IDS: node.hardware_ids, pnp.COMPATIBLE_IDS: node.compatible_ids}.get(kind)
    return "".join(f"{text}\0" for text in many) + "\0" if many else ""


@export(
    "NTSTATUS PnpRootBusPower(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def PnpRootBusPower(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """IRP_MJ_POWER at a PDO of the root bus: states are set, nothing can wake the machine."""
    irp = Struct(k.memory, "IRP", Irp)
    location = irps.current_location(k, irp)
    minor = location["MinorFunction"]
    status = None
    if minor in (const("IRP_MN_SET_POWER"), const("IRP_MN_QUERY_POWER")):
        status = 0
        node = k.pnp.by_pdo(DeviceObject)
        device_state = location["Parameters.Power.Type"] == const("DevicePowerState")
        if minor == const("IRP_MN_SET_POWER") and device_state and node is not None:
            node.power = location["Parameters.Power.State"]
    return (yield from _finish(k, Irp, status))


@export(
    "NTSTATUS PnpRootBusSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=PASSIVE_LEVEL,
    internal=True,
)
def PnpRootBusSystemControl(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """IRP_MJ_SYSTEM_CONTROL at a PDO: completed as it is."""
    return (yield from _finish(k, Irp))
