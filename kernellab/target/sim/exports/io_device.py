"""Device objects, device stacks and symbolic links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import io_device, io_file
from ..kernel.driver import NtFailure
from ..kernel.execution import Steps
from ..kernel.io_security import parse_sddl
from ..kernel.names import Link
from ..kernel.structs import Struct, const, read_unicode_string
from .registry import APC_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_KERNEL_MODE: Final = 0
_FILE_READ_ATTRIBUTES: Final = 0x80


@export(
    "NTSTATUS IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, "
    "PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, "
    "BOOLEAN Exclusive, PDEVICE_OBJECT *DeviceObject)",
    irql=APC_LEVEL,
    simplified="open to everybody; IoCreateDeviceSecure makes others",
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
    status, address = io_device.create(
        *(k, DriverObject, DeviceExtensionSize, name),
        kind=DeviceType,
        characteristics=DeviceCharacteristics,
        exclusive=bool(Exclusive),
        acl=None,
    )
    if not status:
        k.memory.set_u64(DeviceObject, address)
    return status


@export(
    "NTSTATUS IoCreateDeviceSecure(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, "
    "PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, "
    "BOOLEAN Exclusive, PCUNICODE_STRING DefaultSDDLString, LPCGUID DeviceClassGuid, "
    "PDEVICE_OBJECT *DeviceObject)",
    irql=PASSIVE_LEVEL,
    simplified="a routine of the static library Wdmsec.lib in the WDK; the class's own settings in "
    "the registry are not looked for; of callers, administrators and others are told apart",
)
def IoCreateDeviceSecure(
    k: Kernel,
    DriverObject: int,
    DeviceExtensionSize: int,
    DeviceName: int,
    DeviceType: int,
    DeviceCharacteristics: int,
    Exclusive: int,
    DefaultSDDLString: int,
    DeviceClassGuid: int,
    DeviceObject: int,
) -> int:
    """WDK: "WdmlibIoCreateDeviceSecure function (wdmsec.h)". Only named devices can be secured."""
    name = read_unicode_string(k.memory, DeviceName) if DeviceName else ""
    try:
        acl = parse_sddl(read_unicode_string(k.memory, DefaultSDDLString))
    except ValueError:
        return const("STATUS_INVALID_PARAMETER")
    status, address = io_device.create(
        *(k, DriverObject, DeviceExtensionSize, name),
        kind=DeviceType,
        characteristics=DeviceCharacteristics,
        exclusive=bool(Exclusive),
        acl=acl,
    )
    if not status:
        k.memory.set_u64(DeviceObject, address)
    return status


@export("VOID IoDeleteDevice(PDEVICE_OBJECT DeviceObject)", irql=APC_LEVEL)
def IoDeleteDevice(k: Kernel, DeviceObject: int) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)". Takes it off its driver's list and frees it.

    While something refers to it, a file object say, it stays without its name.
    """
    device = k.objects.devices.get(DeviceObject)
    if device is None:
        k.tell(
            "bad-device", f"IoDeleteDevice was given {DeviceObject:#x}, which is no device object"
        )
        # Reading through it faults as it would in Windows.
        k.memory.u64(DeviceObject)
        return
    io_device.delete(k, device)


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


@export(
    "NTSTATUS IoCreateUnprotectedSymbolicLink(PUNICODE_STRING SymbolicLinkName, "
    "PUNICODE_STRING DeviceName)",
    irql=PASSIVE_LEVEL,
)
def IoCreateUnprotectedSymbolicLink(k: Kernel, SymbolicLinkName: int, DeviceName: int) -> int:
    """WDK: "IoCreateUnprotectedSymbolicLink function (ntddk.h)": one that programs may change."""
    status: int = IoCreateSymbolicLink(k, SymbolicLinkName, DeviceName)
    return status


# -- stacks -------------------------------------------------------------------------------------


@export(
    "PDEVICE_OBJECT IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, "
    "PDEVICE_OBJECT TargetDevice)",
    irql=DISPATCH_LEVEL,
)
def IoAttachDeviceToDeviceStack(k: Kernel, SourceDevice: int, TargetDevice: int) -> int:
    """WDK: "IoAttachDeviceToDeviceStack function (wdm.h)": the device below, NULL for none."""
    return io_device.attach(k, SourceDevice, TargetDevice)


@export(
    "NTSTATUS IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT SourceDevice, "
    "PDEVICE_OBJECT TargetDevice, PDEVICE_OBJECT *AttachedToDeviceObject)",
    irql=DISPATCH_LEVEL,
)
def IoAttachDeviceToDeviceStackSafe(
    k: Kernel, SourceDevice: int, TargetDevice: int, AttachedToDeviceObject: int
) -> int:
    """WDK: "IoAttachDeviceToDeviceStackSafe function (ntifs.h)"."""
    below = io_device.attach(k, SourceDevice, TargetDevice)
    k.memory.set_u64(AttachedToDeviceObject, below)
    return 0 if below else const("STATUS_NO_SUCH_DEVICE")


@export(
    "NTSTATUS IoAttachDevice(PDEVICE_OBJECT SourceDevice, PUNICODE_STRING TargetDevice, "
    "PDEVICE_OBJECT *AttachedDevice)",
    irql=PASSIVE_LEVEL,
)
def IoAttachDevice(k: Kernel, SourceDevice: int, TargetDevice: int, AttachedDevice: int) -> Steps:
    """WDK: "IoAttachDevice function (wdm.h)": opens the target while it attaches to it."""
    name = read_unicode_string(k.memory, TargetDevice)
    how = io_file.Open(_FILE_READ_ATTRIBUTES, mode=_KERNEL_MODE)
    try:
        file = yield from io_file.open_file(k, name, how)
    except NtFailure as failure:
        return failure.status
    below = io_device.attach(k, SourceDevice, file.device.address)
    k.memory.set_u64(AttachedDevice, below)
    yield from io_file.cleanup(k, file)
    yield from io_file.release(k, file)
    return 0 if below else const("STATUS_NO_SUCH_DEVICE")


@export("VOID IoDetachDevice(PDEVICE_OBJECT TargetDevice)", irql=PASSIVE_LEVEL)
def IoDetachDevice(k: Kernel, TargetDevice: int) -> None:
    """WDK: "IoDetachDevice function (wdm.h)": what is attached directly above the target."""
    if not Struct(k.memory, "DEVICE_OBJECT", TargetDevice)["AttachedDevice"]:
        k.tell("bad-device", "IoDetachDevice: nothing is attached to this device object")
    io_device.detach(k, TargetDevice)


@export("PDEVICE_OBJECT IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject)", irql=DISPATCH_LEVEL)
def IoGetAttachedDevice(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoGetAttachedDevice function (ntifs.h)": the top of its stack."""
    return io_device.top_of(k, DeviceObject)


@export(
    "PDEVICE_OBJECT IoGetAttachedDeviceReference(PDEVICE_OBJECT DeviceObject)",
    irql=DISPATCH_LEVEL,
)
def IoGetAttachedDeviceReference(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoGetAttachedDeviceReference function (wdm.h)": the same, referenced."""
    top = io_device.top_of(k, DeviceObject)
    k.ob.reference(top, k.caller())
    return top


@export("PDEVICE_OBJECT IoGetLowerDeviceObject(PDEVICE_OBJECT DeviceObject)", irql=DISPATCH_LEVEL)
def IoGetLowerDeviceObject(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoGetLowerDeviceObject function (ntifs.h)": the one below, referenced, or NULL."""
    lower = io_device.attached_to(k, DeviceObject)
    if lower:
        k.ob.reference(lower, k.caller())
    return lower


@export(
    "NTSTATUS IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK DesiredAccess, "
    "PFILE_OBJECT *FileObject, PDEVICE_OBJECT *DeviceObject)",
    irql=PASSIVE_LEVEL,
)
def IoGetDeviceObjectPointer(
    k: Kernel, ObjectName: int, DesiredAccess: int, FileObject: int, DeviceObject: int
) -> Steps:
    """WDK: "IoGetDeviceObjectPointer function (wdm.h)".

    The device's driver sees IRP_MJ_CREATE and, as the handle is closed again, IRP_MJ_CLEANUP;
    IRP_MJ_CLOSE comes when the file object is dereferenced. The device returned is the top one.
    """
    name = read_unicode_string(k.memory, ObjectName)
    owner = k.caller()
    how = io_file.Open(DesiredAccess, mode=_KERNEL_MODE)
    try:
        file = yield from io_file.open_file(k, name, how)
    except NtFailure as failure:
        return failure.status
    yield from io_file.cleanup(k, file)
    k.ob.get(file.address).taken[owner] = k.ob.get(file.address).taken.get(owner, 0) + 1
    k.memory.set_u64(FileObject, file.address)
    k.memory.set_u64(DeviceObject, io_device.top_of(k, file.device.address))
    return 0


@export("PDEVICE_OBJECT IoGetRelatedDeviceObject(PFILE_OBJECT FileObject)", irql=DISPATCH_LEVEL)
def IoGetRelatedDeviceObject(k: Kernel, FileObject: int) -> int:
    """WDK: "IoGetRelatedDeviceObject function (wdm.h)": the top of the opened device's stack."""
    device = Struct(k.memory, "FILE_OBJECT", FileObject)["DeviceObject"]
    return io_device.top_of(k, device)


# -- shutdown -----------------------------------------------------------------------------------


@export("NTSTATUS IoRegisterShutdownNotification(PDEVICE_OBJECT DeviceObject)", irql=PASSIVE_LEVEL)
def IoRegisterShutdownNotification(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoRegisterShutdownNotification function (wdm.h)": IRP_MJ_SHUTDOWN at a reboot."""
    return _notify(k, k.shutdown, DeviceObject)


@export(
    "NTSTATUS IoRegisterLastChanceShutdownNotification(PDEVICE_OBJECT DeviceObject)",
    irql=PASSIVE_LEVEL,
)
def IoRegisterLastChanceShutdownNotification(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoRegisterLastChanceShutdownNotification function (wdm.h)": after all others."""
    return _notify(k, k.last_chance_shutdown, DeviceObject)


def _notify(k: Kernel, devices: list[int], device: int) -> int:
    k.ob.get(device)
    devices.insert(0, device)
    Struct(k.memory, "DEVICE_OBJECT", device)["Flags"] |= const("DO_SHUTDOWN_REGISTERED")
    return 0


@export("VOID IoUnregisterShutdownNotification(PDEVICE_OBJECT DeviceObject)", irql=PASSIVE_LEVEL)
def IoUnregisterShutdownNotification(k: Kernel, DeviceObject: int) -> None:
    """WDK: "IoUnregisterShutdownNotification function (wdm.h)"."""
    Struct(k.memory, "DEVICE_OBJECT", DeviceObject)["Flags"] &= ~const("DO_SHUTDOWN_REGISTERED")
    for devices in (k.shutdown, k.last_chance_shutdown):
        while DeviceObject in devices:
            devices.remove(DeviceObject)
