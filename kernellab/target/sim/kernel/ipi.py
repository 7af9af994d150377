"""KeIpiGenericCall: a routine that all processors run at once, at IPI_LEVEL.

Each processor is interrupted, waits at a barrier until all are there, and then calls the routine.
One call is under way at a time: the next waits below IPI_LEVEL, so that it takes part in the first.
WDK pages: "KeIpiGenericCall function (wdm.h)", "KIPI_BROADCAST_WORKER callback function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .execution import Call, Spin, Steps

if TYPE_CHECKING:
    from .kernel import Kernel

IPI_LEVEL: Final = 14
#: What the next caller waits at, unless it is higher already: above all devices' (SYNCH_LEVEL).
_WAIT_LEVEL: Final = 12


@dataclass(slots=True, eq=False)
class Broadcast:
    """One call: how many processors are at the barrier, and how many have run the routine."""

    routine: int
    context: int
    processors: int
    arrived: int = 0
    finished: int = 0


class Idle:
    """Whether no call is under way."""

    __slots__ = ("_k",)

    def __init__(self, k: Kernel) -> None:
        self._k = k

    def __call__(self) -> bool:
        return self._k.interrupts.broadcast is None


class Arrived:
    """Whether all processors are at the barrier."""

    __slots__ = ("_broadcast",)

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def __call__(self) -> bool:
        return self._broadcast.arrived == self._broadcast.processors


class Finished:
    """Whether all processors have run the routine."""

    __slots__ = ("_broadcast",)

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def __call__(self) -> bool:
        return self._broadcast.finished == self._broadcast.processors


def call(k: Kernel, routine: int, context: int) -> Steps:
    """What the caller's processor does; the value is what the routine returned there."""
    before = k.cpu.irql
    k.scheduler.set_irql(max(before, _WAIT_LEVEL))
    if k.interrupts.broadcast is not None:
        yield Spin(Idle(k), "another KeIpiGenericCall")
    broadcast = Broadcast(routine, context, len(k.scheduler.processors))
    k.interrupts.broadcast = broadcast
    k.scheduler.set_irql(IPI_LEVEL)
    for processor in k.scheduler.processors:
        if processor is not k.scheduler.current:
            k.interrupts.broadcasts[processor.number] = broadcast
    result = yield from take_part(k, broadcast)
    if not Finished(broadcast)():
        yield Spin(Finished(broadcast), "all processors to run the routine of KeIpiGenericCall")
    k.interrupts.broadcast = None
    k.scheduler.set_irql(before)
    return result


def take_part(k: Kernel, broadcast: Broadcast) -> Steps:
    """What each processor does: wait for the others, then call the routine."""
    broadcast.arrived += 1
    if not Arrived(broadcast)():
        yield Spin(Arrived(broadcast), "all processors to come to KeIpiGenericCall")
    result = yield Call(broadcast.routine, (broadcast.context,))
    k.cpu.irql = IPI_LEVEL
    broadcast.finished += 1
    return result
