"""IRPs that drivers have built for them.

WDK pages: "Creating IRPs for Lower-Level Drivers", "Synchronous and Asynchronous I/O".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import irp as irps
from ..kernel.driver import NtFailure
from ..kernel.execution import RaisedStatus
from ..kernel.io_buffers import free_mdls
from ..kernel.io_finish import system_buffer
from ..kernel.irp import Irp, Origin
from ..kernel.structs import Struct, const
from .registry import APC_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_BUFFERED, _IN_DIRECT, _OUT_DIRECT = range(3)


def _new(k: Kernel, device: int, origin: Origin) -> tuple[Irp, Struct, Struct] | None:
    """An IRP for a device's stack, with its first location; None where there is no memory."""
    stack = Struct(k.memory, "DEVICE_OBJECT", device)["StackSize"]
    owner = k.caller() if origin is Origin.ASYNCHRONOUS else ""
    record = irps.allocate(k, stack, origin, owner)
    if record is None:
        return None
    irp = Struct(k.memory, "IRP", record.address)
    irp["Tail.Overlay.Thread"] = record.thread = k.thread.object
    return record, irp, irps.next_location(k, irp)


def _no_memory(k: Kernel, record: Irp) -> int:
    free_mdls(k, Struct(k.memory, "IRP", record.address))
    if record.buffer in k.pool.live:
        k.pool.free(k.pool.live[record.buffer])
    irps.release(k, record)
    return 0


def _system(k: Kernel, record: Irp, irp: Struct, size: int, data: bytes) -> None:
    """A system buffer for a buffered transfer; whose it is decides who frees it."""
    record.buffer = system_buffer(k, size, data, owner=record.owner)
    if not record.buffer:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "no memory for a system buffer")
    irp["AssociatedIrp.SystemBuffer"] = record.buffer
    irp["Flags"] |= const("IRP_BUFFERED_IO") | const("IRP_DEALLOCATE_BUFFER")


def _lock(k: Kernel, irp: Struct, address: int, size: int, *, write: bool) -> None:
    mdl = k.mdl.allocate(address, size)
    if not mdl:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "no memory for an MDL")
    irp["MdlAddress"] = mdl
    k.mdl.probe_and_lock(mdl, user=False, write=write)


@export(
    "PIRP IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject, "
    "PVOID InputBuffer, ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength, "
    "BOOLEAN InternalDeviceIoControl, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)",
    irql=PASSIVE_LEVEL,
    simplified="finished at the moment of completion rather than by an APC of the thread",
)
def IoBuildDeviceIoControlRequest(
    k: Kernel,
    IoControlCode: int,
    DeviceObject: int,
    InputBuffer: int,
    InputBufferLength: int,
    OutputBuffer: int,
    OutputBufferLength: int,
    InternalDeviceIoControl: int,
    Event: int,
    IoStatusBlock: int,
) -> int:
    """WDK: "IoBuildDeviceIoControlRequest function (wdm.h)". The I/O manager frees the IRP."""
    made = _new(k, DeviceObject, Origin.THREADED)
    if made is None:
        return 0
    record, irp, location = made
    irp["UserEvent"], irp["UserIosb"] = Event, IoStatusBlock
    internal = "IRP_MJ_INTERNAL_DEVICE_CONTROL" if InternalDeviceIoControl else ""
    location["MajorFunction"] = const(internal or "IRP_MJ_DEVICE_CONTROL")
    prefix = "Parameters.DeviceIoControl."
    location[f"{prefix}IoControlCode"] = IoControlCode
    location[f"{prefix}InputBufferLength"] = InputBufferLength
    location[f"{prefix}OutputBufferLength"] = OutputBufferLength
    method = IoControlCode & 3
    try:
        if method == _BUFFERED:
            size = max(InputBufferLength, OutputBufferLength)
            if size:
                data = k.memory.read(InputBuffer, InputBufferLength) if InputBuffer else b""
                _system(k, record, irp, size, data)
                irp["UserBuffer"] = OutputBuffer
                record.capacity = OutputBufferLength
                irp["Flags"] |= const("IRP_INPUT_OPERATION") if OutputBuffer else 0
        elif method in (_IN_DIRECT, _OUT_DIRECT):
            if InputBuffer and InputBufferLength:
                data = k.memory.read(InputBuffer, InputBufferLength)
                _system(k, record, irp, InputBufferLength, data)
            if OutputBuffer and OutputBufferLength:
                write = method == _OUT_DIRECT
                _lock(k, irp, OutputBuffer, OutputBufferLength, write=write)
        else:
            irp["UserBuffer"] = OutputBuffer
            location[f"{prefix}Type3InputBuffer"] = InputBuffer
    except (NtFailure, RaisedStatus):
        return _no_memory(k, record)
    return record.address


_TRANSFERS: Final = ("IRP_MJ_READ", "IRP_MJ_WRITE")


def _build_fsd(
    k: Kernel,
    origin: Origin,
    major: int,
    device: int,
    buffer: int,
    length: int,
    offset: int,
    block: int,
) -> int:
    made = _new(k, device, origin)
    if made is None:
        return 0
    record, irp, location = made
    location["MajorFunction"] = major
    irp["UserIosb"] = block
    name = next((n for n in _TRANSFERS if const(n) == major), "")
    if not name:
        return record.address
    reading = name == "IRP_MJ_READ"
    prefix = "Parameters.Read." if reading else "Parameters.Write."
    location[f"{prefix}Length"] = length
    if offset:
        location[f"{prefix}ByteOffset"] = k.memory.u64(offset)
    flags = Struct(k.memory, "DEVICE_OBJECT", device)["Flags"]
    try:
        if flags & const("DO_BUFFERED_IO"):
            data = k.memory.read(buffer, length) if length and not reading else b""
            if length:
                _system(k, record, irp, length, data)
            if reading:
                irp["Flags"] |= const("IRP_INPUT_OPERATION")
                irp["UserBuffer"] = buffer
                record.capacity = length
        elif flags & const("DO_DIRECT_IO"):
            if length:
                _lock(k, irp, buffer, length, write=reading)
        else:
            irp["UserBuffer"] = buffer
    except (NtFailure, RaisedStatus):
        return _no_memory(k, record)
    irp["Flags"] |= const("IRP_READ_OPERATION" if reading else "IRP_WRITE_OPERATION")
    return record.address


@export(
    "PIRP IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, "
    "PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset, PKEVENT Event, "
    "PIO_STATUS_BLOCK IoStatusBlock)",
    irql=PASSIVE_LEVEL,
    simplified="finished at the moment of completion rather than by an APC of the thread",
)
def IoBuildSynchronousFsdRequest(
    k: Kernel,
    MajorFunction: int,
    DeviceObject: int,
    Buffer: int,
    Length: int,
    StartingOffset: int,
    Event: int,
    IoStatusBlock: int,
) -> int:
    """WDK: "IoBuildSynchronousFsdRequest function (wdm.h)". The I/O manager frees the IRP."""
    address = _build_fsd(
        *(k, Origin.THREADED, MajorFunction, DeviceObject),
        *(Buffer, Length, StartingOffset, IoStatusBlock),
    )
    if address:
        Struct(k.memory, "IRP", address)["UserEvent"] = Event
    return address


@export(
    "PIRP IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, "
    "PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset, PIO_STATUS_BLOCK IoStatusBlock)",
    irql=APC_LEVEL,
)
def IoBuildAsynchronousFsdRequest(
    k: Kernel,
    MajorFunction: int,
    DeviceObject: int,
    Buffer: int,
    Length: int,
    StartingOffset: int,
    IoStatusBlock: int,
) -> int:
    """WDK: "IoBuildAsynchronousFsdRequest function (wdm.h)".

    Its completion routine frees it with IoFreeIrp; of a device with buffered I/O, it copies the
    data and frees the system buffer as well.
    """
    return _build_fsd(
        *(k, Origin.ASYNCHRONOUS, MajorFunction, DeviceObject),
        *(Buffer, Length, StartingOffset, IoStatusBlock),
    )
