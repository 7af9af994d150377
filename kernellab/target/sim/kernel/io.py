"""The I/O manager: IRPs from the client to a device and back.

WDK pages: "IRP structure (wdm.h)", "IO_STACK_LOCATION structure (wdm.h)", "Using Buffered I/O",
"Buffer Descriptions for I/O Control Codes", "IofCompleteRequest function", "IofCallDriver
function". Buffered transfers only so far; direct and neither are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .bugcheck import BugCheck
from .driver import NtFailure, at_same_irql
from .execution import Call, Steps
from .objects import Handle, nt_path
from .structs import LONGEST_STRING, Struct, const, size_of, write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel

_IRP_TAG: Final = int.from_bytes(b"Irp ", "little")
_FILE_TAG: Final = int.from_bytes(b"File", "little")
_BUFFER_TAG: Final = int.from_bytes(b"SysB", "little")

#: Most bytes of one request's buffers.
MAX_TRANSFER: Final = 16 << 20


class Refused(Exception):
    """A request of a kind that is not simulated; the message names it."""


@dataclass(slots=True)
class Request:
    """An IRP on its way: where it is, its system buffer, and how it was completed."""

    irp: int
    buffer: int
    capacity: int
    completed: bool = False
    status: int = 0
    information: int = 0
    data: bytes = b""
    #: What the caller sent.
    given: bytes = b""


def _new(k: Kernel, size: int, tag: int, *, zero: bool = True) -> int:
    address = k.pool.allocate(size, tag, zero=zero)
    if not address:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory")
    return address


def IopParseDevice(k: Kernel, path: str) -> Steps:  # noqa: N802 - NT's name
    """Open ``path``: a file object, IRP_MJ_CREATE; the value is the handle."""
    if len(path.encode("utf-16-le", "surrogatepass")) > LONGEST_STRING:
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", "the path is longer than 32,767 characters")
    found = k.objects.find_device(nt_path(path))
    if found is None:
        raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"there is no device {path}")
    device, rest = found
    flags = Struct(k.memory, "DEVICE_OBJECT", device.address)["Flags"]
    if flags & const("DO_DEVICE_INITIALIZING"):
        raise NtFailure(
            "STATUS_NO_SUCH_DEVICE", f"{path} is still initializing (DO_DEVICE_INITIALIZING)"
        )
    if device.exclusive and device.handles:
        raise NtFailure("STATUS_ACCESS_DENIED", f"{path} is exclusive and already open")
    size = size_of("FILE_OBJECT")
    file_object = _new(k, size + max(2, 2 * len(rest)), _FILE_TAG)
    entry = Struct(k.memory, "FILE_OBJECT", file_object)
    entry["Type"] = const("IO_TYPE_FILE")
    entry["Size"] = size
    entry["DeviceObject"] = device.address
    entry["ReadAccess"] = entry["WriteAccess"] = 1
    entry["Flags"] = const("FO_SYNCHRONOUS_IO")
    write_unicode_string(k.memory, entry.at("FileName"), file_object + size, rest)
    handle = k.objects.open(device, file_object, path)
    try:
        request = yield from IoCallDevice(k, handle, "IRP_MJ_CREATE")
    except BaseException:
        _forget(k, handle)
        raise
    if not ntdata.nt_success(request.status):
        _forget(k, handle)
        raise _failure(request, "IRP_MJ_CREATE", path)
    return handle.number


def IopCloseFile(k: Kernel, handle: Handle) -> Steps:  # noqa: N802 - NT's name
    """IRP_MJ_CLEANUP and IRP_MJ_CLOSE; closing cannot fail, whatever the driver answers."""
    try:
        try:
            yield from IoCallDevice(k, handle, "IRP_MJ_CLEANUP")
        finally:
            yield from IoCallDevice(k, handle, "IRP_MJ_CLOSE")
    finally:
        _forget(k, handle)
    return 0


def _forget(k: Kernel, handle: Handle) -> None:
    """Take a handle away, its file object, and its device if that was deleted meanwhile."""
    k.objects.close(handle)
    if handle.file_object in k.pool.live:
        k.pool.free(k.pool.live[handle.file_object])


def NtReadFile(k: Kernel, handle: Handle, length: int, offset: int) -> Steps:  # noqa: N802
    """IRP_MJ_READ; the value is the :class:`Request`."""
    _buffered(k, handle, "IRP_MJ_READ")
    fields = {"Parameters.Read.Length": length, "Parameters.Read.ByteOffset": offset}
    request = yield from IoCallDevice(k, handle, "IRP_MJ_READ", fields, capacity=length)
    return _checked(request, "IRP_MJ_READ", handle)


def NtWriteFile(k: Kernel, handle: Handle, data: bytes, offset: int) -> Steps:  # noqa: N802
    """IRP_MJ_WRITE; the value is the :class:`Request`."""
    _buffered(k, handle, "IRP_MJ_WRITE")
    fields = {"Parameters.Write.Length": len(data), "Parameters.Write.ByteOffset": offset}
    request = yield from IoCallDevice(k, handle, "IRP_MJ_WRITE", fields, data=data)
    return _checked(request, "IRP_MJ_WRITE", handle)


def NtDeviceIoControlFile(  # noqa: N802 - NT's name
    k: Kernel, handle: Handle, code: int, data: bytes, out_size: int
) -> Steps:
    """IRP_MJ_DEVICE_CONTROL with METHOD_BUFFERED; the value is the :class:`Request`."""
    method = code & 3
    if method != const("METHOD_BUFFERED"):
        names = {const(n): n for n in ("METHOD_IN_DIRECT", "METHOD_OUT_DIRECT", "METHOD_NEITHER")}
        raise Refused(
            f"control code {code:#x} uses {names[method]}, which sim does not have yet; "
            "METHOD_BUFFERED works"
        )
    prefix = "Parameters.DeviceIoControl."
    fields = {
        f"{prefix}IoControlCode": code,
        f"{prefix}InputBufferLength": len(data),
        f"{prefix}OutputBufferLength": out_size,
    }
    request = yield from IoCallDevice(
        k, handle, "IRP_MJ_DEVICE_CONTROL", fields, data=data, capacity=out_size
    )
    return _checked(request, f"control code {code:#x}", handle)


def _buffered(k: Kernel, handle: Handle, what: str) -> None:
    flags = Struct(k.memory, "DEVICE_OBJECT", handle.device.address)["Flags"]
    if not flags & const("DO_BUFFERED_IO"):
        how = "DO_DIRECT_IO" if flags & const("DO_DIRECT_IO") else "neither buffered nor direct I/O"
        raise Refused(
            f"{what} on {handle.path}: its device uses {how}, which sim does not have yet; "
            "set DO_BUFFERED_IO in the device object's Flags"
        )


def IoCallDevice(  # noqa: N802 - reads as a routine of the I/O manager in stacks
    k: Kernel,
    handle: Handle,
    major: str,
    fields: Mapping[str, int] | None = None,
    *,
    data: bytes = b"",
    capacity: int = 0,
) -> Steps:
    """Send one IRP to the handle's device and see it completed."""
    if max(len(data), capacity) > MAX_TRANSFER:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"a transfer of over {MAX_TRANSFER} bytes")
    device = Struct(k.memory, "DEVICE_OBJECT", handle.device.address)
    request = _make(k, handle, device, major, fields or {}, data, capacity)
    k.requests[request.irp] = request
    try:
        returned = yield from IopfCallDriver(k, device.address, request.irp)
        if not request.completed:
            _never_completed(k, handle, major, returned & 0xFFFFFFFF)
    finally:
        k.requests.pop(request.irp, None)
        for address in (request.irp, request.buffer):
            if address in k.pool.live:
                k.pool.free(k.pool.live[address])
    return request


def _make(
    k: Kernel,
    handle: Handle,
    device: Struct,
    major: str,
    fields: Mapping[str, int],
    data: bytes,
    capacity: int,
) -> Request:
    stack_size = max(1, device["StackSize"])
    size = size_of("IRP") + stack_size * size_of("IO_STACK_LOCATION")
    room = max(len(data), capacity)
    buffer = _new(k, room, _BUFFER_TAG, zero=False) if room else 0
    if buffer and data:
        k.memory.write(buffer, data)
    irp = Struct(k.memory, "IRP", _new(k, size, _IRP_TAG))
    irp["Type"] = const("IO_TYPE_IRP")
    irp["Size"] = size
    irp["StackCount"] = stack_size
    irp["CurrentLocation"] = stack_size + 1
    irp["RequestorMode"] = 1  # UserMode
    irp["AssociatedIrp.SystemBuffer"] = buffer
    irp["Tail.Overlay.OriginalFileObject"] = handle.file_object
    if buffer:
        irp["Flags"] = const("IRP_BUFFERED_IO") | const("IRP_DEALLOCATE_BUFFER")
    top = irp.address + size
    irp["Tail.Overlay.CurrentStackLocation"] = top
    location = Struct(k.memory, "IO_STACK_LOCATION", top - size_of("IO_STACK_LOCATION"))
    location["MajorFunction"] = const(major)
    location["FileObject"] = handle.file_object
    for name, value in fields.items():
        location[name] = value
    return Request(irp.address, buffer, capacity, given=data)


def IopfCallDriver(k: Kernel, device: int, irp_address: int) -> Steps:  # noqa: N802 - NT's
    """Move to the next stack location and call the driver's dispatch routine."""
    irp = Struct(k.memory, "IRP", irp_address)
    current = irp["CurrentLocation"] - 1
    if current <= 0:
        raise BugCheck(
            "NO_MORE_IRP_STACK_LOCATIONS",
            irp_address,
            message="An IRP was passed down further than it has stack locations.",
        )
    irp["CurrentLocation"] = current
    here = irp["Tail.Overlay.CurrentStackLocation"] - size_of("IO_STACK_LOCATION")
    irp["Tail.Overlay.CurrentStackLocation"] = here
    location = Struct(k.memory, "IO_STACK_LOCATION", here)
    location["DeviceObject"] = device
    driver_object = Struct(k.memory, "DEVICE_OBJECT", device)["DriverObject"]
    table = Struct(k.memory, "DRIVER_OBJECT", driver_object).at("MajorFunction")
    routine = k.memory.u64(table + 8 * location["MajorFunction"])
    call = Call(routine, (device, irp_address))
    status = yield from at_same_irql(k, call, "a dispatch routine")
    return status & 0xFFFFFFFF


def IopfCompleteRequest(k: Kernel, irp_address: int) -> Steps:  # noqa: N802 - NT's name
    """Call completion routines on the way up, then finish the request."""
    request = k.requests.get(irp_address)
    irp = Struct(k.memory, "IRP", irp_address)
    count, current = irp["StackCount"], irp["CurrentLocation"]
    if current > count + 1 or request is None or request.completed:
        raise BugCheck(
            *("MULTIPLE_IRP_COMPLETE_REQUESTS", irp_address),
            message="An IRP was completed that was completed already.",
        )
    status = irp["IoStatus.Status"]
    if status == const("STATUS_PENDING"):
        k.tell("irp-completed-pending", irp_address)
    step = size_of("IO_STACK_LOCATION")
    while current <= count:
        location = Struct(k.memory, "IO_STACK_LOCATION", irp["Tail.Overlay.CurrentStackLocation"])
        control = location["Control"]
        routine, context = location["CompletionRoutine"], location["Context"]
        irp["PendingReturned"] = bool(control & const("SL_PENDING_RETURNED"))
        current += 1
        irp["CurrentLocation"] = current
        irp["Tail.Overlay.CurrentStackLocation"] = location.address + step
        success = ntdata.nt_success(irp["IoStatus.Status"])
        wanted = "SL_INVOKE_ON_SUCCESS" if success else "SL_INVOKE_ON_ERROR"
        if routine and control & const(wanted):
            upper = Struct(k.memory, "IO_STACK_LOCATION", location.address + step)
            device = upper["DeviceObject"] if current <= count else 0
            call = Call(routine, (device, irp_address, context))
            answer = yield from at_same_irql(k, call, "a completion routine")
            if answer & 0xFFFFFFFF == const("STATUS_MORE_PROCESSING_REQUIRED"):
                return 0
    _finish(k, irp, request)
    return 0


def _finish(k: Kernel, irp: Struct, request: Request) -> None:
    request.completed = True
    request.status = irp["IoStatus.Status"]
    request.information = irp["IoStatus.Information"]
    # Windows copies back for success and warnings, not for errors ("Using Buffered I/O").
    if request.buffer and request.status >> 30 != 3:
        if request.information > request.capacity and request.capacity:
            k.tell("irp-information", request.information, request.capacity)
        size = min(request.information, request.capacity)
        request.data = k.memory.read(request.buffer, size)
        k.tell("irp-output", request.data, request.given)
    # The IRP and its buffer belong to the I/O manager again: a later touch must fault.
    for address in (irp.address, request.buffer):
        if address in k.pool.live:
            k.pool.free(k.pool.live[address])


def _never_completed(k: Kernel, handle: Handle, major: str, returned: int) -> None:
    name = ntdata.status_name(returned)
    if returned == const("STATUS_PENDING"):
        raise NtFailure(
            returned,
            f"{handle.device.owner} keeps {major} pending, and nothing is left to run that "
            "could complete it",
        )
    k.tell("irp-forgotten", major, name, handle.device.owner)
    raise NtFailure(
        returned if not ntdata.nt_success(returned) else "STATUS_UNSUCCESSFUL",
        f"{handle.device.owner} never completed {major}",
    )


def _failure(request: Request, what: str, path: str) -> NtFailure:
    name = ntdata.status_name(request.status)
    return NtFailure(request.status, f"{what} on {path}: {name}")


def _checked(request: Request, what: str, handle: Handle) -> Request:
    """The request, or NtFailure for an error status (a warning still has its data)."""
    if request.status >> 30 == 3:
        raise _failure(request, what, handle.path)
    return request
