"""Files: opening, reading, writing, asking, deleting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..kernel import fs_info, fs_service, io_kernel
from ..kernel.attributes import Attributes, handle_target, open_handle, read_attributes
from ..kernel.driver import NtFailure
from ..kernel.execution import Steps
from ..kernel.fs import OpenFile
from ..kernel.fs_service import Create
from ..kernel.io_file import File
from ..kernel.io_finish import Request
from ..kernel.structs import Struct, const, place, read_unicode_string
from .ke_wait import interval
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_LONGEST: Final = 16 << 20
_FILES: Final = r"files are those of \??\C: only"
_WAITS: Final = "requests to devices are waited for, also without FILE_SYNCHRONOUS_IO_…"
_NO_APC: Final = "APC routines are refused; the handle's access is checked as a program's is"


def _finish(k: Kernel, block: int, status: int, information: int) -> int:
    """Fill the caller's IO_STATUS_BLOCK."""
    entry = Struct(k.memory, "IO_STATUS_BLOCK", block)
    entry["Status"], entry["Information"] = status, information
    return status


def _file(k: Kernel, handle: int) -> OpenFile:
    payload = handle_target(k, handle, "File").payload
    if not isinstance(payload, OpenFile):
        raise NtFailure("STATUS_INVALID_DEVICE_REQUEST", f"{handle:#x} is no file of the volume")
    return payload


def _create(
    k: Kernel, out: int, attributes: Attributes, block: int, how: Create, owner: str
) -> Steps:
    """Open or create a file or a device, and tell the caller its handle."""
    if io_kernel.is_device(k, attributes):
        handle = yield from io_kernel.open_device(k, attributes, how, owner)
        k.memory.set_u64(out, handle)
        return _finish(k, block, 0, const("FILE_OPENED"))
    start, path = fs_service.locate(k, attributes)
    obj, information = fs_service.create(k, start, path, how, owner)
    handle = open_handle(k, obj, how.access, attributes, owner)
    k.ob.dereference(obj.address)
    k.memory.set_u64(out, handle)
    return _finish(k, block, 0, information)


@export(
    "NTSTATUS ZwCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock, "
    "PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess, "
    "ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength)",
    irql=PASSIVE_LEVEL,
    simplified=_FILES + "; no streams, no security",
)
@ntstatus
def ZwCreateFile(
    k: Kernel,
    FileHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    IoStatusBlock: int,
    AllocationSize: int,
    FileAttributes: int,
    ShareAccess: int,
    CreateDisposition: int,
    CreateOptions: int,
    EaBuffer: int,
    EaLength: int,
) -> int | Steps:
    """WDK: "ZwCreateFile function (wdm.h)"."""
    if EaBuffer:
        return const("STATUS_EAS_NOT_SUPPORTED")
    attributes = read_attributes(k, ObjectAttributes)
    how = Create(DesiredAccess, FileAttributes, ShareAccess, CreateDisposition, CreateOptions)
    return _create(k, FileHandle, attributes, IoStatusBlock, how, k.caller())


@export(
    "NTSTATUS IoCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock, "
    "PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess, ULONG Disposition, "
    "ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength, ULONG CreateFileType, "
    "PVOID InternalParameters, ULONG Options)",
    irql=PASSIVE_LEVEL,
    simplified=_FILES + "; no streams, no security; Options are ignored",
)
@ntstatus
def IoCreateFile(
    k: Kernel,
    FileHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    IoStatusBlock: int,
    AllocationSize: int,
    FileAttributes: int,
    ShareAccess: int,
    Disposition: int,
    CreateOptions: int,
    EaBuffer: int,
    EaLength: int,
    CreateFileType: int,
    InternalParameters: int,
    Options: int,
) -> int | Steps:
    """WDK: "IoCreateFile function (wdm.h)": CreateFileTypeNone only."""
    if CreateFileType or InternalParameters:
        return const("STATUS_INVALID_PARAMETER")
    if EaBuffer:
        return const("STATUS_EAS_NOT_SUPPORTED")
    attributes = read_attributes(k, ObjectAttributes)
    how = Create(DesiredAccess, FileAttributes, ShareAccess, Disposition, CreateOptions)
    return _create(k, FileHandle, attributes, IoStatusBlock, how, k.caller())


@export(
    "NTSTATUS ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock, ULONG ShareAccess, "
    "ULONG OpenOptions)",
    irql=PASSIVE_LEVEL,
    simplified=_FILES,
)
@ntstatus
def ZwOpenFile(
    k: Kernel,
    FileHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    IoStatusBlock: int,
    ShareAccess: int,
    OpenOptions: int,
) -> Steps:
    """WDK: "ZwOpenFile function (wdm.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    how = Create(DesiredAccess, 0, ShareAccess, const("FILE_OPEN"), OpenOptions)
    return _create(k, FileHandle, attributes, IoStatusBlock, how, k.caller())


def _device(k: Kernel, handle: int) -> File | None:
    """What a handle to a device stands for, None for what is no device."""
    payload = handle_target(k, handle, "File").payload
    return payload if isinstance(payload, File) else None


def _request(k: Kernel, event: int, apc: int, block: int, sent: Steps) -> Steps:
    """A device's request: see it completed, and signal what the caller may wait for."""
    if apc:
        return const("STATUS_NOT_SUPPORTED")
    signalled = handle_target(k, event, "Event").address if event else 0
    request: Request = yield from sent
    if signalled:
        k.dispatcher.signal(signalled, 1)
    return _finish(k, block, request.status, request.information)


def _transfer(
    k: Kernel,
    handle: int,
    event: int,
    apc: int,
    block: int,
    action: Callable[[OpenFile], int],
) -> int:
    """Do a file's transfer at once, and signal what the caller may wait for."""
    if apc:
        return const("STATUS_NOT_SUPPORTED")
    file = _file(k, handle)
    signalled = handle_target(k, event, "Event").address if event else 0
    try:
        status, information = 0, action(file)
    except NtFailure as failure:
        if failure.status != const("STATUS_END_OF_FILE"):
            raise
        status, information = failure.status, 0
    for waited in (signalled, file.address + place("FILE_OBJECT", "Event")[0]):
        if waited:
            k.dispatcher.signal(waited, 1)
    return _finish(k, block, status, information)


@export(
    "NTSTATUS ZwReadFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, "
    "PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, "
    "PLARGE_INTEGER ByteOffset, PULONG Key)",
    irql=PASSIVE_LEVEL,
    simplified=f"{_WAITS}; {_NO_APC}",
)
@ntstatus
def ZwReadFile(
    k: Kernel,
    FileHandle: int,
    Event: int,
    ApcRoutine: int,
    ApcContext: int,
    IoStatusBlock: int,
    Buffer: int,
    Length: int,
    ByteOffset: int,
    Key: int,
) -> int | Steps:
    """WDK: "ZwReadFile function (wdm.h)"."""
    if (device := _device(k, FileHandle)) is not None:
        sent = io_kernel.read(k, device, Buffer, Length, interval(k, ByteOffset))
        return _request(k, Event, ApcRoutine, IoStatusBlock, sent)

    def action(file: OpenFile) -> int:
        data = fs_service.read(k, file, interval(k, ByteOffset), Length)
        if data:
            k.memory.write(Buffer, data)
        return len(data)

    return _transfer(k, FileHandle, Event, ApcRoutine, IoStatusBlock, action)


@export(
    "NTSTATUS ZwWriteFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, "
    "PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, "
    "PLARGE_INTEGER ByteOffset, PULONG Key)",
    irql=PASSIVE_LEVEL,
    simplified=f"{_WAITS}; {_NO_APC}",
)
@ntstatus
def ZwWriteFile(
    k: Kernel,
    FileHandle: int,
    Event: int,
    ApcRoutine: int,
    ApcContext: int,
    IoStatusBlock: int,
    Buffer: int,
    Length: int,
    ByteOffset: int,
    Key: int,
) -> int | Steps:
    """WDK: "ZwWriteFile function (wdm.h)"."""
    if (device := _device(k, FileHandle)) is not None:
        sent = io_kernel.write(k, device, Buffer, Length, interval(k, ByteOffset))
        return _request(k, Event, ApcRoutine, IoStatusBlock, sent)

    def action(file: OpenFile) -> int:
        data = k.memory.read(Buffer, Length) if Length else b""
        fs_service.write(k, file, interval(k, ByteOffset), data)
        return Length

    if Length > _LONGEST:
        return const("STATUS_INVALID_PARAMETER")
    return _transfer(k, FileHandle, Event, ApcRoutine, IoStatusBlock, action)


@export(
    "NTSTATUS ZwDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, "
    "PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer, "
    "ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength)",
    irql=PASSIVE_LEVEL,
    simplified=f"{_WAITS}; {_NO_APC}",
)
@ntstatus
def ZwDeviceIoControlFile(
    k: Kernel,
    FileHandle: int,
    Event: int,
    ApcRoutine: int,
    ApcContext: int,
    IoStatusBlock: int,
    IoControlCode: int,
    InputBuffer: int,
    InputBufferLength: int,
    OutputBuffer: int,
    OutputBufferLength: int,
) -> int | Steps:
    """WDK: "ZwDeviceIoControlFile function (ntifs.h)". Files of the volume take no codes."""
    device = _device(k, FileHandle)
    if device is None:
        return const("STATUS_INVALID_DEVICE_REQUEST")
    given, room = (InputBuffer, InputBufferLength), (OutputBuffer, OutputBufferLength)
    sent = io_kernel.control(k, device, IoControlCode, given, room)
    return _request(k, Event, ApcRoutine, IoStatusBlock, sent)


@export(
    "NTSTATUS ZwQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, "
    "PVOID FileInformation, ULONG Length, ULONG FileInformationClass)",
    irql=PASSIVE_LEVEL,
    simplified=_FILES,
)
@ntstatus
def ZwQueryInformationFile(
    k: Kernel,
    FileHandle: int,
    IoStatusBlock: int,
    FileInformation: int,
    Length: int,
    FileInformationClass: int,
) -> int:
    """WDK: "ZwQueryInformationFile function (ntifs.h)"."""
    file = _file(k, FileHandle)
    status, size = fs_info.query(k, file, FileInformationClass, FileInformation, Length)
    return _finish(k, IoStatusBlock, status, size)


@export(
    "NTSTATUS ZwSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, "
    "PVOID FileInformation, ULONG Length, ULONG FileInformationClass)",
    irql=PASSIVE_LEVEL,
    simplified="times and attributes, position, sizes, name and disposition",
)
@ntstatus
def ZwSetInformationFile(
    k: Kernel,
    FileHandle: int,
    IoStatusBlock: int,
    FileInformation: int,
    Length: int,
    FileInformationClass: int,
) -> int:
    """WDK: "ZwSetInformationFile function (ntifs.h)"."""
    fs_info.change(k, _file(k, FileHandle), FileInformationClass, FileInformation, Length)
    return _finish(k, IoStatusBlock, 0, 0)


@export(
    "NTSTATUS ZwQueryDirectoryFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, "
    "PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length, "
    "ULONG FileInformationClass, BOOLEAN ReturnSingleEntry, PUNICODE_STRING FileName, "
    "BOOLEAN RestartScan)",
    irql=PASSIVE_LEVEL,
    simplified=_NO_APC,
)
@ntstatus
def ZwQueryDirectoryFile(
    k: Kernel,
    FileHandle: int,
    Event: int,
    ApcRoutine: int,
    ApcContext: int,
    IoStatusBlock: int,
    FileInformation: int,
    Length: int,
    FileInformationClass: int,
    ReturnSingleEntry: int,
    FileName: int,
    RestartScan: int,
) -> int:
    """WDK: "ZwQueryDirectoryFile function (ntifs.h)"."""
    pattern = read_unicode_string(k.memory, FileName) if FileName else None

    def action(file: OpenFile) -> int:
        return fs_info.list_folder(
            *(k, file, FileInformationClass, FileInformation, Length),
            single=bool(ReturnSingleEntry),
            pattern=pattern,
            restart=bool(RestartScan),
        )

    return _transfer(k, FileHandle, Event, ApcRoutine, IoStatusBlock, action)


@export(
    "NTSTATUS ZwFlushBuffersFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock)",
    irql=PASSIVE_LEVEL,
    simplified=_FILES,
)
@ntstatus
def ZwFlushBuffersFile(k: Kernel, FileHandle: int, IoStatusBlock: int) -> int | Steps:
    """WDK: "ZwFlushBuffersFile function (ntifs.h)": what was written reaches the disk."""
    if (device := _device(k, FileHandle)) is not None:
        return _request(k, 0, 0, IoStatusBlock, io_kernel.flush(k, device))
    file = _file(k, FileHandle)
    if not file.access & 0x6:  # FILE_WRITE_DATA, FILE_APPEND_DATA
        return const("STATUS_ACCESS_DENIED")
    k.files.write_back(file.node)
    return _finish(k, IoStatusBlock, 0, 0)


@export("NTSTATUS ZwDeleteFile(POBJECT_ATTRIBUTES ObjectAttributes)", irql=PASSIVE_LEVEL)
@ntstatus
def ZwDeleteFile(k: Kernel, ObjectAttributes: int) -> int:
    """WDK: "ZwDeleteFile function (ntifs.h)"."""
    start, path = fs_service.locate(k, read_attributes(k, ObjectAttributes))
    fs_service.delete(k, start, path)
    return 0


@export(
    "NTSTATUS ZwQueryFullAttributesFile(POBJECT_ATTRIBUTES ObjectAttributes, "
    "PFILE_NETWORK_OPEN_INFORMATION FileInformation)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwQueryFullAttributesFile(k: Kernel, ObjectAttributes: int, FileInformation: int) -> int:
    """WDK: "ZwQueryFullAttributesFile function (wdm.h)"."""
    start, path = fs_service.locate(k, read_attributes(k, ObjectAttributes))
    _, node = k.files.walk(k.files.split(path), start)
    if node is None:
        return const("STATUS_OBJECT_NAME_NOT_FOUND")
    k.memory.write(FileInformation, fs_info.network_open(node))
    return 0
