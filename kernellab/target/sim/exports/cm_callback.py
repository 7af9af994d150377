"""Registry callbacks: being told of operations on the registry, and taking part in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.callbacks import Registration
from ..kernel.cm import KeyBody
from ..kernel.cm_notify import KIND
from ..kernel.execution import Steps
from ..kernel.ob import Object
from ..kernel.structs import const, read_unicode_string, size_of, write_unicode_string
from .registry import APC_LEVEL, PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"CMnm", "little")
_VERSION: Final = (2, 0)


def _register(k: Kernel, routine: int, altitude: str, context: int, cookie: int, name: str) -> int:
    if altitude and any(r.altitude == altitude for r in k.callbacks.of(KIND)):
        return const("STATUS_FLT_INSTANCE_ALTITUDE_COLLISION")
    registration = Registration(KIND, routine, k.caller(), context, 0, altitude)
    registration.detail = name
    k.callbacks.add(registration)
    k.memory.set_u64(cookie, registration.cookie)
    return 0


@export(
    "NTSTATUS CmRegisterCallbackEx(PEX_CALLBACK_FUNCTION Function, PCUNICODE_STRING Altitude, "
    "PVOID Driver, PVOID Context, PLARGE_INTEGER Cookie, PVOID Reserved)",
    irql=APC_LEVEL,
)
def CmRegisterCallbackEx(
    k: Kernel,
    Function: int,
    Altitude: int,
    Driver: int,
    Context: int,
    Cookie: int,
    Reserved: int,
) -> int:
    """WDK: "CmRegisterCallbackEx function (wdm.h)"; an altitude can be taken once only."""
    altitude = read_unicode_string(k.memory, Altitude)
    k.ob.get(Driver)
    if not altitude.replace(".", "", 1).isdecimal():
        return const("STATUS_INVALID_PARAMETER")
    return _register(k, Function, altitude, Context, Cookie, "CmRegisterCallbackEx")


@export(
    "NTSTATUS CmRegisterCallback(PEX_CALLBACK_FUNCTION Function, PVOID Context, "
    "PLARGE_INTEGER Cookie)",
    irql=APC_LEVEL,
)
def CmRegisterCallback(k: Kernel, Function: int, Context: int, Cookie: int) -> int:
    """WDK: "CmRegisterCallback function (wdm.h)": after all that name an altitude."""
    return _register(k, Function, "", Context, Cookie, "CmRegisterCallback")


@export("NTSTATUS CmUnRegisterCallback(LARGE_INTEGER Cookie)", irql=APC_LEVEL)
@ntstatus
def CmUnRegisterCallback(k: Kernel, Cookie: int) -> int | Steps:
    """WDK: "CmUnRegisterCallback function (wdm.h)"; returns when the routine runs nowhere."""
    registration = k.callbacks.find(KIND, cookie=Cookie)
    if registration is None:
        return const("STATUS_INVALID_PARAMETER")
    k.callbacks.remove(registration)
    return k.callbacks.drain(registration)


@export("VOID CmGetCallbackVersion(PULONG Major, PULONG Minor)", irql=APC_LEVEL)
def CmGetCallbackVersion(k: Kernel, Major: int, Minor: int) -> None:
    """WDK: "CmGetCallbackVersion function (wdm.h)"; either may be null."""
    for pointer, value in zip((Major, Minor), _VERSION, strict=True):
        if pointer:
            k.memory.set_u32(pointer, value)


def _name_block(k: Kernel, path: str, owner: str) -> int:
    """A UNICODE_STRING with its text behind it."""
    header = size_of("UNICODE_STRING")
    raw = 2 * len(path)
    address = k.pool.allocate(header + raw, _TAG, paged=True, owner=owner)
    if address:
        write_unicode_string(k.memory, address, address + header, path)
    return address


def _identify(k: Kernel, cookie: int, obj: Object, object_id: int, name: int, owner: str) -> int:
    if k.callbacks.find(KIND, cookie=k.memory.u64(cookie)) is None or obj.type != "Key":
        return const("STATUS_INVALID_PARAMETER")
    body = obj.payload
    assert isinstance(body, KeyBody)
    if object_id:
        k.memory.set_u64(object_id, body.node.number)
    if name:
        block = _name_block(k, body.node.path, owner)
        if not block:
            return const("STATUS_INSUFFICIENT_RESOURCES")
        k.memory.set_u64(name, block)
    return 0


@export(
    "NTSTATUS CmCallbackGetKeyObjectID(PLARGE_INTEGER Cookie, PVOID Object, "
    "PULONG_PTR ObjectID, PCUNICODE_STRING *ObjectName)",
    irql=APC_LEVEL,
    simplified="the name's memory is never given back, rather than with the key object",
)
def CmCallbackGetKeyObjectID(
    k: Kernel, Cookie: int, Object: int, ObjectID: int, ObjectName: int
) -> int:
    """WDK: "CmCallbackGetKeyObjectID function (wdm.h)": the name stays as long as the key."""
    return _identify(k, Cookie, k.ob.get(Object), ObjectID, ObjectName, "")


@export(
    "NTSTATUS CmCallbackGetKeyObjectIDEx(PLARGE_INTEGER Cookie, PVOID Object, "
    "PULONG_PTR ObjectID, PCUNICODE_STRING *ObjectName, ULONG Flags)",
    irql=APC_LEVEL,
)
def CmCallbackGetKeyObjectIDEx(
    k: Kernel, Cookie: int, Object: int, ObjectID: int, ObjectName: int, Flags: int
) -> int:
    """WDK: "CmCallbackGetKeyObjectIDEx function (wdm.h)": the caller releases the name."""
    if Flags:
        return const("STATUS_INVALID_PARAMETER")
    return _identify(k, Cookie, k.ob.get(Object), ObjectID, ObjectName, k.caller())


@export("VOID CmCallbackReleaseKeyObjectIDEx(PCUNICODE_STRING ObjectName)", irql=APC_LEVEL)
def CmCallbackReleaseKeyObjectIDEx(k: Kernel, ObjectName: int) -> None:
    """WDK: "CmCallbackReleaseKeyObjectIDEx function (wdm.h)"."""
    allocation = k.pool.live.get(ObjectName)
    if allocation is None or allocation.tag != _TAG:
        k.tell(
            "bad-callback",
            f"CmCallbackReleaseKeyObjectIDEx was given {ObjectName:#x}, which "
            "CmCallbackGetKeyObjectIDEx did not give",
        )
        k.memory.u64(ObjectName)
        return
    k.pool.free(allocation)


@export("PVOID CmGetBoundTransaction(PLARGE_INTEGER Cookie, PVOID Object)", irql=PASSIVE_LEVEL)
def CmGetBoundTransaction(k: Kernel, Cookie: int, Object: int) -> int:
    """WDK: "CmGetBoundTransaction function (wdm.h)": NULL, as no key here is in a transaction."""
    k.ob.get(Object)
    return 0
