"""Cancelling IRPs: the cancel spin lock, cancel routines, and what calls them.

WDK pages: "IoCancelIrp function (wdm.h)", "Introduction to Cancel Routines", "Synchronizing IRP
Cancellation", "Bug Check 0x48: CANCEL_STATE_IN_COMPLETED_IRP".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .driver import returned
from .execution import Call, Spin, Steps
from .structs import Struct

if TYPE_CHECKING:
    from .io_finish import Request
    from .kernel import Kernel

_DISPATCH_LEVEL: Final = 2


class CancelLockFree:
    """Whether nobody holds the cancel spin lock."""

    __slots__ = ("_k",)

    def __init__(self, k: Kernel) -> None:
        self._k = k

    def __call__(self) -> bool:
        return not self._k.memory.u64(self._k.cancel_lock)


def acquire(k: Kernel) -> Steps:
    """Acquire the cancel spin lock at DISPATCH_LEVEL; the value is the IRQL before."""
    old: int = k.cpu.irql
    me = k.scheduler.current.number + 1
    if k.memory.u64(k.cancel_lock) == me:
        raise BugCheck(
            *("SPIN_LOCK_ALREADY_OWNED", k.cancel_lock),
            message="The cancel spin lock was acquired by a processor that holds it already: a "
            "cancel routine has to release it with IoReleaseCancelSpinLock, and IoCancelIrp must "
            "not be called while it is held.",
        )
    k.scheduler.set_irql(max(old, _DISPATCH_LEVEL))
    if k.memory.u64(k.cancel_lock):
        yield Spin(CancelLockFree(k), "the cancel spin lock")
    k.memory.set_u64(k.cancel_lock, k.scheduler.current.number + 1)
    k.tell("lock-taken", "cancel spin lock", k.cancel_lock)
    return old


def release(k: Kernel, irql: int) -> None:
    """Release it and lower the IRQL to ``irql``."""
    if not k.memory.u64(k.cancel_lock):
        raise BugCheck(
            *("SPIN_LOCK_NOT_OWNED", k.cancel_lock),
            message="The cancel spin lock was released, and nobody holds it.",
        )
    k.tell("lock-released", "cancel spin lock", k.cancel_lock)
    k.memory.set_u64(k.cancel_lock, 0)
    k.scheduler.set_irql(irql)


def cancel_irp(k: Kernel, address: int) -> Steps:
    """IoCancelIrp: mark it, call its cancel routine; the value is whether there was one."""
    record = k.irps.live.get(address)
    if record is None and address in k.irps.gone:
        # Reading it would fault anyway; this says why.
        raise BugCheck(
            *("CANCEL_STATE_IN_COMPLETED_IRP", address),
            message="IoCancelIrp was given an IRP that was completed or freed already.",
        )
    old = yield from acquire(k)
    irp = Struct(k.memory, "IRP", address)
    irp["Cancel"] = 1
    if record is not None:
        record.cancelled = True
    routine = irp["CancelRoutine"]
    irp["CancelRoutine"] = 0
    if not routine:
        release(k, old)
        return 0
    if irp["CurrentLocation"] > irp["StackCount"] + 1:
        raise BugCheck(
            *("CANCEL_STATE_IN_COMPLETED_IRP", address, routine),
            message="An IRP was cancelled whose cancel routine is set, but which no driver has "
            "any more: set the cancel routine to NULL before completing an IRP.",
        )
    irp["CancelIrql"] = old
    location = Struct(k.memory, "IO_STACK_LOCATION", irp["Tail.Overlay.CurrentStackLocation"])
    k.tell("irp-cancelled", record, routine)
    k.tell("callback-entered", "a cancel routine", routine, _DISPATCH_LEVEL)
    yield Call(routine, (location["DeviceObject"], address))
    if k.memory.u64(k.cancel_lock) == k.scheduler.current.number + 1:
        k.tell("cancel-lock-kept", routine)
        release(k, old)
    returned(k, "a cancel routine", routine, old)
    return 1


def cancel_request(k: Kernel, request: Request) -> Steps:
    """Cancel a request of the client; whether it was still to be completed."""
    if request.completed:
        return 0
    yield from cancel_irp(k, request.irp)
    return 1
