"""IRQLs: of calls, and of returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.pool import Allocation

_NAMES: Final = {0: "PASSIVE_LEVEL", 1: "APC_LEVEL", 2: "DISPATCH_LEVEL"}
_APC_LEVEL: Final = 1


def level(irql: int) -> str:
    """An IRQL as a person reads it: ``DISPATCH_LEVEL (2)``."""
    return f"{_NAMES[irql]} ({irql})" if irql in _NAMES else str(irql)


class IrqlTooHigh(Rule):
    """Each routine's page says at which IRQL it may be called."""

    name = "irql-too-high"
    summary = "a routine was called, or paged pool used, at too high an IRQL"
    page = "Windows drivers: IRQL Checking; Bug Check 0xC4, 0x01 to 0x12, 0x30"

    @listens("called-above-irql")
    def _called(self, routine: str, highest: int) -> None:
        self.report(
            f"{routine} was called at IRQL {level(self.k.irql)}; it may be called at "
            f"{level(highest)} at most"
        )

    @listens("paged-pool-allocated")
    def _allocated(self, allocation: Allocation) -> None:
        if self.k.irql > _APC_LEVEL:
            self._paged("allocated", allocation)

    @listens("paged-pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        if self.k.irql > _APC_LEVEL:
            self._paged("freed", allocation)

    def _paged(self, what: str, allocation: Allocation) -> None:
        self.report(
            f"{allocation.size} bytes of paged pool were {what} at IRQL {level(self.k.irql)}; "
            f"that may be done at {level(_APC_LEVEL)} at most"
        )


class IrqlTooLow(Rule):
    """Routines for code that is at DISPATCH_LEVEL already do not raise it themselves."""

    name = "irql-too-low"
    summary = "a routine was called at too low an IRQL"
    page = 'WDK: "KeAcquireSpinLockAtDpcLevel function (wdm.h)"; Bug Check 0xC4, 0x40 to 0x42'

    @listens("called-below-irql")
    def _called(self, routine: str, lowest: int) -> None:
        self.report(
            f"{routine} was called at IRQL {level(self.k.irql)}; it may be called at "
            f"{level(lowest)} and above"
        )


class IrqlNotRestored(Rule):
    """A driver's routine returns at the IRQL that it was called at."""

    name = "irql-not-restored"
    summary = "a routine of the driver returned at another IRQL than it was called at"
    page = "Windows drivers: Managing Hardware Priorities"

    @listens("callback-returned")
    def _returned(self, what: str, routine: int, irql: int) -> None:
        if self.k.irql != irql:
            self.report(
                f"{what} returned at IRQL {level(self.k.irql)}; it was called at {level(irql)}",
                self.k.driver_at(routine),
            )
