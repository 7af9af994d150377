"""Code that keeps a processor for too long. Times are virtual."""

from __future__ import annotations

from typing import Final

from .base import Rule, Verifier, listens

_UNITS_A_US: Final = 10
#: "KeStallExecutionProcessor function (ntifs.h)": 50 microseconds at most.
_LONGEST_STALL: Final = 50
#: DPCs should take 100 us, and locks be held for 25: ten and forty times that is surely wrong,
#: however many processors took turns meanwhile.
_LONGEST: Final = 1000


class StallTooLong(Rule):
    """A stall does nothing but wait, and keeps the processor from all others."""

    name = "stall-too-long"
    summary = "KeStallExecutionProcessor was called for more than 50 microseconds"
    page = 'WDK: "KeStallExecutionProcessor function (ntifs.h)"'

    @listens("stalled")
    def _stalled(self, microseconds: int) -> None:
        if microseconds > _LONGEST_STALL:
            self.report(
                f"the processor was stalled for {microseconds:,} microseconds; "
                f"{_LONGEST_STALL} are the most: a thread can wait instead, others a timer"
            )


class _Longest(Rule):
    """Keeps when something began, by the flow that it is in."""

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._began: dict[int, int] = {}

    def _begin(self) -> None:
        self._began[self.k.flow.limit] = self.k.now

    def _end(self) -> int:
        """Microseconds since it began."""
        began = self._began.pop(self.k.flow.limit, self.k.now)
        return (self.k.now - began) // _UNITS_A_US


class DpcTooLong(_Longest):
    """All threads of a processor wait while a DPC runs on it."""

    name = "dpc-too-long"
    summary = "a DPC ran for more than 1 ms"
    page = "Windows drivers: Guidelines for Writing DPC Routines; Bug Check 0x133"

    @listens("callback-entered")
    def _entered(self, what: str, routine: int, irql: int) -> None:
        if what == "a DPC":
            self._begin()

    @listens("callback-returned")
    def _returned(self, what: str, routine: int, irql: int) -> None:
        if what == "a DPC" and (took := self._end()) > _LONGEST:
            self.report(
                f"a DPC ran for {took:,} microseconds; 100 should be enough: "
                "leave long work to a work item or a thread",
                self.k.driver_at(routine),
                context=self.at(routine),
            )


class RaisedTooLong(_Longest):
    """Nothing else runs on a processor at DISPATCH_LEVEL and above."""

    name = "raised-too-long"
    summary = "the IRQL was kept at DISPATCH_LEVEL or above for more than 1 ms"
    page = "Windows drivers: Introduction to Spin Locks; Bug Check 0x133"

    @listens("irql-raised")
    def _raised(self) -> None:
        self._begin()

    @listens("irql-lowered")
    def _lowered(self) -> None:
        if (took := self._end()) > _LONGEST:
            self.report(
                f"the IRQL was at DISPATCH_LEVEL or above for {took:,} microseconds; "
                "a spin lock should be held for 25 at most"
            )
