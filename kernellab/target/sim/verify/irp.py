"""Completing IRPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from ..kernel.structs import Struct
from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.irp import Irp

#: IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL: for these
#: Information is a number of bytes.
_READ, _WRITE = 3, 4
_TRANSFERS: Final = (_READ, _WRITE, 0xE, 0xF)
_ERROR: Final = 3


class IrpNotCompleted(Rule):
    """Whoever sent the request would wait for ever."""

    name = "irp-not-completed"
    summary = "a dispatch routine neither completed an IRP, nor passed it on, nor said pending"
    page = "Windows drivers: Completing IRPs"

    @listens("irp-forgotten")
    def _forgotten(self, major: str, returned: str, driver: str) -> None:
        self.report(
            f"the dispatch routine for {major} returned {returned} without completing the IRP: "
            "the caller would wait for ever",
            driver,
        )


class CompletedWithPending(Rule):
    """STATUS_PENDING is what a dispatch routine returns, never how an IRP ends."""

    name = "completed-with-pending"
    summary = "an IRP was completed with STATUS_PENDING in its IoStatus"
    page = "Windows drivers: Completing IRPs; Bug Check 0xC9, 0x06"

    @listens("irp-completed-pending")
    def _completed(self, irp: int) -> None:
        self.report(
            "an IRP was completed with STATUS_PENDING in its IoStatus: set the final status first"
        )


class InformationTooLarge(Rule):
    """The I/O manager copies so many bytes out of the system buffer."""

    name = "information-too-large"
    summary = "an IRP was completed with more bytes of Information than its buffer has"
    page = "Windows drivers: Failure to Check the Size of Buffers"

    @listens("irp-information")
    def _completed(self, information: int, capacity: int) -> None:
        self.report(
            f"an IRP was completed with Information {information}, but the caller's "
            f"buffer has {capacity} bytes"
        )


class StatusAndInformation(Rule):
    """A request that has failed has transferred nothing; no transfer is longer than asked for."""

    name = "status-and-information"
    summary = "an IRP was completed with a status and an Information that contradict each other"
    page = "Windows drivers: Setting the I/O Status Block in an IRP"

    @listens("irp-completed")
    def _completed(self, irp: Irp, status: int, cancel_routine: int) -> None:
        if irp.major not in _TRANSFERS:
            return
        entry = Struct(self.k.memory, "IRP", irp.address)
        information = entry["IoStatus.Information"]
        if status >> 30 == _ERROR and information:
            self.report(
                f"an IRP was completed with {ntdata.status_name(status)} and Information "
                f"{information}: what has failed has transferred 0 bytes"
            )
        elif irp.major == _WRITE and entry["CurrentLocation"] <= entry["StackCount"]:
            here = entry["Tail.Overlay.CurrentStackLocation"]
            asked = Struct(self.k.memory, "IO_STACK_LOCATION", here)["Parameters.Write.Length"]
            if information > asked:
                self.report(
                    f"an IRP_MJ_WRITE of {asked} bytes was completed with Information "
                    f"{information}, more than was to be written"
                )
