"""Mounting: volumes on devices with a VPB, and file systems that recognize them.

WDK pages: "IoVerifyVolume function (ntifs.h)", "IRP_MJ_FILE_SYSTEM_CONTROL (IFS)", "VPB structure".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernellab import ntdata

from ..kernel import io_device, io_file
from ..kernel.execution import Steps
from ..kernel.io_call import CompleteRequest, complete, steps
from ..kernel.io_finish import Request
from ..kernel.io_request import SendIrp, Spec
from ..kernel.structs import Struct, const
from .io_volume import FILE_SYSTEM, hard_error
from .registry import APC_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export(
    "VOID IoRaiseHardError(PIRP Irp, PVPB Vpb, PDEVICE_OBJECT RealDeviceObject)",
    irql=APC_LEVEL,
    simplified="the dialog is in the client's error_log, and is answered with Cancel at once",
)
def IoRaiseHardError(k: Kernel, Irp: int, Vpb: int, RealDeviceObject: int) -> int | CompleteRequest:
    """WDK: "IoRaiseHardError function (ntddk.h)": in the end the IRP is completed as it is."""
    entry = Struct(k.memory, "IRP", Irp)
    if k.thread.id not in k.system.hard_errors_disabled:
        hard_error(k, entry["IoStatus.Status"], "", RealDeviceObject)
    return complete(k, Irp)


def _control(k: Kernel, device: int, minor: str, about: str, vpb: int, other: int) -> Steps:
    spec = Spec(
        "IRP_MJ_FILE_SYSTEM_CONTROL",
        minor,
        {
            "MinorFunction": const(minor),
            f"Parameters.{about}.Vpb": vpb,
            f"Parameters.{about}.DeviceObject": other,
        },
    )
    request: Request = yield from steps(SendIrp(k, None, io_device.top_of(k, device), spec, mode=0))
    return request.status


@export(
    "NTSTATUS IoVerifyVolume(PDEVICE_OBJECT DeviceObject, BOOLEAN AllowRawMount)",
    irql=APC_LEVEL,
    simplified="no raw mount: a volume that no file system recognizes is not mounted",
)
def IoVerifyVolume(k: Kernel, DeviceObject: int, AllowRawMount: int) -> Steps:
    """WDK: "IoVerifyVolume function (ntifs.h)".

    A mounted volume is verified by its file system; one that has changed (STATUS_WRONG_VOLUME),
    or that was not mounted, is offered to the registered file systems, newest first.
    """
    device = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)
    vpb = Struct(k.memory, "VPB", device["Vpb"])
    mounted = vpb["Flags"] & const("VPB_MOUNTED")
    status = const("STATUS_WRONG_VOLUME")
    if mounted:
        volume = vpb["DeviceObject"]
        arguments = "IRP_MN_VERIFY_VOLUME", "VerifyVolume", vpb.address, volume
        status = yield from _control(k, volume, *arguments)
    if status == const("STATUS_WRONG_VOLUME"):
        vpb["Flags"] &= ~const("VPB_MOUNTED")
        found = yield from _mount(k, DeviceObject, vpb)
        if not mounted or not ntdata.nt_success(found):
            status = found
    device["Flags"] &= ~const("DO_VERIFY_VOLUME")
    return status


def _mount(k: Kernel, device: int, vpb: Struct) -> Steps:
    for known in reversed(k.callbacks.of(FILE_SYSTEM)):
        arguments = "IRP_MN_MOUNT_VOLUME", "MountVolume", vpb.address, device
        status = yield from _control(k, known.cookie, *arguments)
        if ntdata.nt_success(status):
            vpb["Flags"] |= const("VPB_MOUNTED")
            return status
        if status != const("STATUS_UNRECOGNIZED_VOLUME"):
            return status
    return const("STATUS_UNRECOGNIZED_VOLUME")


# -- stream file objects --------------------------------------------------------------------------


def _stream(k: Kernel, related: int, device: int) -> io_file.File:
    if related:
        device = Struct(k.memory, "FILE_OBJECT", related)["DeviceObject"]
    known = k.objects.known[device]
    file = io_file.make(k, known, "", "", 0)
    file.created = True
    Struct(k.memory, "FILE_OBJECT", file.address)["Flags"] |= const("FO_STREAM_FILE")
    return file


@export(
    "PFILE_OBJECT IoCreateStreamFileObject(PFILE_OBJECT FileObject, PDEVICE_OBJECT DeviceObject)",
    irql=PASSIVE_LEVEL,
)
def IoCreateStreamFileObject(k: Kernel, FileObject: int, DeviceObject: int) -> Steps:
    """WDK: "IoCreateStreamFileObject function (ntifs.h)": IRP_MJ_CLEANUP is sent for it at once,
    IRP_MJ_CLOSE with its last reference."""
    file = _stream(k, FileObject, DeviceObject)
    yield from io_file.cleanup(k, file)
    return file.address


@export(
    "PFILE_OBJECT IoCreateStreamFileObjectLite(PFILE_OBJECT FileObject, "
    "PDEVICE_OBJECT DeviceObject)",
    irql=PASSIVE_LEVEL,
)
def IoCreateStreamFileObjectLite(k: Kernel, FileObject: int, DeviceObject: int) -> int:
    """WDK: "IoCreateStreamFileObjectLite function (ntifs.h)": without IRP_MJ_CLEANUP."""
    return _stream(k, FileObject, DeviceObject).address
