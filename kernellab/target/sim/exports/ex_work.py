"""Work items: routines that system worker threads call at PASSIVE_LEVEL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.structs import Struct
from ..kernel.workers import WorkItem
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: IO_WORKITEM is opaque; it begins with a WORK_QUEUE_ITEM, then the object it belongs to.
_IO_WORKITEM_SIZE: Final = 0x58
_OBJECT: Final = 0x28


@export("VOID ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, ULONG QueueType)", irql=DISPATCH_LEVEL)
def ExQueueWorkItem(k: Kernel, WorkItem: int, QueueType: int) -> None:
    """WDK: "ExQueueWorkItem function (wdm.h)"; queued already is bug check 0xE4."""
    entry = Struct(k.memory, "WORK_QUEUE_ITEM", WorkItem)
    routine, parameter = entry["WorkerRoutine"], entry["Parameter"]
    k.workers.queue(_item(WorkItem, routine, (parameter,), k.caller()), QueueType)


def _item(
    address: int, routine: int, arguments: tuple[int, ...], owner: str, device: int = 0
) -> WorkItem:
    return WorkItem(address, routine, arguments, owner, device)


@export("ULONG IoSizeofWorkItem(VOID)", irql=HIGH_LEVEL)
def IoSizeofWorkItem(k: Kernel) -> int:
    """WDK: "IoSizeofWorkItem function (wdm.h)": bytes."""
    return _IO_WORKITEM_SIZE


def _initialize(k: Kernel, item: int, obj: int) -> None:
    if obj not in k.ob.objects and not any(d.object == obj for d in k.drivers.values()):
        raise BugCheck(
            *("WORKER_INVALID", 3, item, obj),
            message=f"An I/O work item was made for {obj:#x}, which is no device or driver object.",
        )
    k.memory.write(item, bytes(_IO_WORKITEM_SIZE))
    k.memory.set_u64(item + _OBJECT, obj)
    k.workers.io_items[item] = k.caller()


@export("PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)", irql=DISPATCH_LEVEL)
def IoAllocateWorkItem(k: Kernel, DeviceObject: int) -> int:
    """WDK: "IoAllocateWorkItem function (wdm.h)". NULL where memory is out."""
    item = k.pool.allocate(_IO_WORKITEM_SIZE, int.from_bytes(b"IoWi", "little"))
    if item:
        _initialize(k, item, DeviceObject)
        k.tell("work-item-allocated", item, k.caller())
    return item


@export("VOID IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)", irql=DISPATCH_LEVEL)
def IoInitializeWorkItem(k: Kernel, IoObject: int, IoWorkItem: int) -> None:
    """WDK: "IoInitializeWorkItem function (wdm.h)": in memory of the caller's."""
    _initialize(k, IoWorkItem, IoObject)


def _forget(k: Kernel, item: int) -> None:
    queued = k.workers.queued.get(item)
    if queued is not None:
        raise BugCheck(
            *("WORKER_INVALID", 2, item, queued.routine),
            message="An I/O work item was freed while it is queued.",
        )
    if k.workers.io_items.pop(item, None) is None:
        raise BugCheck(
            *("BAD_POOL_CALLER", 0x46, item),
            message=f"{item:#x} was freed as an I/O work item, and is none.",
        )


@export("VOID IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)", irql=DISPATCH_LEVEL)
def IoUninitializeWorkItem(k: Kernel, IoWorkItem: int) -> None:
    """WDK: "IoUninitializeWorkItem function (wdm.h)": its memory stays the caller's."""
    _forget(k, IoWorkItem)


@export("VOID IoFreeWorkItem(PIO_WORKITEM IoWorkItem)", irql=DISPATCH_LEVEL)
def IoFreeWorkItem(k: Kernel, IoWorkItem: int) -> None:
    """WDK: "IoFreeWorkItem function (wdm.h)"; queued is bug check 0xE4."""
    _forget(k, IoWorkItem)
    k.pool.free(k.pool.live[IoWorkItem])
    k.tell("work-item-freed", IoWorkItem)


def _queue(k: Kernel, item: int, routine: int, queue_type: int, context: int, *, ex: bool) -> None:
    obj = k.memory.u64(item + _OBJECT)
    owner = k.workers.io_items.get(item)
    if owner is None:
        raise BugCheck(
            *("WORKER_INVALID", 3, item, obj),
            message=f"{item:#x} was queued as an I/O work item, and was not initialized as one.",
        )
    arguments = (obj, context, item) if ex else (obj, context)
    k.workers.queue(_item(item, routine, arguments, owner, obj), queue_type)


@export(
    "VOID IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, "
    "ULONG QueueType, PVOID Context)",
    irql=DISPATCH_LEVEL,
)
def IoQueueWorkItem(
    k: Kernel, IoWorkItem: int, WorkerRoutine: int, QueueType: int, Context: int
) -> None:
    """WDK: "IoQueueWorkItem function (wdm.h)": the routine gets the device and the context."""
    _queue(k, IoWorkItem, WorkerRoutine, QueueType, Context, ex=False)


@export(
    "VOID IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, "
    "ULONG QueueType, PVOID Context)",
    irql=DISPATCH_LEVEL,
)
def IoQueueWorkItemEx(
    k: Kernel, IoWorkItem: int, WorkerRoutine: int, QueueType: int, Context: int
) -> None:
    """WDK: "IoQueueWorkItemEx function (wdm.h)": the routine gets the work item as well."""
    _queue(k, IoWorkItem, WorkerRoutine, QueueType, Context, ex=True)


@export(
    "BOOLEAN IoTryQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, "
    "ULONG QueueType, PVOID Context)",
    irql=DISPATCH_LEVEL,
)
def IoTryQueueWorkItem(
    k: Kernel, IoWorkItem: int, WorkerRoutine: int, QueueType: int, Context: int
) -> bool:
    """WDK: "IoTryQueueWorkItem function (wdm.h)": FALSE where it is queued already."""
    if IoWorkItem in k.workers.queued:
        return False
    _queue(k, IoWorkItem, WorkerRoutine, QueueType, Context, ex=True)
    return True
