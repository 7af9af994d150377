"""Plug and Play: relations, state, interfaces, properties of devices."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from ..kernel import pnp_interface
from ..kernel.bugcheck import BugCheck
from ..kernel.pnp import Action, DeviceNode
from ..kernel.pnp_notify import guid_at
from ..kernel.structs import Struct, const, read_unicode_string
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.pnp_interface import Interface

_TAG: Final = int.from_bytes(b"IoDI", "little")
_BUS_RELATIONS, _SINGLE_BUS_RELATIONS = 0, 5
_INCLUDE_NONACTIVE: Final = 1
#: GUID_NULL's bus type would be wrong: GUID_BUS_TYPE_INTERNAL, of the root bus.
_BUS_TYPE_INTERNAL: Final = uuid.UUID("1530ea73-086b-11d1-a09f-00c04fc340b1")
_UNDEFINED_BUS: Final = 0xFFFF_FFFF
_ON_LATER: Final = "done by the PnP manager's thread, in the order of the calls"


def _node(k: Kernel, pdo: int, routine: str) -> DeviceNode:
    """The device node of a PDO. Bug check where it is none, as Windows has it."""
    node = k.pnp.by_pdo(pdo)
    if node is None:
        k.memory.u64(pdo)
        raise BugCheck(
            *("PNP_DETECTED_FATAL_ERROR", 2, pdo),
            message=f"{routine} was given a device object that is no PDO of a present device: "
            "pass the PhysicalDeviceObject that AddDevice got.",
        )
    return node


# -- relations and state --------------------------------------------------------------------------


@export(
    "VOID IoInvalidateDeviceRelations(PDEVICE_OBJECT DeviceObject, DEVICE_RELATION_TYPE Type)",
    irql=DISPATCH_LEVEL,
    simplified=f"{_ON_LATER}; relations other than those of a bus are not kept",
)
def IoInvalidateDeviceRelations(k: Kernel, DeviceObject: int, Type: int) -> None:
    """WDK: "IoInvalidateDeviceRelations function (wdm.h)": the bus is asked again."""
    _node(k, DeviceObject, "IoInvalidateDeviceRelations")
    if Type in (_BUS_RELATIONS, _SINGLE_BUS_RELATIONS):
        k.pnp.later(Action("relations", DeviceObject))


@export(
    "VOID IoInvalidateDeviceState(PDEVICE_OBJECT PhysicalDeviceObject)",
    irql=DISPATCH_LEVEL,
    simplified=_ON_LATER,
)
def IoInvalidateDeviceState(k: Kernel, PhysicalDeviceObject: int) -> None:
    """WDK: "IoInvalidateDeviceState function (wdm.h)": IRP_MN_QUERY_PNP_DEVICE_STATE follows."""
    _node(k, PhysicalDeviceObject, "IoInvalidateDeviceState")
    k.pnp.later(Action("state", PhysicalDeviceObject))


@export(
    "VOID IoRequestDeviceEject(PDEVICE_OBJECT PhysicalDeviceObject)",
    irql=DISPATCH_LEVEL,
    simplified=_ON_LATER,
)
def IoRequestDeviceEject(k: Kernel, PhysicalDeviceObject: int) -> None:
    """WDK: "IoRequestDeviceEject function (ntddk.h)": the device is removed in order."""
    _node(k, PhysicalDeviceObject, "IoRequestDeviceEject")
    k.pnp.later(Action("eject", PhysicalDeviceObject))


# -- interfaces -----------------------------------------------------------------------------------


def _give_name(k: Kernel, at: int, text: str) -> int:
    """A UNICODE_STRING whose buffer the caller frees with RtlFreeUnicodeString."""
    raw = text.encode("utf-16-le") + b"\0\0"
    buffer = k.pool.allocate(
        *(len(raw), _TAG),
        paged=True,
        owner=k.caller(),
    )
    if not buffer:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    k.memory.write(buffer, raw)
    string = Struct(k.memory, "UNICODE_STRING", at)
    string["Length"], string["MaximumLength"], string["Buffer"] = len(raw) - 2, len(raw), buffer
    return 0


def _interface(k: Kernel, string: int) -> Interface | None:
    return k.interfaces.get(pnp_interface.key(read_unicode_string(k.memory, string)))


@export(
    "NTSTATUS IoRegisterDeviceInterface(PDEVICE_OBJECT PhysicalDeviceObject, "
    "const GUID *InterfaceClassGuid, PUNICODE_STRING ReferenceString, "
    "PUNICODE_STRING SymbolicLinkName)",
    irql=PASSIVE_LEVEL,
)
def IoRegisterDeviceInterface(
    k: Kernel,
    PhysicalDeviceObject: int,
    InterfaceClassGuid: int,
    ReferenceString: int,
    SymbolicLinkName: int,
) -> int:
    """WDK: "IoRegisterDeviceInterface function (wdm.h)". Not enabled yet.

    STATUS_INVALID_DEVICE_REQUEST for what is no PDO, and for a path in ReferenceString.
    """
    node = k.pnp.by_pdo(PhysicalDeviceObject)
    reference = read_unicode_string(k.memory, ReferenceString) if ReferenceString else ""
    if node is None or "\\" in reference or "/" in reference:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    guid = guid_at(k, InterfaceClassGuid)
    return _give_name(k, SymbolicLinkName, pnp_interface.register(k, node, guid, reference).name)


@export(
    "NTSTATUS IoSetDeviceInterfaceState(PUNICODE_STRING SymbolicLinkName, BOOLEAN Enable)",
    irql=PASSIVE_LEVEL,
)
def IoSetDeviceInterfaceState(k: Kernel, SymbolicLinkName: int, Enable: int) -> int:
    """WDK: "IoSetDeviceInterfaceState function (wdm.h)".

    STATUS_OBJECT_NAME_EXISTS where it is enabled already, STATUS_OBJECT_NAME_NOT_FOUND where it
    is not, or was not registered.
    """
    interface = _interface(k, SymbolicLinkName)
    if interface is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    return pnp_interface.set_state(k, interface, enable=bool(Enable))


@export(
    "NTSTATUS IoGetDeviceInterfaces(const GUID *InterfaceClassGuid, "
    "PDEVICE_OBJECT PhysicalDeviceObject, ULONG Flags, PZZWSTR *SymbolicLinkList)",
    irql=PASSIVE_LEVEL,
)
def IoGetDeviceInterfaces(
    k: Kernel, InterfaceClassGuid: int, PhysicalDeviceObject: int, Flags: int, SymbolicLinkList: int
) -> int:
    """WDK: "IoGetDeviceInterfaces function (wdm.h)": names, each ending in NUL, and one more.

    The caller frees the list with ExFreePool.
    """
    guid = str(guid_at(k, InterfaceClassGuid))
    node = k.pnp.by_pdo(PhysicalDeviceObject) if PhysicalDeviceObject else None
    if PhysicalDeviceObject and node is None:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    names = [
        interface.name
        for interface in k.interfaces.values()
        if interface.guid == guid
        and (interface.enabled or Flags & _INCLUDE_NONACTIVE)
        and (node is None or interface.node == node.number)
    ]
    raw = "".join(f"{name}\0" for name in (*names, "")).encode("utf-16-le")
    buffer = k.pool.allocate(
        *(len(raw), _TAG),
        paged=True,
        owner=k.caller(),
    )
    if not buffer:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    k.memory.write(buffer, raw)
    k.memory.set_u64(SymbolicLinkList, buffer)
    return 0


@export(
    "NTSTATUS IoGetDeviceInterfaceAlias(PUNICODE_STRING SymbolicLinkName, "
    "const GUID *AliasInterfaceClassGuid, PUNICODE_STRING AliasSymbolicLinkName)",
    irql=PASSIVE_LEVEL,
)
def IoGetDeviceInterfaceAlias(
    k: Kernel, SymbolicLinkName: int, AliasInterfaceClassGuid: int, AliasSymbolicLinkName: int
) -> int:
    """WDK: "IoGetDeviceInterfaceAlias function (wdm.h)".

    The interface of another class that the same device has with the same reference string.
    """
    interface = _interface(k, SymbolicLinkName)
    if interface is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    guid = str(guid_at(k, AliasInterfaceClassGuid))
    for other in k.interfaces.values():
        if (other.node, other.reference, other.guid) == (
            *(interface.node, interface.reference),
            guid,
        ):
            return _give_name(k, AliasSymbolicLinkName, other.name)
    return const("STATUS_OBJECT_NAME_NOT_FOUND")


# -- properties -----------------------------------------------------------------------------------


def _text(*texts: str) -> bytes:
    return "".join(f"{text}\0" for text in texts).encode("utf-16-le")


def _property(k: Kernel, node: DeviceNode, which: int) -> bytes | None:
    """The value of a DEVICE_REGISTRY_PROPERTY; None where the device has none."""
    name = k.objects.known[node.pdo].name
    values = {
        "DevicePropertyDeviceDescription": _text(node.description),
        "DevicePropertyHardwareID": _text(*node.hardware_ids, ""),
        "DevicePropertyCompatibleIDs": _text(*node.compatible_ids, "")
        if node.compatible_ids
        else None,
        "DevicePropertyDriverKeyName": _text(f"{{{uuid.UUID(int=0)}}}\\{node.number:04}"),
        "DevicePropertyPhysicalDeviceObjectName": _text(name) if name else b"",
        "DevicePropertyEnumeratorName": _text(node.instance.partition("\\")[0]),
    }
    if node.on_root_bus:
        values["DevicePropertyBusTypeGuid"] = _BUS_TYPE_INTERNAL.bytes_le
        values["DevicePropertyLegacyBusType"] = _UNDEFINED_BUS.to_bytes(4, "little")
        values["DevicePropertyBusNumber"] = bytes(4)
    values["DevicePropertyInstallState"] = bytes(4)  # InstallStateInstalled
    for key, value in values.items():
        if const(key) == which:
            return value
    return None


@export(
    "NTSTATUS IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, ULONG DeviceProperty, "
    "ULONG BufferLength, PVOID PropertyBuffer, PULONG ResultLength)",
    irql=PASSIVE_LEVEL,
    simplified="devices have no class, manufacturer, location and friendly name: "
    "STATUS_OBJECT_NAME_NOT_FOUND",
)
def IoGetDeviceProperty(
    k: Kernel,
    DeviceObject: int,
    DeviceProperty: int,
    BufferLength: int,
    PropertyBuffer: int,
    ResultLength: int,
) -> int:
    """WDK: "IoGetDeviceProperty function (wdm.h)"; bug check 0xCA for what is no PDO.

    STATUS_BUFFER_TOO_SMALL with the size that is needed in ResultLength.
    """
    node = _node(k, DeviceObject, "IoGetDeviceProperty")
    value = _property(k, node, DeviceProperty)
    if value is None:
        k.memory.set_u32(ResultLength, 0)
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    k.memory.set_u32(ResultLength, len(value))
    if BufferLength < len(value):
        return const("STATUS_BUFFER_TOO_SMALL")
    if value:
        k.memory.write(PropertyBuffer, value)
    return 0


@export(
    "NTSTATUS IoSetDevicePropertyData(PDEVICE_OBJECT Pdo, const PDEVPROPKEY PropertyKey, "
    "ULONG Lcid, ULONG Flags, ULONG Type, ULONG Size, PVOID Data)",
    irql=PASSIVE_LEVEL,
    simplified="one value for all languages; nothing is kept after a reboot",
)
def IoSetDevicePropertyData(
    k: Kernel,
    Pdo: int,
    PropertyKey: int,
    Lcid: int,
    Flags: int,
    Type: int,
    Size: int,
    Data: int,
) -> int:
    """WDK: "IoSetDevicePropertyData function (wdm.h)". NULL as Data deletes the property."""
    node = _node(k, Pdo, "IoSetDevicePropertyData")
    key = str(guid_at(k, PropertyKey)), k.memory.u32(PropertyKey + 16)
    if Data:
        node.properties[key] = Type, k.memory.read(Data, Size) if Size else b""
    elif node.properties.pop(key, None) is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    return 0


@export(
    "NTSTATUS IoGetDevicePropertyData(PDEVICE_OBJECT Pdo, const PDEVPROPKEY PropertyKey, "
    "ULONG Lcid, ULONG Flags, ULONG Size, PVOID Data, PULONG RequiredSize, PDEVPROPTYPE Type)",
    irql=PASSIVE_LEVEL,
    simplified="properties that drivers have set; not those that Windows sets itself",
)
def IoGetDevicePropertyData(
    k: Kernel,
    Pdo: int,
    PropertyKey: int,
    Lcid: int,
    Flags: int,
    Size: int,
    Data: int,
    RequiredSize: int,
    Type: int,
) -> int:
    """WDK: "IoGetDevicePropertyData function (wdm.h)"."""
    node = _node(k, Pdo, "IoGetDevicePropertyData")
    key = str(guid_at(k, PropertyKey)), k.memory.u32(PropertyKey + 16)
    found = node.properties.get(key)
    if found is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    kind, value = found
    k.memory.set_u32(RequiredSize, len(value))
    k.memory.set_u32(Type, kind)
    if Size < len(value):
        return const("STATUS_BUFFER_TOO_SMALL")
    if value:
        k.memory.write(Data, value)
    return 0
