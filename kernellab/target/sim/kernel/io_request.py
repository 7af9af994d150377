"""Requests of the I/O manager: building their IRPs by the transfer method, sending, waiting.

WDK pages: "Methods for Accessing Data Buffers", "Using Buffered I/O", "Using Direct I/O", "Using
Neither Buffered Nor Direct I/O", "Buffer Descriptions for I/O Control Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from . import io_buffers
from . import irp as irps
from .driver import NtFailure
from .execution import Request as FlowRequest
from .io_call import CallDriver
from .io_finish import ABANDONED, Request, settle, system_buffer
from .irp import Irp, Origin
from .structs import Struct, const

if TYPE_CHECKING:
    from .io_file import File
    from .kernel import Kernel

USER_MODE: Final = 1
#: Most bytes of one request's buffers. As base64 in a line of the protocol it stays below
#: kernellab.protocol.MAX_LINE.
MAX_TRANSFER: Final = 4 << 20

BUFFERED, IN_DIRECT, OUT_DIRECT, NEITHER = range(4)


@dataclass(frozen=True, slots=True)
class Spec:
    """What an IRP is to ask: major function, parameters, the caller's data and room."""

    major: str
    what: str = ""
    fields: Mapping[str, int] = field(default_factory=dict)
    #: What the caller passes in, and the size and first content of what it gets back.
    data: bytes = b""
    out_size: int = 0
    output: bytes = b""
    #: Addresses of a driver's own buffers, where it rather than the client is the caller.
    kernel_input: int = 0
    kernel_output: int = 0
    #: Which of the four transfer methods; reads and writes go by the device's flags.
    method: int = BUFFERED
    flags: int = 0
    #: What IoStatus.Status says before any driver has seen it.
    status: int = 0


class SendIrp:
    """Send one IRP and see it completed; the value is its :class:`Request`.

    Where ``wait`` is false it ends as soon as the dispatch routine has returned. A request that
    is abandoned while it waits ends with ``completed`` false.
    """

    __slots__ = ("_call", "_k", "_spec", "_wait", "_waiting", "device", "mode", "request")

    def __init__(
        self,
        k: Kernel,
        file: File | None,
        device: int,
        spec: Spec,
        *,
        wait: bool = True,
        mode: int = USER_MODE,
    ) -> None:
        self._k, self._spec, self._wait = k, spec, wait
        self.device, self.mode = device, mode
        self.request = Request(spec.what or spec.major, file)
        self._call: CallDriver | None = None
        self._waiting = False

    def send(self, value: Any) -> FlowRequest:
        request = self.request
        if self._waiting:
            raise StopIteration(request)
        if self._call is None:
            build(self._k, request, self.device, self._spec, mode=self.mode, wait=self._wait)
            self._call = CallDriver(self._k, self.device, request.irp)
        try:
            return self._call.send(value)
        except StopIteration as stop:
            request.returned = stop.value
        if request.completed:
            raise StopIteration(request)
        if request.returned != const("STATUS_PENDING"):
            self._never_completed()
        if not self._wait:
            raise StopIteration(request)
        self._waiting = True
        return request.wait(self._k.thread)

    def _never_completed(self) -> None:
        k, request = self._k, self.request
        name = ntdata.status_name(request.returned)
        record = k.irps.live[request.irp]
        owner = record.holder or "the driver"
        k.tell("irp-forgotten", self._spec.major, name, record.holder)
        drop(k, record)
        failed = not ntdata.nt_success(request.returned)
        raise NtFailure(
            request.returned if failed else "STATUS_UNSUCCESSFUL",
            f"{owner} never completed {request.what}",
        )


def drop(k: Kernel, record: Irp) -> None:
    """Take an IRP away that nobody completes; what it had goes with it."""
    request: Request = record.request
    irp = Struct(k.memory, "IRP", record.address)
    io_buffers.free_mdls(k, irp)
    settle(k, request)
    irps.release(k, record)
    forget(k, request)


def forget(k: Kernel, request: Request) -> None:
    """The request is over: its file no longer has it."""
    file = request.file
    if file is not None and request in file.requests:
        file.requests.remove(request)
        if request.counted:
            k.ob.dereference(file.address)


def abandon(k: Kernel, request: Request) -> None:
    """Let whoever waits for it go on without it."""
    waiters, request.waiters = request.waiters, []
    for thread in waiters:
        k.scheduler.wake(thread, ABANDONED)


def build(k: Kernel, request: Request, device: int, spec: Spec, *, mode: int, wait: bool) -> None:
    """Make the request's IRP, with buffers as its method has it. Raises NtFailure."""
    if max(len(spec.data), spec.out_size) > MAX_TRANSFER:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"a transfer of over {MAX_TRANSFER} bytes")
    target = Struct(k.memory, "DEVICE_OBJECT", device)
    record = irps.allocate(k, max(1, target["StackSize"]), Origin.CLIENT)
    if record is None:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory")
    record.request, request.irp = request, record.address
    record.thread = k.thread.object
    irp = Struct(k.memory, "IRP", record.address)
    irp["RequestorMode"] = mode
    irp["IoStatus.Status"] = spec.status
    irp["Tail.Overlay.Thread"] = record.thread
    irp["Flags"] = spec.flags | (const("IRP_SYNCHRONOUS_API") if wait else 0)
    location = irps.next_location(k, irp)
    location["MajorFunction"] = const(spec.major)
    if request.file is not None:
        irp["Tail.Overlay.OriginalFileObject"] = request.file.address
        location["FileObject"] = request.file.address
        request.file.requests.append(request)
        if request.file.address in k.ob.objects and not request.file.closing:
            request.counted = True
            k.ob.reference(request.file.address)
    for name, value in spec.fields.items():
        location[name] = value
    try:
        _buffers(k, request, record, irp, location, spec)
    except BaseException:
        drop(k, record)
        raise


def _buffers(
    k: Kernel, request: Request, record: Irp, irp: Struct, location: Struct, spec: Spec
) -> None:
    control = spec.major == "IRP_MJ_DEVICE_CONTROL"
    if spec.kernel_input:
        request.input = io_buffers.KernelBuffer(spec.kernel_input, len(spec.data))
    elif spec.data and spec.method != BUFFERED:
        # Where the caller has what is buffered, no driver can see.
        request.input = io_buffers.allocate(k, len(spec.data), spec.data, write=False)
    if spec.kernel_output:
        request.output = io_buffers.KernelBuffer(spec.kernel_output, spec.out_size)
    elif spec.out_size:
        request.output = io_buffers.allocate(k, spec.out_size, spec.output)
    record.capacity, request.given = spec.out_size, spec.data
    given = request.input.address if request.input else 0
    room = request.output.address if request.output else 0
    if spec.method == NEITHER:
        irp["UserBuffer"] = room or (0 if control else given)
        buffer = request.output or request.input
        if isinstance(buffer, io_buffers.UserBuffer) and not control:
            # NtReadFile and NtWriteFile probe the buffer, NtDeviceIoControlFile does not.
            k.tell("user-probed", buffer.address, buffer.size, bool(room))
        if control:
            location["Parameters.DeviceIoControl.Type3InputBuffer"] = given
        return
    if spec.method == BUFFERED or control:
        size = max(len(spec.data), spec.out_size if spec.method == BUFFERED else 0)
        if size:
            record.buffer = system_buffer(k, size, spec.data)
            if not record.buffer:
                raise NtFailure(
                    "STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory"
                )
            request.blocks.append(record.buffer)
            irp["AssociatedIrp.SystemBuffer"] = record.buffer
            irp["Flags"] |= const("IRP_BUFFERED_IO") | const("IRP_DEALLOCATE_BUFFER")
            if spec.out_size and spec.method == BUFFERED:
                irp["Flags"] |= const("IRP_INPUT_OPERATION")
    if spec.method == BUFFERED:
        irp["UserBuffer"] = room
        return
    # Direct: the driver gets an MDL of the caller's own pages.
    record.buffer = 0
    buffer = request.output if request.output or control else request.input
    if buffer is not None:
        write = spec.method == OUT_DIRECT
        irp["MdlAddress"] = io_buffers.lock(k, buffer, write=write)
