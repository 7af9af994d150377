"""IRPs: passing them down, completing, making, freeing and cancelling them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import io_cancel
from ..kernel import irp as irps
from ..kernel.dispatcher import Kind
from ..kernel.execution import Call, Steps
from ..kernel.io_call import CallDriver, CompleteRequest, complete, steps
from ..kernel.irp import Irp as Record
from ..kernel.irp import Origin
from ..kernel.structs import Struct, const, size_of
from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("NTSTATUS IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)", irql=DISPATCH_LEVEL)
def IofCallDriver(k: Kernel, DeviceObject: int, Irp: int) -> CallDriver:
    """WDK: "IofCallDriver function (wdm.h)"; bug check 0x35 past the last stack location."""
    return CallDriver(k, DeviceObject, Irp)


@export("VOID IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)", irql=DISPATCH_LEVEL)
def IofCompleteRequest(k: Kernel, Irp: int, PriorityBoost: int) -> int | CompleteRequest:
    """WDK: "IofCompleteRequest function (wdm.h)"; bug check 0x44 the second time."""
    return complete(k, Irp)


@export("VOID IoCompleteRequest(PIRP Irp, CCHAR PriorityBoost)", irql=DISPATCH_LEVEL)
def IoCompleteRequest(k: Kernel, Irp: int, PriorityBoost: int) -> int | CompleteRequest:
    """The same as IofCompleteRequest, which headers call in its place."""
    return complete(k, Irp)


@export(
    "NTSTATUS IopInvalidDeviceRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def IopInvalidDeviceRequest(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """What fills MajorFunction slots that a driver leaves alone ("DRIVER_OBJECT structure")."""
    entry = Struct(k.memory, "IRP", Irp)
    status = const("STATUS_INVALID_DEVICE_REQUEST")
    entry["IoStatus.Status"] = status
    entry["IoStatus.Information"] = 0
    activity = complete(k, Irp)
    if not isinstance(activity, int):
        yield from steps(activity)
    return status


# -- making and freeing them --------------------------------------------------------------------


@export("PIRP IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota)", irql=DISPATCH_LEVEL)
def IoAllocateIrp(k: Kernel, StackSize: int, ChargeQuota: int) -> int:
    """WDK: "IoAllocateIrp function (wdm.h)". Its completion routine or its maker frees it."""
    record = irps.allocate(k, max(StackSize, 0), Origin.ALLOCATED, k.caller())
    return record.address if record is not None else 0


@export(
    "PIRP IoAllocateIrpEx(PDEVICE_OBJECT DeviceObject, CCHAR StackSize, BOOLEAN ChargeQuota)",
    irql=DISPATCH_LEVEL,
)
def IoAllocateIrpEx(k: Kernel, DeviceObject: int, StackSize: int, ChargeQuota: int) -> int:
    """WDK: "IoAllocateIrpEx function (wdm.h)"."""
    record = irps.allocate(k, max(StackSize, 0), Origin.ALLOCATED, k.caller())
    return record.address if record is not None else 0


@export("VOID IoFreeIrp(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoFreeIrp(k: Kernel, Irp: int) -> None:
    """WDK: "IoFreeIrp function (wdm.h)"; one that a driver still has must not be freed."""
    irps.free(k, Irp)


@export("VOID IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize)", irql=DISPATCH_LEVEL)
def IoInitializeIrp(k: Kernel, Irp: int, PacketSize: int, StackSize: int) -> None:
    """WDK: "IoInitializeIrp function (wdm.h)": in memory of the driver's own."""
    record = k.irps.live.get(Irp)
    if record is not None and record.origin is not Origin.INITIALIZED:
        k.tell(
            "irp-misused",
            "IoInitializeIrp was called for an IRP that the I/O manager made: use IoReuseIrp",
            "",
        )
        return
    if irps.irp_size(StackSize) > PacketSize:
        k.tell(
            "irp-misused",
            f"IoInitializeIrp: {PacketSize} bytes are too few for {StackSize} stack locations "
            "(IoSizeOfIrp says how many)",
            "",
        )
    irps.initialize(k, Irp, PacketSize, StackSize)
    k.irps.add(Record(Irp, Origin.INITIALIZED, k.caller()))


@export("VOID IoReuseIrp(PIRP Irp, NTSTATUS Iostatus)", irql=DISPATCH_LEVEL)
def IoReuseIrp(k: Kernel, Irp: int, Iostatus: int) -> None:
    """WDK: "IoReuseIrp function (wdm.h)": only for IRPs of IoAllocateIrp."""
    record = k.irps.live.get(Irp)
    if record is not None and record.origin not in (Origin.ALLOCATED, Origin.INITIALIZED):
        k.tell(
            "irp-misused",
            "IoReuseIrp may be called only for an IRP that IoAllocateIrp made",
            "",
        )
    entry = Struct(k.memory, "IRP", Irp)
    size, stack, flags = entry["Size"], entry["StackCount"], entry["AllocationFlags"]
    irps.initialize(k, Irp, size, stack)
    entry["AllocationFlags"] = flags
    entry["IoStatus.Status"] = Iostatus
    if record is not None:
        record.completed = record.cancelled = False
        record.sent = 0
        record.marked.clear()
        record.returned.clear()


@export("PIRP IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize)", irql=DISPATCH_LEVEL)
def IoMakeAssociatedIrp(k: Kernel, Irp: int, StackSize: int) -> int:
    """WDK: "IoMakeAssociatedIrp function (ntddk.h)". The last of them completes the master."""
    record = irps.allocate(k, StackSize, Origin.ASSOCIATED, k.caller())
    if record is None:
        return 0
    master, entry = Struct(k.memory, "IRP", Irp), Struct(k.memory, "IRP", record.address)
    entry["Flags"] = const("IRP_ASSOCIATED_IRP")
    entry["AssociatedIrp.MasterIrp"] = Irp
    entry["Tail.Overlay.Thread"] = master["Tail.Overlay.Thread"]
    entry["RequestorMode"] = master["RequestorMode"]
    return record.address


# -- completion ---------------------------------------------------------------------------------

_ALWAYS = ("SL_INVOKE_ON_SUCCESS", "SL_INVOKE_ON_ERROR", "SL_INVOKE_ON_CANCEL")


@export(
    "NTSTATUS IoSetCompletionRoutineEx(PDEVICE_OBJECT DeviceObject, PIRP Irp, "
    "PIO_COMPLETION_ROUTINE CompletionRoutine, PVOID Context, BOOLEAN InvokeOnSuccess, "
    "BOOLEAN InvokeOnError, BOOLEAN InvokeOnCancel)",
    irql=DISPATCH_LEVEL,
)
def IoSetCompletionRoutineEx(
    k: Kernel,
    DeviceObject: int,
    Irp: int,
    CompletionRoutine: int,
    Context: int,
    InvokeOnSuccess: int,
    InvokeOnError: int,
    InvokeOnCancel: int,
) -> int:
    """WDK: "IoSetCompletionRoutineEx function (wdm.h)".

    The device object is referenced until the routine has returned, so that its driver stays.
    """
    block = k.pool.allocate(24, int.from_bytes(b"IoUs", "little"))
    if not block:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    for n, value in enumerate((CompletionRoutine, Context, DeviceObject)):
        k.memory.set_u64(block + 8 * n, value)
    k.ob.reference(DeviceObject)
    location = irps.next_location(k, Struct(k.memory, "IRP", Irp))
    location["CompletionRoutine"] = k.stub_of("IopUnloadSafeCompletion")
    location["Context"] = block
    wanted = (InvokeOnSuccess, InvokeOnError, InvokeOnCancel)
    location["Control"] = sum(
        const(name) for name, invoke in zip(_ALWAYS, wanted, strict=True) if invoke
    )
    return 0


@export(
    "NTSTATUS IopUnloadSafeCompletion(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def IopUnloadSafeCompletion(k: Kernel, DeviceObject: int, Irp: int, Context: int) -> Steps:
    """The completion routine that IoSetCompletionRoutineEx sets: it calls the driver's."""
    routine, context, device = (k.memory.u64(Context + 8 * n) for n in range(3))
    k.pool.free(k.pool.live[Context])
    status = yield Call(routine, (DeviceObject, Irp, context))
    k.ob.dereference(device)
    return status & 0xFFFFFFFF


@export("BOOLEAN IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp)", irql=APC_LEVEL)
def IoForwardIrpSynchronously(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """WDK: "IoForwardIrpSynchronously function (wdm.h)": pass it down and wait for its return.

    FALSE, and nothing is sent, where no stack location is left.
    """
    entry = Struct(k.memory, "IRP", Irp)
    if entry["CurrentLocation"] <= 1:
        return 0
    here, below = irps.current_location(k, entry), irps.next_location(k, entry)
    event = k.pool.allocate(size_of("KEVENT"), int.from_bytes(b"Even", "little"))
    if not event:
        return 0
    k.memory.write(below.address, k.memory.read(here.address, size_of("IO_STACK_LOCATION")))
    k.dispatcher.initialize(event, Kind.NOTIFICATION_EVENT, size_of("KEVENT"), 0)
    below["CompletionRoutine"] = k.stub_of("IopSynchronousCompletion")
    below["Context"] = event
    below["Control"] = sum(const(name) for name in _ALWAYS)
    status = yield from steps(CallDriver(k, DeviceObject, Irp))
    if status == const("STATUS_PENDING"):
        wait = k.dispatcher.wait((event,), why="an IRP that was passed down to be completed")
        if not isinstance(wait, int):
            yield wait
    k.pool.free(k.pool.live[event])
    return 1


@export(
    "NTSTATUS IopSynchronousCompletion(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def IopSynchronousCompletion(k: Kernel, DeviceObject: int, Irp: int, Context: int) -> int:
    """The completion routine of IoForwardIrpSynchronously: the IRP stays the caller's."""
    if Struct(k.memory, "IRP", Irp)["PendingReturned"]:
        k.dispatcher.signal(Context, 1)
    return const("STATUS_MORE_PROCESSING_REQUIRED")


# -- cancelling ---------------------------------------------------------------------------------


@export("BOOLEAN IoCancelIrp(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoCancelIrp(k: Kernel, Irp: int) -> Steps:
    """WDK: "IoCancelIrp function (wdm.h)": whether there was a cancel routine, which is called."""
    return (yield from io_cancel.cancel_irp(k, Irp))


@export("VOID IoAcquireCancelSpinLock(PKIRQL Irql)", irql=DISPATCH_LEVEL)
def IoAcquireCancelSpinLock(k: Kernel, Irql: int) -> Steps:
    """WDK: "IoAcquireCancelSpinLock function (wdm.h)"."""
    old = yield from io_cancel.acquire(k)
    k.memory.set_u8(Irql, old)
    return 0


@export("VOID IoReleaseCancelSpinLock(KIRQL Irql)", irql=DISPATCH_LEVEL)
def IoReleaseCancelSpinLock(k: Kernel, Irql: int) -> None:
    """WDK: "IoReleaseCancelSpinLock function (wdm.h)"; a cancel routine gives CancelIrql."""
    io_cancel.release(k, Irql)
