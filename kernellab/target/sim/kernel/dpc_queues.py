"""The processors' DPC queues, and who waits for them to run dry.

WDK page "Organization of DPC Queues". What runs the DPCs is :mod:`.scheduler`, and a thread of
each processor for threaded ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .thread import Dpc

if TYPE_CHECKING:
    from .kernel import Kernel
    from .scheduler import Scheduler


class DpcQueues:
    """DPCs are counted in the order they are queued, so that it is known which came before."""

    def __init__(self, k: Kernel, scheduler: Scheduler) -> None:
        self._k = k
        self._scheduler = scheduler
        self._numbers = 0
        #: What is to be done when all DPCs up to a number have run.
        self._flushes: list[tuple[int, Callable[[], None]]] = []

    def queue(
        self, dpc: Dpc, processor: int | None = None, *, first: bool = False, threaded: bool = False
    ) -> int:
        """Queue a DPC on a processor, the current one unless named; on which."""
        scheduler = self._scheduler
        target = scheduler.current if processor is None else scheduler.processors[processor]
        self._numbers += 1
        dpc.number = self._numbers
        queue = target.threaded if threaded else target.dpcs
        if first:
            queue.appendleft(dpc)
        else:
            queue.append(dpc)
        self._k.cpu.attention = True
        return target.number

    def remove(self, obj: int) -> bool:
        """Take a KDPC out of whatever queue it is in; whether it was in one."""
        for processor in self._scheduler.processors:
            for queue in (processor.dpcs, processor.threaded):
                for dpc in queue:
                    if dpc.object == obj:
                        queue.remove(dpc)
                        self.done()
                        return True
        return False

    def pending(self) -> list[Dpc]:
        """All that are queued or run now."""
        return [
            dpc
            for p in self._scheduler.processors
            for dpc in (*p.dpcs, *p.threaded, p.dpc, p.threaded_dpc)
            if dpc is not None
        ]

    def afterwards(self, action: Callable[[], None]) -> bool:
        """Call ``action`` once all that are pending now are done; False where none are."""
        if not self.pending():
            return False
        self._flushes.append((self._numbers, action))
        return True

    def done(self) -> None:
        """A DPC has run, or was taken from its queue: whoever waited for the last one goes on."""
        if not self._flushes:
            return
        oldest = min((dpc.number for dpc in self.pending()), default=self._numbers + 1)
        due = [flush for flush in self._flushes if flush[0] < oldest]
        for flush in due:
            self._flushes.remove(flush)
            flush[1]()
