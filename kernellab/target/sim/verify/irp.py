"""Completing IRPs."""

from __future__ import annotations

from .base import Rule, listens


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
