"""Timers, work items and resources: left at unload, or in memory that is freed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..machine.memory import PAGE
from .base import Rule, Verifier, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.ex_timers import ExTimer
    from ..kernel.execution import Context
    from ..kernel.kernel import Kernel
    from ..kernel.pool import Allocation
    from ..kernel.timers import Timer


def _in_use(k: Kernel, memory: range) -> Iterator[tuple[str, str, int]]:
    """What is in this memory and still known to the kernel: what, how to end it, where."""
    for address in k.timers.set_timers:
        if address in memory:
            yield "a timer that is set", "cancel it (KeCancelTimer)", address
    for processor in k.scheduler.processors:
        for dpc in processor.dpcs:
            if dpc.object in memory:
                yield "a DPC that is queued", "wait for it (KeFlushQueuedDpcs)", dpc.object
    for address in k.workers.queued:
        if address in memory:
            yield "a work item that is queued", "wait until it has run", address
    for address in k.locks.resources:
        if address in memory:
            yield "an executive resource", "delete it (ExDeleteResourceLite)", address
    for address in k.dispatcher.waiters:
        if address in memory:
            yield "an object that a thread waits for", "wake the thread and wait for it", address


class FreedInUse(Rule):
    """The kernel would go on to read and write memory that is another's by then."""

    name = "freed-in-use"
    summary = "memory was freed that holds a set timer, queued DPC or work item, or a resource"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0x15 to 0x17; Bug Check 0xC7"

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._set: dict[int, Context | None] = {}

    @listens("timer-set")
    def _timer_set(self, timer: Timer) -> None:
        self._set[timer.object] = self.keep()

    @listens("pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        k = self.k
        known = k.timers.set_timers or k.workers.queued or k.locks.resources
        if not (known or k.dispatcher.waiters):
            for processor in k.scheduler.processors:  # written out: each free comes here
                if processor.dpcs:
                    break
            else:
                return
        memory = range(allocation.address, allocation.address + allocation.size)
        for what, how, address in _in_use(k, memory):
            self.report(
                f"pool with tag '{allocation.tag_text}' was freed that holds {what}, at offset "
                f"{address - allocation.address}: {how} first",
                related=[
                    ("the timer was set here", self._set.get(address)),
                    ("allocated here", k.pool.stacks(allocation)[0]),
                ],
            )


class LeakResource(Rule):
    """All executive resources are on a list of the kernel's."""

    name = "leak-resource"
    summary = "an executive resource was not deleted before the driver was unloaded"
    page = 'WDK: "ExDeleteResourceLite function (wdm.h)"'

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        spans = [range(driver.base, driver.base + driver.size)]
        for allocation in self.k.pool.owned_by(driver.name):
            spans.append(range(allocation.first, allocation.first + allocation.pages * PAGE))
        for address in self.k.locks.resources:
            if any(address in span for span in spans):
                self.report(
                    f"the executive resource at {address:#x} was not deleted "
                    "(ExDeleteResourceLite)",
                    driver.name,
                )


class LeakTimer(Rule):
    """Timers in the driver's own memory that are still set are bug check 0xC7."""

    name = "leak-timer"
    summary = "a timer of ExAllocateTimer was not deleted before the driver was unloaded"
    page = 'WDK: "ExDeleteTimer function (wdm.h)"'

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._allocated: dict[int, Context | None] = {}

    @listens("ex-timer-allocated")
    def _timer_allocated(self, timer: ExTimer) -> None:
        self._allocated[timer.address] = self.keep()

    @listens("ex-timer-deleted")
    def _timer_deleted(self, timer: ExTimer) -> None:
        self._allocated.pop(timer.address, None)

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for timer in self.k.ex_timers.timers.values():
            if timer.owner == driver.name and not timer.deleted:
                self.report(
                    "a timer of ExAllocateTimer was not deleted (ExDeleteTimer)",
                    driver.name,
                    context=self._allocated.get(timer.address),
                )


class LeakWorkItem(Rule):
    """Work items of ExQueueWorkItem must have run; those of IoAllocateWorkItem be freed."""

    name = "leak-work-item"
    summary = "a work item was not freed, or had not run, when the driver was unloaded"
    page = 'WDK: "IoFreeWorkItem function (wdm.h)"; Bug Check 0xCE'

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._allocated: dict[int, Context | None] = {}

    @listens("work-item-allocated")
    def _item_allocated(self, item: int, owner: str) -> None:
        self._allocated[item] = self.keep()

    @listens("work-item-freed")
    def _item_freed(self, item: int) -> None:
        self._allocated.pop(item, None)

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        workers = self.k.workers
        for address, owner in workers.io_items.items():
            if owner == driver.name:
                self.report(
                    "a work item was not freed (IoFreeWorkItem)",
                    driver.name,
                    context=self._allocated.get(address),
                )
        for item in (*workers.queued.values(), *workers.running.values()):
            if item.owner == driver.name and item.address not in workers.io_items:
                self.report(
                    f"the work item at {item.address:#x} is still queued or runs: its code is gone",
                    driver.name,
                )
