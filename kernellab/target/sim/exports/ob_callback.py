"""Watching the handles of processes and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.ob_notify import CREATE, DUPLICATE, KIND, WATCHED, Operations
from ..kernel.structs import Struct, const, read_unicode_string, size_of
from .registry import APC_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_VERSION: Final = 0x0100  # OB_FLT_REGISTRATION_VERSION


@export("USHORT ObGetFilterVersion(VOID)", irql=PASSIVE_LEVEL)
def ObGetFilterVersion(k: Kernel) -> int:
    """WDK: "ObGetFilterVersion function (wdm.h)"."""
    return _VERSION


@export(
    "NTSTATUS ObRegisterCallbacks(POB_CALLBACK_REGISTRATION CallbackRegistration, "
    "PVOID *RegistrationHandle)",
    irql=APC_LEVEL,
    simplified="the image need not be signed; desktops cannot be watched",
)
def ObRegisterCallbacks(k: Kernel, CallbackRegistration: int, RegistrationHandle: int) -> int:
    """WDK: "ObRegisterCallbacks function (wdm.h)"."""
    given = Struct(k.memory, "OB_CALLBACK_REGISTRATION", CallbackRegistration)
    count = given["OperationRegistrationCount"]
    if given["Version"] != _VERSION or not count:
        return const("STATUS_INVALID_PARAMETER")
    altitude = read_unicode_string(k.memory, given.at("Altitude"))
    if any(r.altitude == altitude for r in k.callbacks.of(KIND)):
        return const("STATUS_FLT_INSTANCE_ALTITUDE_COLLISION")
    operations: list[Operations] = []
    for index in range(count):
        at = given["OperationRegistration"] + index * size_of("OB_OPERATION_REGISTRATION")
        entry = Struct(k.memory, "OB_OPERATION_REGISTRATION", at)
        kind = k.object_types.get(k.memory.u64(entry["ObjectType"]), "")
        wanted = entry["Operations"]
        routines = entry["PreOperation"], entry["PostOperation"]
        if kind not in WATCHED or not wanted or wanted & ~(CREATE | DUPLICATE):
            return const("STATUS_INVALID_PARAMETER")
        if not any(routines):
            return const("STATUS_INVALID_PARAMETER")
        operations.append(Operations(kind, wanted, *routines))
    cookie, owner = k.new_object(0x20), k.caller()
    k.handle_watchers[cookie] = [
        k.callbacks.add(
            Registration(
                *(KIND, entry.pre or entry.post, owner, given["RegistrationContext"]),
                altitude=altitude,
                detail=entry,
            )
        )
        for entry in operations
    ]
    k.memory.set_u64(RegistrationHandle, cookie)
    return 0


@export("VOID ObUnRegisterCallbacks(PVOID RegistrationHandle)", irql=APC_LEVEL)
def ObUnRegisterCallbacks(k: Kernel, RegistrationHandle: int) -> Steps:
    """WDK: "ObUnRegisterCallbacks function (wdm.h)"; returns when they run nowhere."""
    registrations = k.handle_watchers.pop(RegistrationHandle, None)
    if registrations is None:
        k.tell(
            "bad-callback",
            f"ObUnRegisterCallbacks was given {RegistrationHandle:#x}, which is no registration",
        )
        return 0
    for registration in registrations:
        k.callbacks.remove(registration)
    for registration in registrations:
        yield from k.callbacks.drain(registration)
    k.pool.free(k.pool.live[RegistrationHandle])
    return 0
