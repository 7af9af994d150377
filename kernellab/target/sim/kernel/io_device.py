"""Device objects and how they are stacked.

WDK pages: "Creating a Device Object", "IoAttachDeviceToDeviceStack function (wdm.h)",
"IoDetachDevice function (wdm.h)", "DEVICE_OBJECT structure (wdm.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import io_queue
from .objects import Device
from .structs import Struct, const, size_of

if TYPE_CHECKING:
    from .io_security import Ace
    from .kernel import Kernel

_TAG: Final = int.from_bytes(b"Devi", "little")
_EXCLUSIVE: Final = 8  # DO_EXCLUSIVE
#: Kinds of device that volumes are mounted on: CD_ROM, DISK, TAPE, VIRTUAL_DISK.
_VOLUMES: Final = frozenset((0x02, 0x07, 0x1F, 0x24))
_DEFAULT_STACK: Final = 1
#: IO_TYPE_DEVICE_OBJECT_EXTENSION
_EXTENSION_TYPE: Final = 13


def create(
    k: Kernel,
    driver_object: int,
    extension: int,
    name: str,
    *,
    kind: int,
    characteristics: int,
    exclusive: bool,
    acl: tuple[Ace, ...] | None,
) -> tuple[int, int]:
    """Make a device object: an NTSTATUS, and the address where that is a success."""
    size = size_of("DEVICE_OBJECT")
    # What the kernel keeps is apart, so that the first byte past the driver's own faults.
    inner = k.pool.allocate(size_of("DEVOBJ_EXTENSION"), _TAG)
    address = k.pool.allocate(size + extension, _TAG) if inner else 0
    if not address:
        if inner:
            k.pool.free(k.pool.live[inner])
        return const("STATUS_INSUFFICIENT_RESOURCES"), 0
    owner = next((d.name for d in k.drivers.values() if d.object == driver_object), k.caller())
    device = Device(address, name, owner, driver_object, exclusive, acl=acl, extension=inner)
    status = k.objects.add_device(device)
    if status:
        k.pool.free(k.pool.live[address])
        k.pool.free(k.pool.live[inner])
        return status, 0
    driver = Struct(k.memory, "DRIVER_OBJECT", driver_object)
    entry = Struct(k.memory, "DEVICE_OBJECT", address)
    entry["Type"] = const("IO_TYPE_DEVICE")
    entry["Size"] = size + extension
    entry["DriverObject"] = driver_object
    entry["NextDevice"] = driver["DeviceObject"]
    driver["DeviceObject"] = address
    entry["Flags"] = const("DO_DEVICE_INITIALIZING") | (_EXCLUSIVE if exclusive else 0)
    if name:
        entry["Flags"] |= const("DO_DEVICE_HAS_NAME")
    entry["Characteristics"] = characteristics
    entry["DeviceType"] = kind
    entry["StackSize"] = _DEFAULT_STACK
    entry["DeviceObjectExtension"] = inner
    if extension:
        entry["DeviceExtension"] = address + size
    if kind in _VOLUMES:
        device.vpb = entry["Vpb"] = k.pool.allocate(size_of("VPB"), _TAG)
        vpb = Struct(k.memory, "VPB", device.vpb)
        vpb["Type"], vpb["Size"] = const("IO_TYPE_VPB"), size_of("VPB")
        vpb["RealDevice"] = address
    io_queue.initialize(k, entry.at("DeviceQueue"))
    more = Struct(k.memory, "DEVOBJ_EXTENSION", inner)
    more["Type"] = _EXTENSION_TYPE
    more["DeviceObject"] = address
    return 0, address


def free(k: Kernel, address: int) -> None:
    """Give the memory of a device object back."""
    device = k.objects.known.pop(address)
    for block in (address, device.extension, device.vpb):
        if block in k.pool.live:
            k.pool.free(k.pool.live[block])


def delete(k: Kernel, device: Device) -> None:
    """Take a device off its driver's list and give the creator's reference back."""
    entry = Struct(k.memory, "DEVICE_OBJECT", device.address)
    lower = extension_of(k, device.address)["AttachedTo"]
    if lower:
        k.tell(
            "device-deleted-attached",
            "a device object was deleted while it is attached to a lower one: "
            "call IoDetachDevice first",
        )
        detach(k, lower)
    if entry["AttachedDevice"] and entry["Flags"] & const("DO_BUS_ENUMERATED_DEVICE"):
        # A bus driver deletes a PDO before the function driver detaches from it: it stays until
        # then ("Removing a Device").
        k.ob.reference(device.address)
    elif entry["AttachedDevice"]:
        k.tell(
            "device-deleted-attached",
            "a device object was deleted while another is attached above it",
        )
        detach(k, device.address)
    at = Struct(k.memory, "DRIVER_OBJECT", device.driver_object).at("DeviceObject")
    # The list is in the driver's hands: it may have been made a circle.
    for _ in range(len(k.objects.known) + 1):
        current = k.memory.u64(at)
        if current == device.address:
            k.memory.set_u64(at, entry["NextDevice"])
        if current in (0, device.address):
            break
        at = Struct(k.memory, "DEVICE_OBJECT", current).at("NextDevice")
    else:
        k.tell("bad-device", "the driver object's list of devices has no end")
    for notified in (k.shutdown, k.last_chance_shutdown):
        while device.address in notified:
            notified.remove(device.address)
    k.objects.remove_device(device)


def extension_of(k: Kernel, device: int) -> Struct:
    """The kernel's own part of a device object, its DEVOBJ_EXTENSION."""
    known = k.objects.known.get(device)
    inner = known.extension if known is not None else 0
    return Struct(k.memory, "DEVOBJ_EXTENSION", inner)


def top_of(k: Kernel, device: int) -> int:
    """The highest device that is attached above ``device``, which may be itself."""
    while above := Struct(k.memory, "DEVICE_OBJECT", device)["AttachedDevice"]:
        device = above
    return device


def attach(k: Kernel, source: int, target: int) -> int:
    """Attach to the top of a stack: the device that was the top, 0 where it cannot be."""
    top = top_of(k, target)
    known = k.objects.devices.get(top)
    lower = Struct(k.memory, "DEVICE_OBJECT", top)
    if known is None or lower["Flags"] & const("DO_DEVICE_INITIALIZING"):
        return 0
    upper = Struct(k.memory, "DEVICE_OBJECT", source)
    lower["AttachedDevice"] = source
    upper["StackSize"] = lower["StackSize"] + 1
    upper["AlignmentRequirement"] = lower["AlignmentRequirement"]
    upper["SectorSize"] = lower["SectorSize"]
    extension_of(k, source)["AttachedTo"] = top
    k.tell("device-attached", source, top)
    return top


def detach(k: Kernel, lower: int) -> None:
    """Take away what is attached directly above ``lower``."""
    entry = Struct(k.memory, "DEVICE_OBJECT", lower)
    upper = entry["AttachedDevice"]
    entry["AttachedDevice"] = 0
    if upper:
        extension_of(k, upper)["AttachedTo"] = 0
        k.tell("device-detached", upper, lower)
        known = k.objects.known.get(lower)
        if known is not None and known.deleted:
            k.ob.dereference(lower)


def attached_to(k: Kernel, device: int) -> int:
    """The device that ``device`` is attached to, 0 for none."""
    return extension_of(k, device)["AttachedTo"]
