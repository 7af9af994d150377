"""System worker threads and what is queued for them.

WDK pages: "System Worker Threads", "ExQueueWorkItem function (wdm.h)", "WORK_QUEUE_TYPE". Each
priority has threads of its own; one more is made when an item finds none idle, up to a limit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .dispatcher import Waiting
from .execution import Call, Wait
from .locks import EndWait, park
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel
    from .thread import Thread

#: Most threads of one priority.
_MOST: Final = 16
#: The priority of the threads for CriticalWorkQueue, DelayedWorkQueue, HyperCriticalWorkQueue.
_PRIORITIES: Final = (13, 12, 15)


@dataclass(slots=True)
class WorkItem:
    """A queued item. ``device`` is the object that an I/O work item keeps alive, 0 for none."""

    address: int
    routine: int
    arguments: tuple[int, ...]
    owner: str
    device: int = 0


@dataclass(slots=True)
class _Pool:
    """The threads of one priority."""

    queue: deque[WorkItem] = field(default_factory=deque)
    threads: list[Thread] = field(default_factory=list)
    idle: list[Waiting] = field(default_factory=list)


class Workers:
    """All worker threads, and all items that are queued or run."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._pools: dict[int, _Pool] = {}
        #: Queued items by address; one may be queued again as soon as it runs.
        self.queued: dict[int, WorkItem] = {}
        #: What each worker thread runs now, by its ETHREAD.
        self.running: dict[int, WorkItem] = {}
        #: Who made an IO_WORKITEM, by address.
        self.io_items: dict[int, str] = {}
        self._drains: list[tuple[str, EndWait]] = []

    def queue(self, item: WorkItem, queue_type: int) -> None:
        """Queue an item. Bug check 0xE4 where it is queued already or the queue is none."""
        k = self._k
        if item.address in self.queued:
            raise BugCheck(
                *("WORKER_INVALID", 1, item.address, queue_type),
                message="A work item was queued that is queued already.",
            )
        custom = const("CustomPriorityWorkQueue")
        if 0 <= queue_type < len(_PRIORITIES):
            priority = _PRIORITIES[queue_type]
        elif custom <= queue_type < custom + 32:
            priority = queue_type - custom
        else:
            raise BugCheck(
                *("WORKER_INVALID", 6, item.address, queue_type),
                message=f"A work item was queued to the queue {queue_type}, which does not exist.",
            )
        if not k.memory.page(item.routine):
            raise BugCheck(
                *("WORKER_INVALID", 7, item.address, queue_type),
                message="A work item was queued whose routine is no address of code.",
            )
        pool = self._pools.setdefault(priority, _Pool())
        self.queued[item.address] = item
        pool.queue.append(item)
        if item.device:
            k.ob.reference(item.device)
        k.tell("work-item-queued", item)
        if pool.idle:
            k.dispatcher.end(pool.idle.pop(0), 0)
        elif len(pool.threads) < _MOST:
            thread = k.ps.create_thread(k.ps.system)
            thread.priority = thread.base_priority = priority
            pool.threads.append(thread)
            k.ps.start(thread, ExpWorkerThread(k, priority), "ExpWorkerThread")

    def next(self, priority: int, thread: Thread) -> WorkItem | None:
        """The next item for a worker thread, which runs it now."""
        queue = self._pools[priority].queue
        if not queue:
            return None
        item = queue.popleft()
        del self.queued[item.address]
        self.running[thread.object] = item
        self._k.tell("work-item-start", item)
        return item

    def rest(self, priority: int) -> Wait:
        """Nothing to do for the current thread."""
        waiting, wait = park(self._k, "a work item")
        self._pools[priority].idle.append(waiting)
        return wait

    def done(self, thread: Thread) -> None:
        """The current item of a worker thread has run."""
        k = self._k
        item = self.running.pop(thread.object)
        k.tell("work-item-done", item)
        if item.device:
            k.ob.dereference(item.device)
        for drain in [d for d in self._drains if not self.holds(d[0])]:
            self._drains.remove(drain)
            drain[1]()

    def holds(self, driver: str) -> bool:
        """Whether I/O work items of a driver keep its devices, and so its image, in memory."""
        items = (*self.queued.values(), *self.running.values())
        return any(item.device and item.owner == driver for item in items)

    def drain(self, driver: str) -> Wait | None:
        """Wait until that is over; None where it is."""
        if not self.holds(driver):
            return None
        action = EndWait(self._k)
        self._drains.append((driver, action))
        action.waiting, wait = park(self._k, f"the work items of {driver}")
        return wait


class ExpWorkerThread:
    """A worker thread's life. Can be copied (snapshots)."""

    __slots__ = ("_item", "_k", "_priority")

    def __init__(self, k: Kernel, priority: int) -> None:
        self._k = k
        self._priority = priority
        self._item: WorkItem | None = None

    def send(self, value: int | None) -> Call | Wait:
        k = self._k
        thread = k.ps.current
        if self._item is not None:
            self._check(self._item, thread)
            self._item = None
            k.workers.done(thread)
        self._item = k.workers.next(self._priority, thread)
        if self._item is None:
            return k.workers.rest(self._priority)
        return Call(self._item.routine, self._item.arguments)

    def _check(self, item: WorkItem, thread: Thread) -> None:
        k = self._k
        if k.cpu.irql:
            raise BugCheck(
                "WORKER_THREAD_RETURNED_AT_BAD_IRQL",
                *(item.routine, k.cpu.irql, item.arguments[-1], item.address),
                message=f"A work item's routine returned at IRQL {k.cpu.irql} instead of 0.",
            )
        if thread.apc_disable or thread.special_apc_disable:
            count = -thread.apc_disable & 0xFFFF | (-thread.special_apc_disable & 0xFFFF) << 16
            raise BugCheck(
                *("APC_INDEX_MISMATCH", item.routine, 0, count, 1),
                message="A work item's routine returned inside a critical or guarded region, or "
                "while it owned a mutex.",
            )
