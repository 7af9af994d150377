"""DPCs and raised IRQLs that last too long: "Bug Check 0x133: DPC_WATCHDOG_VIOLATION".

Virtual time says how long where it passes: with each call into the kernel, and with instructions
while several things run. Code that does neither has no virtual time; it is stopped by the limit of
real time, and what it does after that says whether it would ever end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..machine.cpu import Stop
from ..machine.memory import MemoryFault
from .bugcheck import BugCheck
from .execution import RaisedStatus

if TYPE_CHECKING:
    from .kernel import Kernel

_DISPATCH_LEVEL: Final = 2
_NAME: Final = "DPC_WATCHDOG_VIOLATION"
#: A clock tick, units; how many of them a DPC, and DISPATCH_LEVEL, may last: what Windows has.
TICK: Final = 156_250
DPC_TICKS: Final = 0x500
RAISED_TICKS: Final = 0x1E00
#: Instructions that code which was stopped goes on for, in so many pieces.
_PIECES: Final = 100
_PIECE: Final = 100_000


def check(k: Kernel) -> None:
    """Bug check 0x133 where a DPC, or a raised IRQL, lasts as long as Windows allows."""
    p, now = k.scheduler.current, k.now
    if p.in_dpc:
        ticks = (now - p.dpc_at) // TICK
        if ticks > DPC_TICKS:
            raise BugCheck(
                *(_NAME, 0, DPC_TICKS + 1, DPC_TICKS),
                message=f"A DPC runs for {ticks * TICK // 10_000_000} seconds already: "
                "nothing else can run on its processor.",
            )
    elif k.cpu.irql >= _DISPATCH_LEVEL and now - p.raised_at > RAISED_TICKS * TICK:
        raise BugCheck(
            *(_NAME, 1, RAISED_TICKS),
            message=f"The IRQL is {k.cpu.irql} for two minutes already: nothing else can "
            "run on this processor.",
        )


def endless(k: Kernel) -> BugCheck | None:
    """The bug check that is ahead of code which the time limit stopped; None where none is.

    It is let go on for ten million instructions: without a call, and without lowering the IRQL,
    it is taken to be a loop that never ends.
    """
    cpu, p, level, now = k.cpu, k.scheduler.current, k.cpu.irql, k.now
    if level < _DISPATCH_LEVEL or not k.flow.in_guest:
        return None
    cpu.clear()
    try:
        for _ in range(_PIECES):
            if cpu.run(_PIECE) is not Stop.SLICE or cpu.irql != level or k.now != now:
                return None
    except (BugCheck, MemoryFault, RaisedStatus):
        return None
    loop = "makes no call and comes to no end"
    if p.in_dpc or p.isr_flow is not None:
        what = "An interrupt service routine" if p.isr_flow is not None else "A DPC"
        return BugCheck(
            *(_NAME, 0, DPC_TICKS + 1, DPC_TICKS),
            message=f"{what} {loop}: nothing else can run on its processor.",
        )
    return BugCheck(
        *(_NAME, 1, RAISED_TICKS),
        message=f"Code at IRQL {level} {loop}: nothing else can run on this processor.",
    )
