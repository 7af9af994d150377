"""Callback objects: named lists of routines that one driver lets others register with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from ..kernel.attributes import create_named, open_named, read_attributes
from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.ob import Object
from ..kernel.structs import const
from .registry import APC_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_SIZE: Final = 0x38
#: Callback objects that the system makes ("ExCreateCallback function (wdm.h)").
SYSTEM: Final = ("SetSystemTime", "PowerState", "ProcessorAdd")


@dataclass(slots=True)
class CallbackObject:
    """What a callback object keeps: whether more than one routine may register."""

    multiple: bool


def _new(k: Kernel, multiple: int, owner: str) -> Object:
    payload = CallbackObject(bool(multiple))
    obj = Object(k.new_object(_SIZE), "Callback", payload, "", owner, on_delete=k.ob.free)
    return k.ob.insert(obj)


def _kind(address: int) -> str:
    return f"ExRegisterCallback {address:#x}"


@export(
    "NTSTATUS ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, "
    "POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create, BOOLEAN AllowMultipleCallbacks)",
    irql=PASSIVE_LEVEL,
    simplified=r"the system's own objects in \Callback are never notified, and made when asked for",
)
@ntstatus
def ExCreateCallback(
    k: Kernel,
    CallbackObject: int,
    ObjectAttributes: int,
    Create: int,
    AllowMultipleCallbacks: int,
) -> int:
    """WDK: "ExCreateCallback function (wdm.h)". One that exists is opened, whatever Create says.

    The caller gets a reference. A new one that is not OBJ_PERMANENT loses its name at once, as no
    handle to it stays open. Without a name: STATUS_UNSUCCESSFUL.
    """
    attributes, owner = read_attributes(k, ObjectAttributes), k.caller()
    if not attributes.name:
        return const("STATUS_UNSUCCESSFUL")
    system = attributes.name.upper() in (f"\\CALLBACK\\{name.upper()}" for name in SYSTEM)
    if system and k.names.find(attributes.name) is None:
        k.names.add(_new(k, 1, ""), attributes.name, permanent=True)
    found = k.names.walk(attributes.name) if not attributes.root else None
    if (found is not None and found.object is not None) or not Create:
        obj = open_named(k, attributes, "Callback")
    else:
        make = partial(_new, k, AllowMultipleCallbacks, owner)
        obj, _ = create_named(k, attributes, "Callback", make)
        if not obj.permanent:
            k.names.remove(obj)
            # The creator's reference becomes the caller's.
            obj.references -= 1
    k.ob.reference(obj.address, owner)
    k.memory.set_u64(CallbackObject, obj.address)
    return 0


@export(
    "PVOID ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, "
    "PCALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext)",
    irql=APC_LEVEL,
)
def ExRegisterCallback(
    k: Kernel, CallbackObject: int, CallbackFunction: int, CallbackContext: int
) -> int:
    """WDK: "ExRegisterCallback function (wdm.h)": NULL where the object takes one routine only.

    A registration references the object.
    """
    obj = k.ob.get(CallbackObject)
    kind = _kind(CallbackObject)
    if k.callbacks.of(kind) and not getattr(obj.payload, "multiple", False):
        return 0
    k.ob.reference(CallbackObject)
    cookie = k.new_object(0x30)
    registration = Registration(kind, CallbackFunction, k.caller(), CallbackContext, cookie)
    registration.detail = CallbackObject
    k.callbacks.add(registration)
    k.registrations[cookie] = registration
    return cookie


@export("VOID ExUnregisterCallback(PVOID CallbackRegistration)", irql=APC_LEVEL)
def ExUnregisterCallback(k: Kernel, CallbackRegistration: int) -> Steps:
    """WDK: "ExUnregisterCallback function (wdm.h)": returns when the routine runs nowhere."""
    registration = k.registrations.pop(CallbackRegistration, None)
    if registration is None:
        k.tell(
            "bad-callback",
            f"ExUnregisterCallback was given {CallbackRegistration:#x}, which is no registration",
        )
        return 0
    k.callbacks.remove(registration)
    yield from k.callbacks.drain(registration)
    k.pool.free(k.pool.live[CallbackRegistration])
    k.ob.dereference(registration.detail)
    return 0


@export(
    "VOID ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2)",
    irql=DISPATCH_LEVEL,
)
def ExNotifyCallback(k: Kernel, CallbackObject: int, Argument1: int, Argument2: int) -> Steps:
    """WDK: "ExNotifyCallback function (wdm.h)": in the order of registration, at this IRQL."""
    k.ob.get(CallbackObject)
    for registration in k.callbacks.of(_kind(CallbackObject)):
        arguments = (registration.context, Argument1, Argument2)
        yield from k.callbacks.invoke(registration, arguments, "a callback routine")
    return 0
