"""Routines that drivers have called at a bug check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.callbacks import Registration
from ..kernel.structs import Struct, const
from .registry import HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: KBUGCHECK_BUFFER_DUMP_STATE: what a record's State says.
BUFFER_EMPTY, BUFFER_INSERTED = 0, 1
_RECORDS: Final = {
    "KeRegisterBugCheckCallback": "KBUGCHECK_CALLBACK_RECORD",
    "KeRegisterBugCheckReasonCallback": "KBUGCHECK_REASON_CALLBACK_RECORD",
}


def _insert(k: Kernel, kind: str, record: int, routine: int) -> bool:
    entry = Struct(k.memory, _RECORDS[kind], record)
    if entry["State"] != BUFFER_EMPTY or k.callbacks.find(kind, cookie=record):
        return False
    entry["State"] = BUFFER_INSERTED
    entry["CallbackRoutine"] = routine
    k.callbacks.add(Registration(kind, routine, k.caller(), cookie=record))
    return True


def _remove(k: Kernel, kind: str, record: int) -> bool:
    registration = k.callbacks.find(kind, cookie=record)
    if registration is None:
        return False
    k.callbacks.remove(registration)
    Struct(k.memory, _RECORDS[kind], record)["State"] = BUFFER_EMPTY
    return True


@export(
    "BOOLEAN KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord, "
    "PKBUGCHECK_CALLBACK_ROUTINE CallbackRoutine, PVOID Buffer, ULONG Length, PUCHAR Component)",
    irql=HIGH_LEVEL,
)
def KeRegisterBugCheckCallback(
    k: Kernel, CallbackRecord: int, CallbackRoutine: int, Buffer: int, Length: int, Component: int
) -> bool:
    """WDK: "KeRegisterBugCheckCallback function (wdm.h)". FALSE for a record in use."""
    if not _insert(k, "KeRegisterBugCheckCallback", CallbackRecord, CallbackRoutine):
        return False
    record = Struct(k.memory, "KBUGCHECK_CALLBACK_RECORD", CallbackRecord)
    record["Buffer"], record["Length"], record["Component"] = Buffer, Length, Component
    return True


@export(
    "BOOLEAN KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord)",
    irql=HIGH_LEVEL,
)
def KeDeregisterBugCheckCallback(k: Kernel, CallbackRecord: int) -> bool:
    """WDK: "KeDeregisterBugCheckCallback function (wdm.h)". FALSE where it is not registered."""
    return _remove(k, "KeRegisterBugCheckCallback", CallbackRecord)


@export(
    "BOOLEAN KeRegisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord, "
    "PKBUGCHECK_REASON_CALLBACK_ROUTINE CallbackRoutine, ULONG Reason, PUCHAR Component)",
    irql=HIGH_LEVEL,
    simplified="KbCallbackSecondaryDumpData only; other reasons are not registered (FALSE)",
)
def KeRegisterBugCheckReasonCallback(
    k: Kernel, CallbackRecord: int, CallbackRoutine: int, Reason: int, Component: int
) -> bool:
    """WDK: "KeRegisterBugCheckReasonCallback function (wdm.h)". FALSE for a record in use."""
    if Reason != const("KbCallbackSecondaryDumpData"):
        return False
    if not _insert(k, "KeRegisterBugCheckReasonCallback", CallbackRecord, CallbackRoutine):
        return False
    record = Struct(k.memory, "KBUGCHECK_REASON_CALLBACK_RECORD", CallbackRecord)
    record["Reason"], record["Component"] = Reason, Component
    return True


@export(
    "BOOLEAN KeDeregisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord)",
    irql=HIGH_LEVEL,
)
def KeDeregisterBugCheckReasonCallback(k: Kernel, CallbackRecord: int) -> bool:
    """WDK: "KeDeregisterBugCheckReasonCallback function (wdm.h)"."""
    return _remove(k, "KeRegisterBugCheckReasonCallback", CallbackRecord)
