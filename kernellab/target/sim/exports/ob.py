"""References and handles of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..kernel.ob import CURRENT_PROCESS, CURRENT_THREAD
from ..kernel.structs import const
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export, export_data

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
}


@export("LONG_PTR ObfReferenceObject(PVOID Object)", irql=DISPATCH_LEVEL)
def ObfReferenceObject(k: Kernel, Object: int) -> int:
    """WDK: "ObfReferenceObject function (wdm.h)": the new count."""
    return k.ob.reference(Object, k.caller()).references


@export("LONG_PTR ObfDereferenceObject(PVOID Object)", irql=DISPATCH_LEVEL)
def ObfDereferenceObject(k: Kernel, Object: int) -> int:
    """WDK: "ObfDereferenceObject function (wdm.h)": the new count."""
    return k.ob.dereference(Object, k.caller())


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
    """WDK: "ObReferenceObjectByHandle function (wdm.h)"."""
    if Handle == CURRENT_PROCESS:
        found = k.ob.get(k.thread.process.object)
    elif Handle == CURRENT_THREAD:
        found = k.ob.get(k.thread.object)
    else:
        entry = k.ob.find(Handle, k.thread.process.pid)
        if entry is None:
            return const("STATUS_INVALID_HANDLE")
        found = entry.object
    if ObjectType and k.object_types.get(ObjectType) != found.type:
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    k.ob.reference(found.address, k.caller())
    k.memory.set_u64(Object, found.address)
    return 0


@export("NTSTATUS ZwClose(HANDLE Handle)", irql=PASSIVE_LEVEL)
def ZwClose(k: Kernel, Handle: int) -> int:
    """WDK: "ZwClose function (wdm.h)"."""
    if Handle in (CURRENT_PROCESS, CURRENT_THREAD):
        return 0
    if not k.ob.close(Handle, k.thread.process.pid):
        k.violation("bad-handle", f"ZwClose was given {Handle:#x}, which is no open handle")
        return const("STATUS_INVALID_HANDLE")
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
