"""Cancel-safe IRP queues.

WDK pages: "Cancel-Safe IRP Queues", "IO_CSQ structure (wdm.h)". The driver keeps the queue and its
lock; these routines decide who has an IRP when a cancellation comes at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import io_cancel
from ..kernel import irp as irps
from ..kernel.execution import Call, Steps
from ..kernel.structs import Struct, const, place
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: Tail.Overlay.DriverContext[3], where these routines note an IRP's queue or context.
_NOTE: Final = place("IRP", "Tail.Overlay.DriverContext")[0] + 24
_ROUTINES: Final = (
    *("CsqInsertIrp", "CsqRemoveIrp", "CsqPeekNextIrp"),
    *("CsqAcquireLock", "CsqReleaseLock", "CsqCompleteCanceledIrp"),
)


def _initialize(k: Kernel, csq: int, kind: str, *routines: int) -> int:
    entry = Struct(k.memory, "IO_CSQ", csq)
    entry["Type"] = const(kind)
    for name, routine in zip(_ROUTINES, routines, strict=True):
        entry[name] = routine
    entry["ReservePointer"] = 0
    return 0


@export(
    "NTSTATUS IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, "
    "PIO_CSQ_REMOVE_IRP CsqRemoveIrp, PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, "
    "PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock, PIO_CSQ_RELEASE_LOCK CsqReleaseLock, "
    "PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)",
    irql=DISPATCH_LEVEL,
)
def IoCsqInitialize(
    k: Kernel,
    Csq: int,
    CsqInsertIrp: int,
    CsqRemoveIrp: int,
    CsqPeekNextIrp: int,
    CsqAcquireLock: int,
    CsqReleaseLock: int,
    CsqCompleteCanceledIrp: int,
) -> int:
    """WDK: "IoCsqInitialize function (wdm.h)"."""
    return _initialize(
        *(k, Csq, "IO_TYPE_CSQ", CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp),
        *(CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp),
    )


@export(
    "NTSTATUS IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, "
    "PIO_CSQ_REMOVE_IRP CsqRemoveIrp, PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, "
    "PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock, PIO_CSQ_RELEASE_LOCK CsqReleaseLock, "
    "PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)",
    irql=DISPATCH_LEVEL,
)
def IoCsqInitializeEx(
    k: Kernel,
    Csq: int,
    CsqInsertIrp: int,
    CsqRemoveIrp: int,
    CsqPeekNextIrp: int,
    CsqAcquireLock: int,
    CsqReleaseLock: int,
    CsqCompleteCanceledIrp: int,
) -> int:
    """WDK: "IoCsqInitializeEx function (wdm.h)": the insert routine may refuse an IRP."""
    return _initialize(
        *(k, Csq, "IO_TYPE_CSQ_EX", CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp),
        *(CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp),
    )


def _lock(k: Kernel, csq: Struct) -> Steps:
    # The driver's routine writes the old IRQL to a place that it is given.
    room = k.pool.allocate(16, int.from_bytes(b"Csq ", "little"))
    yield Call(csq["CsqAcquireLock"], (csq.address, room))
    irql = k.memory.u8(room)
    k.pool.free(k.pool.live[room])
    return irql


def _unlock(csq: Struct, irql: int) -> Steps:
    yield Call(csq["CsqReleaseLock"], (csq.address, irql))


def _note(k: Kernel, irp: int, context: int, csq: int) -> None:
    k.memory.set_u64(irp + _NOTE, context or csq)
    if context:
        entry = Struct(k.memory, "IO_CSQ_IRP_CONTEXT", context)
        entry["Type"], entry["Irp"], entry["Csq"] = const("IO_TYPE_CSQ_IRP_CONTEXT"), irp, csq


def _forget(k: Kernel, irp: int) -> None:
    note = k.memory.u64(irp + _NOTE)
    k.memory.set_u64(irp + _NOTE, 0)
    if note and k.memory.u32(note) == const("IO_TYPE_CSQ_IRP_CONTEXT"):
        Struct(k.memory, "IO_CSQ_IRP_CONTEXT", note)["Irp"] = 0


def _take_cancel_routine(k: Kernel, irp: int) -> int:
    entry = Struct(k.memory, "IRP", irp)
    routine = entry["CancelRoutine"]
    entry["CancelRoutine"] = 0
    return routine


def _insert(k: Kernel, csq: Struct, address: int, context: int, more: int) -> Steps:
    irp = Struct(k.memory, "IRP", address)
    _note(k, address, context, csq.address)
    irql = yield from _lock(k, csq)
    extended = csq["Type"] == const("IO_TYPE_CSQ_EX")
    arguments = (csq.address, address, more) if extended else (csq.address, address)
    status = yield Call(csq["CsqInsertIrp"], arguments)
    status = status & 0xFFFFFFFF if extended else 0
    if status >> 31:
        _forget(k, address)
        yield from _unlock(csq, irql)
        return status
    irps.current_location(k, irp)["Control"] |= const("SL_PENDING_RETURNED")
    irp["CancelRoutine"] = k.stub_of("IopCsqCancelRoutine")
    late = irp["Cancel"] and _take_cancel_routine(k, address)
    if late:
        # It was cancelled before it came here, and nobody else sees to it.
        yield Call(csq["CsqRemoveIrp"], (csq.address, address))
        _forget(k, address)
    yield from _unlock(csq, irql)
    if late:
        yield Call(csq["CsqCompleteCanceledIrp"], (csq.address, address))
    return status


@export(
    "NTSTATUS IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, "
    "PVOID InsertContext)",
    irql=DISPATCH_LEVEL,
)
def IoCsqInsertIrpEx(k: Kernel, Csq: int, Irp: int, Context: int, InsertContext: int) -> Steps:
    """WDK: "IoCsqInsertIrpEx function (wdm.h)": the driver's answer; the IRP is pending then."""
    return (yield from _insert(k, Struct(k.memory, "IO_CSQ", Csq), Irp, Context, InsertContext))


@export(
    "VOID IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context)",
    irql=DISPATCH_LEVEL,
)
def IoCsqInsertIrp(k: Kernel, Csq: int, Irp: int, Context: int) -> Steps:
    """WDK: "IoCsqInsertIrp function (wdm.h)": marks the IRP pending."""
    yield from _insert(k, Struct(k.memory, "IO_CSQ", Csq), Irp, Context, 0)
    return 0


@export("PIRP IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context)", irql=DISPATCH_LEVEL)
def IoCsqRemoveIrp(k: Kernel, Csq: int, Context: int) -> Steps:
    """WDK: "IoCsqRemoveIrp function (wdm.h)": NULL where it was cancelled or removed already."""
    csq = Struct(k.memory, "IO_CSQ", Csq)
    irql = yield from _lock(k, csq)
    irp = Struct(k.memory, "IO_CSQ_IRP_CONTEXT", Context)["Irp"]
    if irp and not _take_cancel_routine(k, irp):
        irp = 0
    if irp:
        yield Call(csq["CsqRemoveIrp"], (Csq, irp))
        _forget(k, irp)
    yield from _unlock(csq, irql)
    return irp


@export("PIRP IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext)", irql=DISPATCH_LEVEL)
def IoCsqRemoveNextIrp(k: Kernel, Csq: int, PeekContext: int) -> Steps:
    """WDK: "IoCsqRemoveNextIrp function (wdm.h)": the next that matches, NULL for none."""
    csq = Struct(k.memory, "IO_CSQ", Csq)
    irql = yield from _lock(k, csq)
    irp = yield Call(csq["CsqPeekNextIrp"], (Csq, 0, PeekContext))
    while irp and not _take_cancel_routine(k, irp):
        # Its cancel routine runs, and waits for the queue's lock: it is not ours to take.
        irp = yield Call(csq["CsqPeekNextIrp"], (Csq, irp, PeekContext))
    if irp:
        yield Call(csq["CsqRemoveIrp"], (Csq, irp))
        _forget(k, irp)
    yield from _unlock(csq, irql)
    return irp


@export(
    "VOID IopCsqCancelRoutine(PDEVICE_OBJECT DeviceObject, PIRP Irp)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def IopCsqCancelRoutine(k: Kernel, DeviceObject: int, Irp: int) -> Steps:
    """The cancel routine of IRPs in a cancel-safe queue."""
    io_cancel.release(k, Struct(k.memory, "IRP", Irp)["CancelIrql"])
    note = k.memory.u64(Irp + _NOTE)
    if k.memory.u32(note) == const("IO_TYPE_CSQ_IRP_CONTEXT"):
        note = Struct(k.memory, "IO_CSQ_IRP_CONTEXT", note)["Csq"]
    csq = Struct(k.memory, "IO_CSQ", note)
    irql = yield from _lock(k, csq)
    yield Call(csq["CsqRemoveIrp"], (csq.address, Irp))
    _forget(k, Irp)
    yield from _unlock(csq, irql)
    yield Call(csq["CsqCompleteCanceledIrp"], (csq.address, Irp))
    return 0
