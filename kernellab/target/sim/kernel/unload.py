"""What is looked at when a driver is unloaded, and what is kept of it afterwards.

Windows looks for timers and DPCs in memory that goes away ("Bug Check 0xC7: TIMER_OR_DPC_INVALID").
All else that still refers to the image is noticed when it is used ("Bug Check 0xCE:
DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "Bug Check 0xD4:
SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE
from .bugcheck import BugCheck
from .structs import Struct

if TYPE_CHECKING:
    from .driver import LoadedDriver
    from .kernel import Kernel

#: So many unloaded drivers are remembered; Windows keeps 50.
_REMEMBERED: Final = 16

# TIMER_OR_DPC_INVALID's first parameter.
_TIMER, _DPC, _ROUTINE = 0, 1, 2


def remember(k: Kernel, driver: LoadedDriver) -> None:
    """Keep where an unloaded image was, to name what is called there later."""
    k.unloaded.append(driver.module)
    del k.unloaded[:-_REMEMBERED]


def check_timers(k: Kernel, driver: LoadedDriver) -> None:
    """Bug check 0xC7 where a timer that is set, or a queued DPC, is in memory that goes away."""
    spans = list(_memory(k, driver))
    for timer in k.timers.set_timers.values():
        for span in spans:
            if timer.object in span:
                raise _left(_TIMER, timer.object, span, driver, "a timer that is still set")
        if timer.dpc:
            routine = Struct(k.memory, "KDPC", timer.dpc)["DeferredRoutine"]
            if routine in spans[0]:
                what = "a timer that is still set and has a DPC of the driver's"
                raise _left(_ROUTINE, routine, spans[0], driver, what)
    for processor in k.scheduler.processors:
        for dpc in processor.dpcs:
            for span in spans:
                if dpc.object in span:
                    raise _left(_DPC, dpc.object, span, driver, "a DPC that is still queued")
            if dpc.routine in spans[0]:
                what = "a DPC that is still queued"
                raise _left(_ROUTINE, dpc.routine, spans[0], driver, what)


def _memory(k: Kernel, driver: LoadedDriver) -> Iterator[range]:
    yield range(driver.base, driver.base + driver.size)
    for allocation in k.pool.owned_by(driver.name):
        yield range(allocation.first, allocation.first + allocation.pages * PAGE)


def _left(kind: int, address: int, span: range, driver: LoadedDriver, what: str) -> BugCheck:
    return BugCheck(
        *("TIMER_OR_DPC_INVALID", kind, address, span.start, span.stop),
        message=f"{driver.name} was unloaded and leaves {what}: cancel timers in DriverUnload "
        "(KeCancelTimer), and wait for DPCs that are on their way (KeFlushQueuedDpcs).",
    )
