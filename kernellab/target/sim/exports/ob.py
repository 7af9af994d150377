"""References and handles of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..kernel.attributes import handle_target
from ..kernel.cm_service import CmCloseHandle, is_watched_key
from ..kernel.execution import Steps
from ..kernel.io_client import close_handle
from ..kernel.io_file import File
from ..kernel.ob import CURRENT_PROCESS, CURRENT_THREAD, HandleEntry, Object
from ..kernel.ob_notify import Asked, open_watched
from ..kernel.obtypes import type_of
from ..kernel.process import Process
from ..kernel.structs import Struct, const
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export, export_data, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: OBJECT_TYPE objects by the exported variable that points at each.
TYPES: Final = {
    "PsThreadType": "Thread",
    "PsProcessType": "Process",
    "IoFileObjectType": "File",
    "ExEventObjectType": "Event",
    "ExSemaphoreObjectType": "Semaphore",
    "MmSectionObjectType": "Section",
    "CmKeyObjectType": "Key",
    "IoDriverObjectType": "Driver",
    "IoDeviceObjectType": "Device",
    "SeTokenObjectType": "Token",
}

_USER_MODE: Final = 1
_HANDLE_ATTRIBUTES: Final = 0x7  # OBJ_PROTECT_CLOSE, OBJ_INHERIT, OBJ_AUDIT_OBJECT_CLOSE
_CLOSE_SOURCE, _SAME_ACCESS, _SAME_ATTRIBUTES = 1, 2, 4  # DUPLICATE_…


def _reference(k: Kernel, Object: int) -> int:
    return k.ob.reference(Object, k.caller()).references


def _dereference(k: Kernel, Object: int) -> int:
    return k.ob.dereference(Object, k.caller())


@export("LONG_PTR ObfReferenceObject(PVOID Object)", irql=DISPATCH_LEVEL)
def ObfReferenceObject(k: Kernel, Object: int) -> int:
    """WDK: "ObfReferenceObject function (wdm.h)": the new count."""
    return _reference(k, Object)


@export("LONG_PTR ObfReferenceObjectWithTag(PVOID Object, ULONG Tag)", irql=DISPATCH_LEVEL)
def ObfReferenceObjectWithTag(k: Kernel, Object: int, Tag: int) -> int:
    """WDK: "ObReferenceObjectWithTag macro (wdm.h)". Tags are for traces, which are not kept."""
    return _reference(k, Object)


@export("LONG_PTR ObfDereferenceObject(PVOID Object)", irql=DISPATCH_LEVEL)
def ObfDereferenceObject(k: Kernel, Object: int) -> int:
    """WDK: "ObfDereferenceObject function (wdm.h)": the new count."""
    return _dereference(k, Object)


@export("LONG_PTR ObfDereferenceObjectWithTag(PVOID Object, ULONG Tag)", irql=DISPATCH_LEVEL)
def ObfDereferenceObjectWithTag(k: Kernel, Object: int, Tag: int) -> int:
    """WDK: "ObDereferenceObjectWithTag macro (wdm.h)"."""
    return _dereference(k, Object)


@export(
    "VOID ObDereferenceObjectDeferDelete(PVOID Object)",
    irql=DISPATCH_LEVEL,
    simplified="the last reference deletes the object at once",
)
def ObDereferenceObjectDeferDelete(k: Kernel, Object: int) -> None:
    """WDK: "ObDereferenceObjectDeferDelete function (wdm.h)"."""
    _dereference(k, Object)


@export(
    "VOID ObDereferenceObjectDeferDeleteWithTag(PVOID Object, ULONG Tag)",
    irql=DISPATCH_LEVEL,
    simplified="the last reference deletes the object at once",
)
def ObDereferenceObjectDeferDeleteWithTag(k: Kernel, Object: int, Tag: int) -> None:
    """WDK: "ObDereferenceObjectDeferDeleteWithTag function (wdm.h)"."""
    _dereference(k, Object)


def _by_handle(
    k: Kernel, handle: int, access: int, object_type: int, mode: int, result: int, information: int
) -> int:
    k.memory.set_u64(result, 0)
    if handle == CURRENT_PROCESS:
        entry = HandleEntry(
            k.ob.get(k.thread.current_process.object), type_of("Process").everything, ""
        )
    elif handle == CURRENT_THREAD:
        entry = HandleEntry(k.ob.get(k.thread.object), type_of("Thread").everything, "")
    else:
        # A program cannot use kernel handles: they are no handles to it.
        foreign = mode == _USER_MODE and k.ob.is_kernel_handle(handle)
        found = None if foreign else k.ob.find(handle, k.thread.current_process.pid)
        if found is None:
            return const("STATUS_INVALID_HANDLE")
        entry = found
    if object_type and k.object_types.get(object_type) != entry.object.type:
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    if mode == _USER_MODE and type_of(entry.object.type).map(access) & ~entry.access:
        return const("STATUS_ACCESS_DENIED")
    k.ob.reference(entry.object.address, k.caller())
    k.memory.set_u64(result, entry.object.address)
    if information:
        given = Struct(k.memory, "OBJECT_HANDLE_INFORMATION", information)
        given["HandleAttributes"] = entry.attributes & _HANDLE_ATTRIBUTES
        given["GrantedAccess"] = entry.access
    return 0


@export(
    "NTSTATUS ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, "
    "POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode, PVOID *Object, "
    "POBJECT_HANDLE_INFORMATION HandleInformation)",
    irql=PASSIVE_LEVEL,
)
def ObReferenceObjectByHandle(
    k: Kernel,
    Handle: int,
    DesiredAccess: int,
    ObjectType: int,
    AccessMode: int,
    Object: int,
    HandleInformation: int,
) -> int:
    """WDK: "ObReferenceObjectByHandle function (wdm.h)". UserMode checks the handle's access."""
    return _by_handle(k, Handle, DesiredAccess, ObjectType, AccessMode, Object, HandleInformation)


@export(
    "NTSTATUS ObReferenceObjectByHandleWithTag(HANDLE Handle, ACCESS_MASK DesiredAccess, "
    "POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode, ULONG Tag, PVOID *Object, "
    "POBJECT_HANDLE_INFORMATION HandleInformation)",
    irql=PASSIVE_LEVEL,
)
def ObReferenceObjectByHandleWithTag(
    k: Kernel,
    Handle: int,
    DesiredAccess: int,
    ObjectType: int,
    AccessMode: int,
    Tag: int,
    Object: int,
    HandleInformation: int,
) -> int:
    """WDK: "ObReferenceObjectByHandleWithTag function (wdm.h)"."""
    return _by_handle(k, Handle, DesiredAccess, ObjectType, AccessMode, Object, HandleInformation)


def _by_pointer(k: Kernel, address: int, object_type: int, mode: int) -> int:
    found = k.ob.get(address)
    wanted = k.object_types.get(object_type)
    # Without a type only the kernel itself may ask, and for symbolic links nobody is asked.
    if found.type != wanted and (object_type or (mode == _USER_MODE)):
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    return 0


@export(
    "NTSTATUS ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, "
    "POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode)",
    irql=DISPATCH_LEVEL,
)
def ObReferenceObjectByPointer(
    k: Kernel, Object: int, DesiredAccess: int, ObjectType: int, AccessMode: int
) -> int:
    """WDK: "ObReferenceObjectByPointer function (wdm.h)"; the type must agree."""
    status = _by_pointer(k, Object, ObjectType, AccessMode)
    if not status:
        _reference(k, Object)
    return status


@export(
    "NTSTATUS ObReferenceObjectByPointerWithTag(PVOID Object, ACCESS_MASK DesiredAccess, "
    "POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode, ULONG Tag)",
    irql=DISPATCH_LEVEL,
)
def ObReferenceObjectByPointerWithTag(
    k: Kernel, Object: int, DesiredAccess: int, ObjectType: int, AccessMode: int, Tag: int
) -> int:
    """WDK: "ObReferenceObjectByPointerWithTag function (wdm.h)"."""
    status = _by_pointer(k, Object, ObjectType, AccessMode)
    if not status:
        _reference(k, Object)
    return status


@export(
    "NTSTATUS ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, "
    "PACCESS_STATE PassedAccessState, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, "
    "KPROCESSOR_MODE AccessMode, PHANDLE Handle)",
    irql=PASSIVE_LEVEL,
    simplified="every access that is asked for is granted",
)
def ObOpenObjectByPointer(
    k: Kernel,
    Object: int,
    HandleAttributes: int,
    PassedAccessState: int,
    DesiredAccess: int,
    ObjectType: int,
    AccessMode: int,
    Handle: int,
) -> int | Steps:
    """WDK: "ObOpenObjectByPointer function (ntifs.h)"."""
    k.memory.set_u64(Handle, 0)
    if HandleAttributes & ~const("OBJ_VALID_ATTRIBUTES"):
        return const("STATUS_INVALID_PARAMETER")
    status = _by_pointer(k, Object, ObjectType, AccessMode)
    if status:
        return status
    kernel = bool(HandleAttributes & const("OBJ_KERNEL_HANDLE"))
    if kernel and AccessMode == _USER_MODE:
        return const("STATUS_INVALID_PARAMETER")
    obj, pid = k.ob.get(Object), k.thread.current_process.pid
    asked = Asked(obj, pid, DesiredAccess, k.caller(), kernel, HandleAttributes)
    return _open_into(k, asked, Handle)


def _open_into(k: Kernel, asked: Asked, out: int) -> Steps:
    handle = yield from open_watched(k, asked)
    if out:
        k.memory.set_u64(out, handle)
    return 0


def _close(k: Kernel, handle: int, name: str) -> int | Steps:
    if handle in (CURRENT_PROCESS, CURRENT_THREAD):
        return 0
    pid = k.thread.current_process.pid
    entry = k.ob.find(handle, pid)
    if entry is not None and is_watched_key(k, entry.object):
        return CmCloseHandle(k, handle, pid)
    if entry is not None and isinstance(entry.object.payload, File):
        return close_handle(k, entry.object.payload, handle, pid)
    if not k.ob.close(handle, pid):
        k.tell("bad-handle", f"{name} was given {handle:#x}, which is no open handle")
        return const("STATUS_INVALID_HANDLE")
    return 0


@export("NTSTATUS ZwClose(HANDLE Handle)", irql=PASSIVE_LEVEL)
def ZwClose(k: Kernel, Handle: int) -> int | Steps:
    """WDK: "ZwClose function (wdm.h)"."""
    return _close(k, Handle, "ZwClose")


@export("NTSTATUS NtClose(HANDLE Handle)", irql=PASSIVE_LEVEL)
def NtClose(k: Kernel, Handle: int) -> int | Steps:
    """WDK: "NtClose function (ntifs.h)": on behalf of a program, kernel handles are none."""
    if not k.thread.system and k.ob.is_kernel_handle(Handle):
        k.tell("bad-handle", f"NtClose was given the kernel handle {Handle:#x} in a user's call")
        return const("STATUS_INVALID_HANDLE")
    return _close(k, Handle, "NtClose")


@export("NTSTATUS ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode)", irql=PASSIVE_LEVEL)
def ObCloseHandle(k: Kernel, Handle: int, PreviousMode: int) -> int | Steps:
    """WDK: "ObCloseHandle function (ntifs.h)". For UserMode, kernel handles are none."""
    if PreviousMode == _USER_MODE and k.ob.is_kernel_handle(Handle):
        return const("STATUS_INVALID_HANDLE")
    return _close(k, Handle, "ObCloseHandle")


def _process(k: Kernel, handle: int) -> Process:
    if handle == CURRENT_PROCESS:
        return k.thread.current_process
    process = handle_target(k, handle, "Process").payload
    assert isinstance(process, Process)
    return process


@export(
    "NTSTATUS ZwDuplicateObject(HANDLE SourceProcessHandle, HANDLE SourceHandle, "
    "HANDLE TargetProcessHandle, PHANDLE TargetHandle, ACCESS_MASK DesiredAccess, "
    "ULONG HandleAttributes, ULONG Options)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwDuplicateObject(
    k: Kernel,
    SourceProcessHandle: int,
    SourceHandle: int,
    TargetProcessHandle: int,
    TargetHandle: int,
    DesiredAccess: int,
    HandleAttributes: int,
    Options: int,
) -> Steps:
    """WDK: "ZwDuplicateObject function (ntifs.h)"."""
    source = _process(k, SourceProcessHandle)
    pid = source.pid
    obj: Object
    if SourceHandle == CURRENT_PROCESS:
        entry = HandleEntry(k.ob.get(source.object), type_of("Process").everything, "")
    elif SourceHandle == CURRENT_THREAD:
        entry = HandleEntry(k.ob.get(k.thread.object), type_of("Thread").everything, "")
    else:
        found = k.ob.find(SourceHandle, pid)
        if found is None:
            return const("STATUS_INVALID_HANDLE")
        entry = found
    obj = entry.object
    if TargetProcessHandle:
        target = _process(k, TargetProcessHandle)
        access = entry.access if Options & _SAME_ACCESS else DesiredAccess
        attributes = entry.attributes if Options & _SAME_ATTRIBUTES else HandleAttributes
        kernel = bool(attributes & const("OBJ_KERNEL_HANDLE"))
        asked = Asked(obj, target.pid, access, k.caller(), kernel, attributes, source, target)
        yield from _open_into(k, asked, TargetHandle)
    if Options & _CLOSE_SOURCE:
        k.ob.close(SourceHandle, pid)
    return 0


def _type_variable(type_name: str) -> Callable[[Kernel], bytes]:
    """A pointer to an OBJECT_TYPE, which is opaque to drivers."""

    def data(k: Kernel) -> bytes:
        address = k.new_object(0x100)
        k.object_types[address] = type_name
        return address.to_bytes(8, "little")

    return data


for _variable, _type in TYPES.items():
    export_data(_variable, _type_variable(_type))
