r"""Registry keys of devices and of device interfaces.

Below ``CurrentControlSet``: a device's hardware key is ``Enum\<instance>\Device Parameters``, its
software key ``Control\Class\<driver key>``, an interface's ``Control\DeviceClasses\…``. Where they
are is Windows' own business; drivers use the handle.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from ..kernel import cm_service as cm
from ..kernel import pnp_interface
from ..kernel.attributes import Attributes
from ..kernel.execution import Steps
from ..kernel.structs import const, read_unicode_string
from .cm import open_key
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_CONTROL_SET: Final = r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet"
_DEVICE_KEY, _DRIVER_KEY = 1, 2  # PLUGPLAY_REGKEY_DEVICE, PLUGPLAY_REGKEY_DRIVER


def _open(k: Kernel, path: str, access: int, out: int) -> Steps:
    k.cm.make(path)
    flags = const("OBJ_KERNEL_HANDLE") | const("OBJ_CASE_INSENSITIVE")
    opening = cm.Opening(k, Attributes(0, path, flags), access, k.caller(), True)
    return open_key(k, opening, out)


@export(
    "NTSTATUS IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType, "
    "ACCESS_MASK DesiredAccess, PHANDLE DeviceRegKey)",
    irql=PASSIVE_LEVEL,
    simplified="the hardware and the software key; one hardware profile; nothing is kept after a "
    "reboot",
)
@ntstatus
def IoOpenDeviceRegistryKey(
    k: Kernel, DeviceObject: int, DevInstKeyType: int, DesiredAccess: int, DeviceRegKey: int
) -> int | Steps:
    """WDK: "IoOpenDeviceRegistryKey function (wdm.h)".

    STATUS_INVALID_DEVICE_REQUEST for what is no PDO, STATUS_INVALID_PARAMETER for another type.
    """
    k.ob.get(DeviceObject)
    if DevInstKeyType & 3 not in (_DEVICE_KEY, _DRIVER_KEY):
        return const("STATUS_INVALID_PARAMETER")
    node = k.pnp.by_pdo(DeviceObject)
    if node is None:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    if DevInstKeyType & 3 == _DEVICE_KEY:
        path = f"{_CONTROL_SET}\\Enum\\{node.instance}\\Device Parameters"
    else:
        path = f"{_CONTROL_SET}\\Control\\Class\\{{{uuid.UUID(int=0)}}}\\{node.number:04}"
    return _open(k, path, DesiredAccess, DeviceRegKey)


@export(
    "NTSTATUS IoOpenDeviceInterfaceRegistryKey(PUNICODE_STRING SymbolicLinkName, "
    "ACCESS_MASK DesiredAccess, PHANDLE DeviceInterfaceRegKey)",
    irql=PASSIVE_LEVEL,
    simplified="nothing is kept after a reboot",
)
@ntstatus
def IoOpenDeviceInterfaceRegistryKey(
    k: Kernel, SymbolicLinkName: int, DesiredAccess: int, DeviceInterfaceRegKey: int
) -> int | Steps:
    """WDK: "IoOpenDeviceInterfaceRegistryKey function (wdm.h)"."""
    name = read_unicode_string(k.memory, SymbolicLinkName)
    interface = k.interfaces.get(pnp_interface.key(name))
    if interface is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    leaf = "##?#" + interface.name.removeprefix("\\??\\").partition("\\")[0]
    reference = f"#{interface.reference}"
    path = f"{_CONTROL_SET}\\Control\\DeviceClasses\\{{{interface.guid}}}\\{leaf}\\{reference}"
    return _open(k, f"{path}\\Device Parameters", DesiredAccess, DeviceInterfaceRegKey)
