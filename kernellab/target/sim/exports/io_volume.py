"""Volumes and file systems: who mounts them, hard errors, devices to verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.locks import SpinThen
from ..kernel.structs import Struct, const, read_unicode_string
from .ke import KeLowerIrql, raise_irql
from .ke_spinlock import release, take
from .registry import APC_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

FILE_SYSTEM: Final = "IoRegisterFileSystem"
_WATCHER: Final = "IoRegisterFsRegistrationChange"


@export("VOID IoAcquireVpbSpinLock(PKIRQL Irql)", irql=DISPATCH_LEVEL)
def IoAcquireVpbSpinLock(k: Kernel, Irql: int) -> int | SpinThen:
    """WDK: "IoAcquireVpbSpinLock function (ntifs.h)": the one lock of all VPBs."""
    old = raise_irql(k, DISPATCH_LEVEL)
    k.memory.set_u8(Irql, old)
    return take(k, k.system.block(k, "IopVpbSpinLock", 8))


@export("VOID IoReleaseVpbSpinLock(KIRQL Irql)", irql=DISPATCH_LEVEL)
def IoReleaseVpbSpinLock(k: Kernel, Irql: int) -> None:
    """WDK: "IoReleaseVpbSpinLock function (ntifs.h)"; not held is bug check 0x10."""
    release(k, k.system.block(k, "IopVpbSpinLock", 8))
    KeLowerIrql(k, Irql)


# -- which device to verify -----------------------------------------------------------------------


@export(
    "VOID IoSetHardErrorOrVerifyDevice(PIRP Irp, PDEVICE_OBJECT DeviceObject)",
    irql=DISPATCH_LEVEL,
)
def IoSetHardErrorOrVerifyDevice(k: Kernel, Irp: int, DeviceObject: int) -> None:
    """WDK: "IoSetHardErrorOrVerifyDevice function (ntddk.h)": kept with the IRP's thread."""
    thread = Struct(k.memory, "IRP", Irp)["Tail.Overlay.Thread"]
    if not thread:
        k.tell(
            "irp-without-thread",
            "IoSetHardErrorOrVerifyDevice was given an IRP that belongs to no thread: check that "
            "Tail.Overlay.Thread is not NULL first",
        )
        k.memory.u64(thread)  # as Windows does: it looks into the thread
    k.system.to_verify[thread] = DeviceObject


@export(
    "VOID IoSetDeviceToVerify(PETHREAD Thread, PDEVICE_OBJECT DeviceObject)", irql=DISPATCH_LEVEL
)
def IoSetDeviceToVerify(k: Kernel, Thread: int, DeviceObject: int) -> None:
    """WDK: "IoSetDeviceToVerify function (ntifs.h)"."""
    k.memory.u64(Thread)
    k.system.to_verify[Thread] = DeviceObject


@export("PDEVICE_OBJECT IoGetDeviceToVerify(PETHREAD Thread)", irql=DISPATCH_LEVEL)
def IoGetDeviceToVerify(k: Kernel, Thread: int) -> int:
    """WDK: "IoGetDeviceToVerify function (ntifs.h)": NULL where none was set."""
    k.memory.u64(Thread)
    return k.system.to_verify.get(Thread, 0)


# -- hard errors ----------------------------------------------------------------------------------


@export("BOOLEAN IoSetThreadHardErrorMode(BOOLEAN EnableHardErrors)", irql=APC_LEVEL)
def IoSetThreadHardErrorMode(k: Kernel, EnableHardErrors: int) -> bool:
    """WDK: "IoSetThreadHardErrorMode function (wdm.h)": whether they were enabled before."""
    thread, disabled = k.thread.id, k.system.hard_errors_disabled
    was = thread not in disabled
    if EnableHardErrors:
        disabled.discard(thread)
    else:
        disabled.add(thread)
    return was


def hard_error(k: Kernel, status: int, text: str, device: int = 0) -> None:
    """What a user would see in a dialog goes to the client's list of errors."""
    found = k.objects.devices.get(device)
    k.system.error_log.append(
        {
            "driver": k.caller(),
            "device": found.name if found is not None else "",
            "hard_error": ntdata.status_name(status),
            "strings": [text] if text else [],
            "time": round(k.time, 7),
        }
    )


@export(
    "BOOLEAN IoRaiseInformationalHardError(NTSTATUS ErrorStatus, PUNICODE_STRING String, "
    "PKTHREAD Thread)",
    irql=APC_LEVEL,
    simplified="the dialog's text is in the client's error_log, and the dialog is closed at once",
)
def IoRaiseInformationalHardError(k: Kernel, ErrorStatus: int, String: int, Thread: int) -> bool:
    """WDK: "IoRaiseInformationalHardError function (ntddk.h)". FALSE where they are disabled."""
    thread = k.ps.thread_objects.get(Thread) if Thread else None
    if thread is not None and thread.id in k.system.hard_errors_disabled:
        return False
    hard_error(k, ErrorStatus & 0xFFFFFFFF, read_unicode_string(k.memory, String) if String else "")
    return True


# -- file systems ---------------------------------------------------------------------------------


@export("VOID IoRegisterFileSystem(PDEVICE_OBJECT DeviceObject)", irql=PASSIVE_LEVEL)
def IoRegisterFileSystem(k: Kernel, DeviceObject: int) -> Steps:
    """WDK: "IoRegisterFileSystem function (ntifs.h)".

    Whoever called IoRegisterFsRegistrationChange is told.
    """
    device = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)
    device["Flags"] &= ~const("DO_DEVICE_INITIALIZING")
    device["ReferenceCount"] += 1
    k.callbacks.add(Registration(FILE_SYSTEM, 0, k.caller(), cookie=DeviceObject))
    yield from _tell_watchers(k, DeviceObject, active=True)


@export("VOID IoUnregisterFileSystem(PDEVICE_OBJECT DeviceObject)", irql=PASSIVE_LEVEL)
def IoUnregisterFileSystem(k: Kernel, DeviceObject: int) -> Steps:
    """WDK: "IoUnregisterFileSystem function (ntifs.h)"."""
    registered = k.callbacks.find(FILE_SYSTEM, cookie=DeviceObject)
    if registered is not None:
        k.callbacks.remove(registered)
        Struct(k.memory, "DEVICE_OBJECT", DeviceObject)["ReferenceCount"] -= 1
        yield from _tell_watchers(k, DeviceObject, active=False)


def _tell_watchers(k: Kernel, device: int, *, active: bool) -> Steps:
    for watcher in k.callbacks.of(_WATCHER):
        arguments = device, int(active)
        yield from k.callbacks.invoke(watcher, arguments, "a file system notification")


@export(
    "NTSTATUS IoRegisterFsRegistrationChange(PDRIVER_OBJECT DriverObject, "
    "PDRIVER_FS_NOTIFICATION DriverNotificationRoutine)",
    irql=PASSIVE_LEVEL,
)
def IoRegisterFsRegistrationChange(
    k: Kernel, DriverObject: int, DriverNotificationRoutine: int
) -> int | Steps:
    """WDK: "IoRegisterFsRegistrationChange function (ntifs.h)".

    The routine is called at once for the file systems that are there.
    """
    if _watcher(k, DriverObject, DriverNotificationRoutine) is not None:
        return const("STATUS_DEVICE_ALREADY_ATTACHED")
    made = Registration(_WATCHER, DriverNotificationRoutine, k.caller(), detail=DriverObject)
    return _introduce(k, k.callbacks.add(made))


def _introduce(k: Kernel, watcher: Registration) -> Steps:
    for known in reversed(k.callbacks.of(FILE_SYSTEM)):
        yield from k.callbacks.invoke(watcher, (known.cookie, 1), "a file system notification")
    return 0


def _watcher(k: Kernel, driver_object: int, routine: int) -> Registration | None:
    for watcher in k.callbacks.of(_WATCHER):
        if (watcher.routine, watcher.detail) == (routine, driver_object):
            return watcher
    return None


@export(
    "VOID IoUnregisterFsRegistrationChange(PDRIVER_OBJECT DriverObject, "
    "PDRIVER_FS_NOTIFICATION DriverNotificationRoutine)",
    irql=PASSIVE_LEVEL,
)
def IoUnregisterFsRegistrationChange(
    k: Kernel, DriverObject: int, DriverNotificationRoutine: int
) -> None:
    """WDK: "IoUnregisterFsRegistrationChange function (ntifs.h)"."""
    watcher = _watcher(k, DriverObject, DriverNotificationRoutine)
    if watcher is not None:
        k.callbacks.remove(watcher)


# -- file sections --------------------------------------------------------------------------------

_MM_SIMPLIFIED = "answered from the SECTION_OBJECT_POINTERS alone: sim maps no file's sections"


@export(
    "BOOLEAN MmFlushImageSection(PSECTION_OBJECT_POINTERS SectionObjectPointer, ULONG FlushType)",
    irql=APC_LEVEL,
    simplified=_MM_SIMPLIFIED,
)
def MmFlushImageSection(k: Kernel, SectionObjectPointer: int, FlushType: int) -> bool:
    """WDK: "MmFlushImageSection function (ntifs.h)": FALSE while the image is in use."""
    pointers = Struct(k.memory, "SECTION_OBJECT_POINTERS", SectionObjectPointer)
    if pointers["ImageSectionObject"]:
        return False
    return FlushType != const("MmFlushForDelete") or not pointers["DataSectionObject"]


@export(
    "BOOLEAN MmCanFileBeTruncated(PSECTION_OBJECT_POINTERS SectionPointer, "
    "PLARGE_INTEGER NewFileSize)",
    irql=APC_LEVEL,
    simplified=_MM_SIMPLIFIED,
)
def MmCanFileBeTruncated(k: Kernel, SectionPointer: int, NewFileSize: int) -> bool:
    """WDK: "MmCanFileBeTruncated function (ntifs.h)": FALSE while it is mapped."""
    pointers = Struct(k.memory, "SECTION_OBJECT_POINTERS", SectionPointer)
    return not pointers["ImageSectionObject"] and not pointers["DataSectionObject"]
