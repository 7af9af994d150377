"""WMI for drivers: registering a device, sending events."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from ..kernel import pnp, wmi
from ..kernel.structs import const
from .registry import APC_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_CALLBACK: Final = 0x8000_0000  # WMIREG_FLAG_CALLBACK
#: The registry sets it in Windows: the most that an event may have, bytes.
_LARGEST_EVENT: Final = 0x10000


@export(
    "NTSTATUS IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action)",
    irql=APC_LEVEL,
    simplified="for devices only, not for callback routines (WMIREG_FLAG_CALLBACK)",
)
def IoWMIRegistrationControl(k: Kernel, DeviceObject: int, Action: int) -> int:
    """WDK: "IoWMIRegistrationControl function (wdm.h)". IRP_MN_REGINFO_EX follows a little later.

    STATUS_INVALID_PARAMETER for another action, and for a device that was not registered.
    """
    known = k.objects.devices.get(DeviceObject)
    if known is None or Action & _CALLBACK:
        return const("STATUS_INVALID_PARAMETER")
    registered = DeviceObject in k.wmi.blocks
    if Action == const("WMIREG_ACTION_REGISTER"):
        if registered:
            return const("STATUS_OBJECT_NAME_EXISTS")
        k.wmi.blocks[DeviceObject] = []
        k.pnp.later(pnp.Action("wmi", arguments=(DeviceObject, 0)))
        return 0
    if not registered:
        return const("STATUS_INVALID_PARAMETER")
    if Action == const("WMIREG_ACTION_DEREGISTER"):
        del k.wmi.blocks[DeviceObject]
    elif Action in (const("WMIREG_ACTION_REREGISTER"), const("WMIREG_ACTION_UPDATE_GUIDS")):
        update = Action == const("WMIREG_ACTION_UPDATE_GUIDS")
        k.pnp.later(pnp.Action("wmi", arguments=(DeviceObject, int(update))))
    elif Action == const("WMIREG_ACTION_BLOCK_IRPS"):
        k.wmi.blocks[DeviceObject] = []
    else:
        return const("STATUS_INVALID_PARAMETER")
    return 0


@export("NTSTATUS IoWMIWriteEvent(PVOID WnodeEventItem)", irql=APC_LEVEL)
def IoWMIWriteEvent(k: Kernel, WnodeEventItem: int) -> int:
    """WDK: "IoWMIWriteEvent function (wdm.h)": the client gets it, and WMI frees the memory.

    STATUS_BUFFER_OVERFLOW for more than 64 KB, STATUS_UNSUCCESSFUL for what is no event; then
    the memory stays the driver's.
    """
    raw = k.memory.read(WnodeEventItem, wmi.HEADER.size)
    size, provider, _, _, guid, _, flags = wmi.HEADER.unpack(raw)
    if not flags & wmi.EVENT_ITEM or size < wmi.HEADER.size:
        return const("STATUS_UNSUCCESSFUL")
    if size > _LARGEST_EVENT:
        return const("STATUS_BUFFER_OVERFLOW")
    k.wmi.events.append(
        {
            "driver": k.caller(),
            "guid": str(uuid.UUID(bytes_le=guid)),
            "provider": provider,
            "data": k.memory.read(WnodeEventItem, size)[wmi.HEADER.size :].hex(),
            "time": round(k.time, 7),
        }
    )
    allocation = k.pool.live.get(WnodeEventItem)
    if allocation is None or allocation.paged:
        k.tell(
            "bad-callback",
            "IoWMIWriteEvent was given memory that is not from nonpaged pool: WMI frees it with "
            "ExFreePool",
        )
    if allocation is not None:
        k.pool.free(allocation)
    return 0
