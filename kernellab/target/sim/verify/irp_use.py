"""What drivers do with IRPs, devices and remove locks besides completing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .base import Rule, ToldRule, listens

if TYPE_CHECKING:
    from ..kernel.irp import Irp

_STATUS_PENDING: Final = 0x103


class WrongPending(Rule):
    """The mark and the returned status say the same, or the caller waits for nothing or twice."""

    name = "wrong-pending"
    summary = "IoMarkIrpPending and what the dispatch routine returned do not agree"
    page = 'WDK: "IoMarkIrpPending function (wdm.h)"'

    @listens("dispatch-returned")
    def _returned(self, driver: str, irp: Irp, routine: int, status: int, marked: bool) -> None:
        if marked and status != _STATUS_PENDING:
            name = ntdata.status_name(status)
            message = f"marked an IRP pending, and returned {name} instead of STATUS_PENDING"
        elif not marked and status == _STATUS_PENDING:
            message = "returned STATUS_PENDING without marking the IRP pending (IoMarkIrpPending)"
        else:
            return
        self.report(f"a dispatch routine {message}", driver, context=self.at(routine))


class CancelRoutineSet(Rule):
    """A cancel routine that is still set can be called for an IRP that is gone."""

    name = "cancel-routine-set"
    summary = "an IRP was completed while its cancel routine was set"
    page = "Bug Check 0xC9: DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x07"

    @listens("irp-completed")
    def _completed(self, irp: Irp, status: int, cancel_routine: int) -> None:
        if cancel_routine:
            self.report(
                "an IRP was completed while its cancel routine is set: take it away with "
                "IoSetCancelRoutine(Irp, NULL) first, and leave the IRP alone where that is NULL"
            )


class CancelLockHeld(Rule):
    """IoCancelIrp calls a cancel routine with the lock held, and the routine releases it."""

    name = "cancel-lock-held"
    summary = "a cancel routine returned without releasing the cancel spin lock"
    page = 'WDK: "Implementing a Cancel Routine"'

    @listens("cancel-lock-kept")
    def _kept(self, routine: int) -> None:
        self.report(
            "a cancel routine returned without releasing the cancel spin lock "
            "(IoReleaseCancelSpinLock with the IRP's CancelIrql)",
            self.k.driver_at(routine),
            context=self.at(routine),
        )


class IrpNotCancelled(Rule):
    """Nobody can use what a request of a closed handle brings."""

    name = "irp-not-cancelled"
    summary = "a request stays pending after its handle was closed"
    page = "Windows drivers: DispatchCleanup Routines"

    @listens("irp-left")
    def _left(self, path: str, what: str, driver: str) -> None:
        self.report(
            f"the handle to {path} was closed, and {what} is still pending: IRP_MJ_CLEANUP or a "
            "cancel routine has to complete it",
            driver,
        )


class IrpMisused(ToldRule):
    """Each way to make an IRP has its own way to reuse and free it."""

    name = "irp-misused"
    summary = "an IRP was initialized, reused or left to the I/O manager as it must not be"
    page = 'WDK: "IoReuseIrp function (wdm.h)", "IoAllocateIrp function (wdm.h)"'


class DeviceDeletedAttached(ToldRule):
    """Requests would still be passed on to or from a device object that is gone."""

    name = "device-deleted-attached"
    summary = "a device object was deleted while it was part of a stack"
    page = 'WDK: "IoDetachDevice function (wdm.h)", "IoDeleteDevice function (wdm.h)"'


class RemoveLockReleased(Rule):
    """Each acquisition is released once, by IoReleaseRemoveLock or the last with waiting."""

    name = "remove-lock-released"
    summary = "a remove lock was released more often than it was acquired"
    page = 'WDK: "IoReleaseRemoveLock macro (wdm.h)"'

    @listens("remove-lock-released-twice")
    def _released(self, lock: int) -> None:
        self.report("a remove lock was released more often than it was acquired")
