"""What the I/O manager does with an IRP that is completed all the way up.

WDK pages: "Using Buffered I/O", "IoBuildDeviceIoControlRequest function (wdm.h)",
"IoMakeAssociatedIrp function (ntddk.h)", "IofCompleteRequest function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from . import io_buffers
from . import irp as irps
from .irp import Irp, Origin
from .structs import Struct, const

if TYPE_CHECKING:
    from .execution import Wait
    from .io_buffers import Buffer
    from .io_file import File
    from .kernel import Kernel
    from .thread import Thread

#: What a waiter is woken with: the request is completed, or it need not wait any longer.
COMPLETED, ABANDONED = 0, 1


@dataclass(slots=True, eq=False)
class Request:
    """A request of the client: what it is, its IRP, and how that was completed.

    ``what`` names it for messages. Statuses are unsigned 32-bit numbers.
    """

    #: A wait for it can be given up: see :meth:`.Scheduler.run`.
    can_give_up: ClassVar[bool] = True

    what: str
    file: File | None
    irp: int = 0
    completed: bool = False
    status: int = 0
    information: int = 0
    data: bytes = b""
    #: What the caller passed in.
    given: bytes = b""
    #: The caller's buffers: what the driver may write to and what it may only read from.
    output: Buffer | None = None
    input: Buffer | None = None
    #: Other memory that goes when it is over: the system buffer, what a create points at.
    blocks: list[int] = field(default_factory=list)
    waiters: list[Thread] = field(default_factory=list)
    #: What the dispatch routine returned.
    returned: int = 0
    #: Whether it holds a reference to its file object.
    counted: bool = False

    def wait(self, thread: Thread) -> Wait:
        """What an activity yields to go on when it is completed (or need not wait longer)."""
        from .execution import Wait

        self.waiters.append(thread)
        thread.waiting_on = self
        return Wait(f"{self.what} to be completed")


def finish(k: Kernel, irp: Struct, record: Irp | None) -> int:
    """No driver has the IRP any more. The master IRP that is to be completed now, or 0."""
    if record is None or record.origin is Origin.INITIALIZED:
        return 0
    if record.origin is Origin.ASSOCIATED:
        return _associated(k, irp, record)
    record.completed = True
    if record.origin is Origin.CLIENT:
        _client(k, irp, record)
    elif record.origin is Origin.ALLOCATED:
        k.tell(
            "irp-misused",
            "an IRP from IoAllocateIrp was completed all the way up: its completion routine has "
            "to free it and return STATUS_MORE_PROCESSING_REQUIRED (Windows would crash here)",
            record.owner,
        )
        irps.release(k, record)
    else:
        _threaded(k, irp, record)
    return 0


def _associated(k: Kernel, irp: Struct, record: Irp) -> int:
    """One part of a master IRP is done; the last one completes it."""
    address = irp["AssociatedIrp.MasterIrp"]
    record.completed = True
    io_buffers.free_mdls(k, irp)
    irps.release(k, record)
    master = Struct(k.memory, "IRP", address)
    count = (master["AssociatedIrp.IrpCount"] - 1) & 0xFFFFFFFF
    master["AssociatedIrp.IrpCount"] = count
    return address if count == 0 else 0


def _client(k: Kernel, irp: Struct, record: Irp) -> None:
    request: Request = record.request
    request.completed = True
    request.status = irp["IoStatus.Status"]
    request.information = irp["IoStatus.Information"]
    failed = request.status >> 30 == 3
    # Windows copies back for success and warnings, not for errors ("Using Buffered I/O").
    capacity = record.capacity
    if not failed and request.information > capacity and capacity and request.output is not None:
        k.tell("irp-information", request.information, capacity)
    io_buffers.free_mdls(k, irp)
    if request.output is not None:
        size = 0 if failed else min(request.information, capacity)
        if record.buffer and size:
            data = k.memory.read(record.buffer, size)
            request.output.write(k, data)
            k.tell("irp-output", data, request.given, record.holder, request.what)
        request.data = request.output.read(k, size)
    settle(k, request)
    # The IRP and its buffer belong to the I/O manager again: a later touch must fault.
    irps.release(k, record)
    for thread in request.waiters:
        k.scheduler.wake(thread, COMPLETED)
    request.waiters.clear()
    file = request.file
    if file is not None and request in file.requests:
        file.requests.remove(request)
        if request.counted:
            k.ob.dereference(file.address)


def settle(k: Kernel, request: Request) -> None:
    """Give back the memory that a request had."""
    for block in request.blocks:
        if block in k.pool.live:
            k.pool.free(k.pool.live[block])
    request.blocks.clear()
    for buffer in (request.output, request.input):
        if buffer is not None:
            buffer.free(k)
    request.output = request.input = None


def _threaded(k: Kernel, irp: Struct, record: Irp) -> None:
    """An IRP that the I/O manager made for a driver: copy back, tell the waiter, free it."""
    status, information = irp["IoStatus.Status"], irp["IoStatus.Information"]
    failed = status >> 30 == 3
    flags = irp["Flags"]
    system = irp["AssociatedIrp.SystemBuffer"]
    if flags & const("IRP_BUFFERED_IO") and system:
        if flags & const("IRP_INPUT_OPERATION") and not failed:
            size = min(information, record.capacity)
            if size:
                k.memory.write(irp["UserBuffer"], k.memory.read(system, size))
        if flags & const("IRP_DEALLOCATE_BUFFER") and system in k.pool.live:
            k.pool.free(k.pool.live[system])
    io_buffers.free_mdls(k, irp)
    block, event = irp["UserIosb"], irp["UserEvent"]
    # An error that is returned at once, rather than after STATUS_PENDING, sets neither the status
    # block nor the event: the caller has the status in IoCallDriver's result.
    told = not failed or irp["PendingReturned"]
    irps.release(k, record)
    if told:
        if block:
            entry = Struct(k.memory, "IO_STATUS_BLOCK", block)
            entry["Status"], entry["Information"] = status, information
        if event:
            k.dispatcher.signal(event, 1)


def system_buffer(k: Kernel, size: int, data: bytes, **owned: Any) -> int:
    """Pool for a buffered transfer with ``data`` at its start; 0 where there is no memory."""
    address = k.pool.allocate(size, int.from_bytes(b"SysB", "little"), zero=False, **owned)
    if address and data:
        k.memory.write(address, data)
    return address
