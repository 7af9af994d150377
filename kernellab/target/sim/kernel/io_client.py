"""What the client does with devices: its system calls, synchronous and asynchronous.

Each runs on a thread of the client's process. A synchronous call waits until its IRP is completed,
and lets virtual time pass meanwhile; an asynchronous one ends when the dispatch routine has
returned. WDK pages: "ZwReadFile function", "ZwDeviceIoControlFile function", "Handling IRPs that
are pending".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from . import io_cancel, io_device, io_file
from .driver import NtFailure
from .execution import Steps
from .io_file import File, Open
from .io_finish import Request
from .io_request import BUFFERED, IN_DIRECT, NEITHER, OUT_DIRECT, SendIrp, Spec, abandon
from .scheduler import Stuck
from .structs import Struct, const

if TYPE_CHECKING:
    from .kernel import Kernel

_READ_ACCESS, _WRITE_ACCESS = 1, 2
_ACCESS: Final = {"": 0, "r": 0x8000_0000, "w": 0x4000_0000, "rw": 0xC000_0000}
_SHARE: Final = {"r": 1, "w": 2, "d": 4}


class StillPending(Exception):
    """A request is not completed, and nothing on the machine will complete it by itself."""


def opening(access: str, share: str, *, admin: bool) -> Open:
    """How the client opens: ``access`` of the letters r and w, ``share`` of r, w and d."""
    if access not in _ACCESS or any(letter not in _SHARE for letter in share):
        raise ValueError("'access' has to be \"\", r, w or rw, 'share' of the letters r, w and d")
    sharing = sum(_SHARE[letter] for letter in set(share))
    return Open(_ACCESS[access], sharing, admin=admin)


def NtCreateFile(k: Kernel, path: str, how: Open) -> Steps:  # noqa: N802 - NT's name
    """Open ``path``; the value is the handle's number in the client's process."""
    file = yield from io_file.open_file(k, path, how)
    handle = k.ob.open(k.ob.get(file.address), k.ps.client.pid, file.access)
    # What it was made with; the handle has one of its own.
    k.ob.dereference(file.address)
    return handle


def find(k: Kernel, handle: int) -> File | None:
    """What a handle of the client stands for."""
    entry = k.ob.find(handle, k.ps.client.pid)
    payload = entry.object.payload if entry is not None else None
    return payload if isinstance(payload, File) else None


def NtClose(k: Kernel, handle: int) -> Steps:  # noqa: N802 - NT's name
    """Close a handle: IRP_MJ_CLEANUP, what is pending is cancelled, IRP_MJ_CLOSE."""
    file = find(k, handle)
    if file is None:
        raise NtFailure("STATUS_INVALID_HANDLE", f"{handle:#x} is no open handle")
    return (yield from close_handle(k, file, handle, k.ps.client.pid))


def close_handle(k: Kernel, file: File, handle: int, pid: int) -> Steps:
    """Close a process's handle to ``file``; see :func:`NtClose`."""
    k.ob.reference(file.address)
    k.ob.close(handle, pid)
    if k.ob.get(file.address).handles:
        k.ob.dereference(file.address)
        return 0
    try:
        yield from io_file.cleanup(k, file)
        for request in list(file.requests):
            yield from io_cancel.cancel_request(k, request)
        for request in file.requests:
            k.tell("irp-left", file.path, request.what, file.device.owner)
            abandon(k, request)
    finally:
        yield from io_file.release(k, file)
    return 0


def read(k: Kernel, file: File, length: int, offset: int, *, wait: bool = True) -> SendIrp:
    """IRP_MJ_READ. Raises NtFailure."""
    allowed(file, const("FILE_READ_DATA"), "IRP_MJ_READ")
    fields = {"Parameters.Read.Length": length, "Parameters.Read.ByteOffset": offset}
    method = method_of(k, file, OUT_DIRECT)
    flags = const("IRP_READ_OPERATION")
    spec = Spec("IRP_MJ_READ", "", fields, out_size=length, method=method, flags=flags)
    return _send(k, file, spec, wait=wait)


def write(k: Kernel, file: File, data: bytes, offset: int, *, wait: bool = True) -> SendIrp:
    """IRP_MJ_WRITE. Raises NtFailure."""
    rights = const("FILE_WRITE_DATA") | const("FILE_APPEND_DATA")
    allowed(file, rights, "IRP_MJ_WRITE")
    fields = {"Parameters.Write.Length": len(data), "Parameters.Write.ByteOffset": offset}
    method = method_of(k, file, IN_DIRECT)
    flags = const("IRP_WRITE_OPERATION")
    spec = Spec("IRP_MJ_WRITE", "", fields, data=data, method=method, flags=flags)
    return _send(k, file, spec, wait=wait)


def flush(k: Kernel, file: File, *, wait: bool = True) -> SendIrp:
    """IRP_MJ_FLUSH_BUFFERS. Raises NtFailure."""
    rights = const("FILE_WRITE_DATA") | const("FILE_APPEND_DATA")
    allowed(file, rights, "IRP_MJ_FLUSH_BUFFERS")
    return _send(k, file, Spec("IRP_MJ_FLUSH_BUFFERS"), wait=wait)


def ioctl(
    k: Kernel,
    file: File,
    code: int,
    data: bytes,
    out_size: int,
    *,
    output: bytes = b"",
    wait: bool = True,
) -> SendIrp:
    """IRP_MJ_DEVICE_CONTROL; ``output`` is what the output buffer holds before. NtFailure."""
    required = code >> 14 & 3
    if required & _READ_ACCESS:
        allowed(file, const("FILE_READ_DATA"), f"control code {code:#x}")
    if required & _WRITE_ACCESS:
        allowed(file, const("FILE_WRITE_DATA"), f"control code {code:#x}")
    prefix = "Parameters.DeviceIoControl."
    fields = {
        f"{prefix}IoControlCode": code,
        f"{prefix}InputBufferLength": len(data),
        f"{prefix}OutputBufferLength": out_size,
    }
    spec = Spec(
        "IRP_MJ_DEVICE_CONTROL",
        f"control code {code:#x}",
        fields,
        data=data,
        out_size=out_size,
        output=output,
        method=code & 3,
    )
    return _send(k, file, spec, wait=wait)


def allowed(file: File, rights: int, what: str) -> None:
    """Raises NtFailure where the file was not opened with any of ``rights``."""
    if not file.access & rights:
        raise NtFailure(
            "STATUS_ACCESS_DENIED", f"{what}: the handle to {file.path} was not opened for that"
        )


def method_of(k: Kernel, file: File, direct: int) -> int:
    """How the top device of the stack wants its data for reads and writes."""
    top = io_device.top_of(k, file.device.address)
    flags = Struct(k.memory, "DEVICE_OBJECT", top)["Flags"]
    if flags & const("DO_BUFFERED_IO"):
        return BUFFERED
    return direct if flags & const("DO_DIRECT_IO") else NEITHER


def _send(k: Kernel, file: File, spec: Spec, *, wait: bool) -> SendIrp:
    return SendIrp(k, file, io_device.top_of(k, file.device.address), spec, wait=wait)


# -- running them -------------------------------------------------------------------------------


def run(k: Kernel, activity: Steps, name: str) -> Any:
    """Run another call of the client; a request that it waits for in vain is cancelled."""
    try:
        return k.run(activity, name, user=True)
    except Stuck as stuck:
        stopped = stuck
    thread = stopped.thread
    while True:
        waited = thread.waiting_on
        if not isinstance(waited, Request):
            raise stopped
        why = _give_up(k, waited, stopped)
        try:
            k.drive(thread)
        except Stuck as stuck:
            stopped = stuck
            continue
        if thread.error is not None:
            raise why
        return thread.value


def call(k: Kernel, activity: SendIrp, name: str) -> Request:
    """Run a synchronous call to its end: its completed request.

    Where its IRP is kept pending and nothing is left that could complete it, it is cancelled, and
    NtFailure says so; the machine goes on. Raises NtFailure for an error status as well.
    """
    try:
        request: Request = k.run(activity, name, user=True)
    except Stuck as stuck:
        waited = stuck.thread.waiting_on
        if not isinstance(waited, Request) or waited is not activity.request:
            raise
        raise _give_up(k, waited, stuck) from None
    return checked(request)


def start(k: Kernel, activity: SendIrp, name: str) -> Request:
    """Run an asynchronous call until its dispatch routine has returned, or waits: its request."""
    try:
        k.run(activity, name, user=True)
    except Stuck:
        # The dispatch routine itself waits; its thread goes on when that is over.
        pass
    return activity.request


def await_request(k: Kernel, request: Request) -> Request:
    """Let the machine run until a request is completed. StillPending where it never will be."""
    if not request.completed:
        try:
            k.run(_wait_for(k, request), "NtWaitForSingleObject", user=True)
        except Stuck as stuck:
            abandon(k, request)
            k.drive(None)
            owner = request.file.device.owner if request.file is not None else "the driver"
            raise StillPending(
                f"{owner} keeps {request.what} pending, and {stuck.left}: make it do so by another "
                "request, or cancel() it"
            ) from None
    return checked(request)


def _wait_for(k: Kernel, request: Request) -> Steps:
    if not request.completed:
        yield request.wait(k.thread)
    return 0


def cancel(k: Kernel, request: Request) -> bool:
    """Cancel a request; False where it was completed before."""
    was_open = not request.completed
    k.run(io_cancel.cancel_request(k, request), "NtCancelIoFileEx", user=True)
    return was_open


def _give_up(k: Kernel, request: Request, stuck: Stuck) -> NtFailure:
    """A call that waits for ever: cancel its IRP and let its thread go."""
    record = k.irps.live.get(request.irp)
    owner = record.holder if record is not None else "the driver"
    k.run(io_cancel.cancel_request(k, request), "IoCancelIrp", user=True)
    why = f"{owner} keeps {request.what} pending, and {stuck.left}"
    if request.completed:
        return NtFailure(request.status, f"{why}: it was cancelled")
    abandon(k, request)
    k.drive(None)
    return NtFailure(
        const("STATUS_PENDING"), f"{why}; it could not be cancelled, and is pending still"
    )


def failure(request: Request) -> NtFailure:
    """What an error status is to the caller."""
    path = request.file.path if request.file is not None else ""
    name = ntdata.status_name(request.status)
    return NtFailure(request.status, f"{request.what} on {path}: {name}")


def checked(request: Request) -> Request:
    """The request, or NtFailure for an error status (a warning still has its data)."""
    if request.status >> 30 == 3:
        raise failure(request)
    return request
