"""Devices opened by drivers with ZwCreateFile: the same requests as a program's, from kernel mode.

The caller's buffers are in kernel memory, and the IRPs' RequestorMode is KernelMode. WDK pages:
"ZwCreateFile function (wdm.h)", "ZwDeviceIoControlFile function (ntifs.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import io_device, io_file
from .attributes import Attributes, open_handle
from .driver import NtFailure
from .execution import Steps
from .fs_service import Create
from .io_call import steps
from .io_client import allowed, method_of
from .io_file import File
from .io_finish import Request
from .io_request import IN_DIRECT, OUT_DIRECT, SendIrp, Spec
from .objects import Device
from .structs import Struct, const

if TYPE_CHECKING:
    from .kernel import Kernel

_KERNEL_MODE: Final = 0
_SYNCHRONOUS: Final = 0x30  # FILE_SYNCHRONOUS_IO_ALERT, _NONALERT
_POINTER_POSITION: Final = -2


def is_device(k: Kernel, attributes: Attributes) -> bool:
    """Whether the attributes name a device, or something behind one."""
    if attributes.root or not attributes.name:
        return False
    found = k.names.walk(attributes.name)
    return found.object is not None and isinstance(found.object.payload, Device)


def open_device(k: Kernel, attributes: Attributes, how: Create, owner: str) -> Steps:
    """Open a device by name: IRP_MJ_CREATE; the value is the handle. Raises NtFailure."""
    opening = io_file.Open(
        *(how.access, how.share, how.options, how.disposition), mode=_KERNEL_MODE
    )
    file: File = yield from io_file.open_file(k, attributes.name or "", opening)
    if how.options & _SYNCHRONOUS:
        Struct(k.memory, "FILE_OBJECT", file.address)["Flags"] |= const("FO_SYNCHRONOUS_IO")
    handle = open_handle(k, k.ob.get(file.address), file.access, attributes, owner)
    k.ob.dereference(file.address)
    return handle


def _offset(k: Kernel, file: File, offset: int | None) -> int:
    entry = Struct(k.memory, "FILE_OBJECT", file.address)
    if offset is None or offset == _POINTER_POSITION:
        return entry["CurrentByteOffset"]
    return offset


def _send(k: Kernel, file: File, spec: Spec) -> Steps:
    top = io_device.top_of(k, file.device.address)
    request: Request = yield from steps(SendIrp(k, file, top, spec, mode=_KERNEL_MODE))
    if not request.completed:
        raise NtFailure("STATUS_CANCELLED", f"{spec.what or spec.major} was given up")
    return request


def _moved(k: Kernel, file: File, start: int, request: Request) -> None:
    entry = Struct(k.memory, "FILE_OBJECT", file.address)
    if entry["Flags"] & const("FO_SYNCHRONOUS_IO") and not request.status >> 31:
        entry["CurrentByteOffset"] = start + request.information


def read(k: Kernel, file: File, buffer: int, length: int, offset: int | None) -> Steps:
    """IRP_MJ_READ; the value is the completed :class:`Request`."""
    allowed(file, const("FILE_READ_DATA"), "IRP_MJ_READ")
    start = _offset(k, file, offset)
    fields = {"Parameters.Read.Length": length, "Parameters.Read.ByteOffset": start}
    spec = Spec(
        *("IRP_MJ_READ", "", fields),
        out_size=length,
        kernel_output=buffer if length else 0,
        method=method_of(k, file, OUT_DIRECT),
        flags=const("IRP_READ_OPERATION"),
    )
    request = yield from _send(k, file, spec)
    _moved(k, file, start, request)
    return request


def write(k: Kernel, file: File, buffer: int, length: int, offset: int | None) -> Steps:
    """IRP_MJ_WRITE; the value is the completed :class:`Request`."""
    rights = const("FILE_WRITE_DATA") | const("FILE_APPEND_DATA")
    allowed(file, rights, "IRP_MJ_WRITE")
    start = _offset(k, file, offset)
    fields = {"Parameters.Write.Length": length, "Parameters.Write.ByteOffset": start}
    spec = Spec(
        *("IRP_MJ_WRITE", "", fields),
        data=k.memory.read(buffer, length) if length else b"",
        kernel_input=buffer if length else 0,
        method=method_of(k, file, IN_DIRECT),
        flags=const("IRP_WRITE_OPERATION"),
    )
    request = yield from _send(k, file, spec)
    _moved(k, file, start, request)
    return request


def flush(k: Kernel, file: File) -> Steps:
    """IRP_MJ_FLUSH_BUFFERS; the value is the completed :class:`Request`."""
    return (yield from _send(k, file, Spec("IRP_MJ_FLUSH_BUFFERS")))


def control(
    k: Kernel, file: File, code: int, given: tuple[int, int], room: tuple[int, int]
) -> Steps:
    """IRP_MJ_DEVICE_CONTROL; ``given`` and ``room`` are buffers: address, length."""
    access = code >> 14 & 3
    for bit, right in ((1, "FILE_READ_DATA"), (2, "FILE_WRITE_DATA")):
        if access & bit:
            allowed(file, const(right), f"control code {code:#x}")
    prefix = "Parameters.DeviceIoControl."
    fields = {
        f"{prefix}IoControlCode": code,
        f"{prefix}InputBufferLength": given[1],
        f"{prefix}OutputBufferLength": room[1],
    }
    spec = Spec(
        *("IRP_MJ_DEVICE_CONTROL", f"control code {code:#x}", fields),
        data=k.memory.read(*given) if given[1] else b"",
        out_size=room[1],
        kernel_input=given[0] if given[1] else 0,
        kernel_output=room[0] if room[1] else 0,
        method=code & 3,
    )
    return (yield from _send(k, file, spec))
