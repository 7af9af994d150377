"""Device objects and symbolic links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.names import Link
from ..kernel.objects import Device
from ..kernel.structs import Struct, const, read_unicode_string, size_of
from .registry import APC_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"Devi", "little")
_EXCLUSIVE: Final = 8  # DO_EXCLUSIVE
_DEFAULT_STACK: Final = 1


@export(
    "NTSTATUS IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, "
    "PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, "
    "BOOLEAN Exclusive, PDEVICE_OBJECT *DeviceObject)",
    irql=APC_LEVEL,
    simplified="no security",
)
def IoCreateDevice(
    k: Kernel,
    DriverObject: int,
    DeviceExtensionSize: int,
    DeviceName: int,
    DeviceType: int,
    DeviceCharacteristics: int,
    Exclusive: int,
    DeviceObject: int,
) -> int:
    """WDK: "IoCreateDevice function (wdm.h)". The extension is zeroed and follows the object."""
    name = read_unicode_string(k.memory, DeviceName) if DeviceName else ""
    size = size_of("DEVICE_OBJECT")
    address = k.pool.allocate(size + DeviceExtensionSize, _TAG)
    if not address:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    owner = next((d.name for d in k.drivers.values() if d.object == DriverObject), k.caller())
    device = Device(address, name, owner, DriverObject, bool(Exclusive))
    status = k.objects.add_device(device)
    if status:
        k.pool.free(k.pool.live[address])
        return status
    driver = Struct(k.memory, "DRIVER_OBJECT", DriverObject)
    entry = Struct(k.memory, "DEVICE_OBJECT", address)
    entry["Type"] = const("IO_TYPE_DEVICE")
    entry["Size"] = size + DeviceExtensionSize
    entry["DriverObject"] = DriverObject
    entry["NextDevice"] = driver["DeviceObject"]
    driver["DeviceObject"] = address
    entry["Flags"] = const("DO_DEVICE_INITIALIZING") | (_EXCLUSIVE if Exclusive else 0)
    if name:
        entry["Flags"] |= const("DO_DEVICE_HAS_NAME")
    entry["Characteristics"] = DeviceCharacteristics
    entry["DeviceType"] = DeviceType
    entry["StackSize"] = _DEFAULT_STACK
    if DeviceExtensionSize:
        entry["DeviceExtension"] = address + size
    k.memory.set_u64(DeviceObject, address)
    return 0


@export("VOID IoDeleteDevice(PDEVICE_OBJECT DeviceObject)", irql=APC_LEVEL)
def IoDeleteDevice(k: Kernel, DeviceObject: int) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)". Takes it off its driver's list and frees it.

    While handles to it are open it stays, without its name, until the last is closed.
    """
    device = k.objects.devices.get(DeviceObject)
    if device is None:
        k.tell(
            "bad-device", f"IoDeleteDevice was given {DeviceObject:#x}, which is no device object"
        )
        # Reading through it faults as it would in Windows.
        k.memory.u64(DeviceObject)
        return
    entry = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)
    at = Struct(k.memory, "DRIVER_OBJECT", device.driver_object).at("DeviceObject")
    # The list is in the driver's hands: it may have been made a circle.
    for _ in range(len(k.objects.devices) + len(k.objects.deleted)):
        current = k.memory.u64(at)
        if current == DeviceObject:
            k.memory.set_u64(at, entry["NextDevice"])
        if current in (0, DeviceObject):
            break
        at = Struct(k.memory, "DEVICE_OBJECT", current).at("NextDevice")
    else:
        k.tell("bad-device", "the driver object's list of devices has no end")
    k.objects.remove_device(device)


@export(
    "NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName)",
    irql=PASSIVE_LEVEL,
)
def IoCreateSymbolicLink(k: Kernel, SymbolicLinkName: int, DeviceName: int) -> int:
    """WDK: "IoCreateSymbolicLink function (wdm.h)". The device need not exist."""
    name = read_unicode_string(k.memory, SymbolicLinkName)
    target = read_unicode_string(k.memory, DeviceName)
    return k.objects.add_link(Link(name, target, k.caller()))


@export("NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName)", irql=PASSIVE_LEVEL)
def IoDeleteSymbolicLink(k: Kernel, SymbolicLinkName: int) -> int:
    """WDK: "IoDeleteSymbolicLink function (wdm.h)"."""
    name = read_unicode_string(k.memory, SymbolicLinkName)
    return k.objects.remove_link(name)
