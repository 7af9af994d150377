"""Events with handles and names, and waiting by handle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..kernel.attributes import (
    Attributes,
    create_with_handle,
    handle_target,
    open_handle,
    open_named,
    read_attributes,
)
from ..kernel.dispatcher import Kind
from ..kernel.driver import NtFailure
from ..kernel.execution import Wait
from ..kernel.ob import CURRENT_PROCESS, CURRENT_THREAD, Object
from ..kernel.structs import const, place, read_unicode_string, size_of
from .ke_wait import interval
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ALL_ACCESS: Final = 0x1F0003
#: Types whose objects begin with a dispatcher header.
_WAITABLE: Final = ("Event", "Semaphore", "Mutant", "Timer", "Process", "Thread")


def _new_event(k: Kernel, kind: int, state: int, owner: str) -> Object:
    address = k.new_object(size_of("KEVENT"))
    k.dispatcher.initialize(address, Kind(kind), size_of("KEVENT"), int(bool(state)))
    return k.ob.insert(Object(address, "Event", None, "", owner, on_delete=k.ob.free))


@export(
    "NTSTATUS ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType, BOOLEAN InitialState)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwCreateEvent(
    k: Kernel,
    EventHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    EventType: int,
    InitialState: int,
) -> int:
    """WDK: "ZwCreateEvent function (ntifs.h)"."""
    if EventType > 1:
        return const("STATUS_INVALID_PARAMETER")
    attributes, owner = read_attributes(k, ObjectAttributes), k.caller()
    make = partial(_new_event, k, EventType, InitialState, owner)
    handle, status = create_with_handle(k, attributes, "Event", make, DesiredAccess, owner)
    k.memory.set_u64(EventHandle, handle)
    return status


@export(
    "NTSTATUS ZwOpenEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwOpenEvent(k: Kernel, EventHandle: int, DesiredAccess: int, ObjectAttributes: int) -> int:
    """WDK: "ZwOpenEvent function (wdm.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    found = open_named(k, attributes, "Event")
    k.memory.set_u64(EventHandle, open_handle(k, found, DesiredAccess, attributes, k.caller()))
    return 0


@export("NTSTATUS ZwSetEvent(HANDLE EventHandle, PLONG PreviousState)", irql=PASSIVE_LEVEL)
@ntstatus
def ZwSetEvent(k: Kernel, EventHandle: int, PreviousState: int) -> int:
    """WDK: "ZwSetEvent function (ntifs.h)"."""
    old = k.dispatcher.signal(handle_target(k, EventHandle, "Event").address, 1)
    if PreviousState:
        k.memory.set_u32(PreviousState, old)
    return 0


def _named_event(k: Kernel, name: int, handle: int, kind: Kind) -> int:
    """As IoCreateNotificationEvent has it: opened where it exists, else made signalled."""
    text, owner = read_unicode_string(k.memory, name), k.caller()
    flags = const("OBJ_OPENIF") | const("OBJ_KERNEL_HANDLE")
    attributes = Attributes(0, text, flags)
    make = partial(_new_event, k, kind, 1, owner)
    try:
        value, _ = create_with_handle(k, attributes, "Event", make, _ALL_ACCESS, owner)
    except NtFailure:
        return 0
    k.memory.set_u64(handle, value)
    entry = k.ob.find(value, k.thread.current_process.pid)
    assert entry is not None
    return entry.object.address


@export(
    "PKEVENT IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)",
    irql=PASSIVE_LEVEL,
)
def IoCreateNotificationEvent(k: Kernel, EventName: int, EventHandle: int) -> int:
    """WDK: "IoCreateNotificationEvent function (wdm.h)": signalled at first; NULL on failure."""
    return _named_event(k, EventName, EventHandle, Kind.NOTIFICATION_EVENT)


@export(
    "PKEVENT IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)",
    irql=PASSIVE_LEVEL,
)
def IoCreateSynchronizationEvent(k: Kernel, EventName: int, EventHandle: int) -> int:
    """WDK: "IoCreateSynchronizationEvent function (wdm.h)"."""
    return _named_event(k, EventName, EventHandle, Kind.SYNCHRONIZATION_EVENT)


class NtWaitForSingleObject:
    """A wait by handle, which keeps a reference meanwhile. Can be copied (snapshots)."""

    __slots__ = ("_address", "_k", "_wait")

    def __init__(self, k: Kernel, address: int, wait: Wait) -> None:
        self._k = k
        self._address = address
        self._wait: Wait | None = wait

    def send(self, value: Any) -> Wait:
        wait, self._wait = self._wait, None
        if wait is None:
            self._k.ob.dereference(self._address)
            raise StopIteration(value)
        return wait


@export(
    "NTSTATUS ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwWaitForSingleObject(
    k: Kernel, Handle: int, Alertable: int, Timeout: int
) -> int | NtWaitForSingleObject:
    """WDK: "ZwWaitForSingleObject function (ntifs.h)". A file's is the event of its file object."""
    if Handle == CURRENT_PROCESS:
        obj = k.ob.get(k.thread.current_process.object)
    elif Handle == CURRENT_THREAD:
        obj = k.ob.get(k.thread.object)
    else:
        obj = handle_target(k, Handle)
    if obj.type == "File":
        waited = obj.address + place("FILE_OBJECT", "Event")[0]
    elif obj.type in _WAITABLE:
        waited = obj.address
    else:
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    result = k.dispatcher.wait(
        (waited,),
        timeout=interval(k, Timeout),
        alertable=bool(Alertable),
        why=f"the {obj.type.lower()} behind handle {Handle:#x}",
    )
    if not isinstance(result, Wait):
        return result
    k.ob.reference(obj.address)
    return NtWaitForSingleObject(k, obj.address, result)
