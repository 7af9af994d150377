"""KDPC objects: from a driver's memory to a processor's queue.

WDK pages "Introduction to DPC Objects", "Organization of DPC Queues".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .dispatcher import Waiting
from .execution import Call, Wait
from .locks import park
from .structs import Struct
from .thread import Dpc, Processor

if TYPE_CHECKING:
    from .kernel import Kernel

_HIGH: Final = 2
#: KDPC.Number counts from here when a driver chose the processor.
TARGETED: Final = 0x500
#: KOBJECTS in the type byte of a KDPC.
DPC_OBJECT, THREADED_DPC_OBJECT = 19, 24
#: Threaded DPCs run before every other thread of their processor.
_HIGHEST_PRIORITY: Final = 31


def queue_dpc(k: Kernel, obj: int, first: int, second: int, *, argument: int = 0) -> bool:
    """Queue a KDPC; its DpcData is not null while it is queued.

    ``argument`` is what its routine gets in place of the KDPC's address.
    """
    entry = Struct(k.memory, "KDPC", obj)
    if entry["DpcData"]:
        return False
    number = entry["Number"]
    processor = number - TARGETED if number >= TARGETED else None
    entry["DpcData"] = obj
    entry["SystemArgument1"], entry["SystemArgument2"] = first, second
    arguments = (argument or obj, entry["DeferredContext"], first, second)
    dpc = Dpc(obj, entry["DeferredRoutine"], arguments)
    urgent = entry["Importance"] == _HIGH
    if entry["Type"] == THREADED_DPC_OBJECT:
        _queue_threaded(k, dpc, processor, first=urgent)
    else:
        k.scheduler.dpcs.queue(dpc, processor, first=urgent)
    k.tell("dpc-queued", dpc)
    return True


def set_target(k: Kernel, obj: int, processor: int) -> None:
    """Choose the processor that a KDPC is queued on. Bug check 0xC7 where there is none such."""
    count = len(k.scheduler.processors)
    if not 0 <= processor < count:
        raise BugCheck(
            *("TIMER_OR_DPC_INVALID", 3, obj, processor, count),
            message=f"A DPC was targeted at processor {processor}; this machine has {count}.",
        )
    Struct(k.memory, "KDPC", obj)["Number"] = TARGETED + processor


def _queue_threaded(k: Kernel, dpc: Dpc, processor: int | None, *, first: bool) -> None:
    number = k.scheduler.dpcs.queue(dpc, processor, first=first, threaded=True)
    p = k.scheduler.processors[number]
    thread = p.threaded_thread
    if thread is None:
        p.threaded_thread = thread = k.ps.create_thread(k.ps.system)
        thread.priority = thread.base_priority = _HIGHEST_PRIORITY
        thread.affinity = 1 << p.number
        k.ps.start(thread, KiExecuteDpc(k, p), "KiExecuteDpc")
    elif p.threaded_dpc is None and isinstance(thread.waiting_on, Waiting):
        k.dispatcher.end(thread.waiting_on, 0)


class KiExecuteDpc:
    """What a processor's thread for threaded DPCs does. Can be copied (snapshots)."""

    __slots__ = ("_k", "_p")

    def __init__(self, k: Kernel, p: Processor) -> None:
        self._k = k
        self._p = p

    def send(self, value: int | None) -> Call | Wait:
        k, p = self._k, self._p
        if p.threaded_dpc is not None:
            k.tell("callback-returned", "a threaded DPC", p.threaded_dpc.routine, 0)
            if k.cpu.irql:
                k.scheduler.set_irql(0)
            p.threaded_dpc = None
            k.scheduler.dpcs.done()
        if not p.threaded:
            return park(k, "a threaded DPC")[1]
        p.threaded_dpc = dpc = p.threaded.popleft()
        Struct(k.memory, "KDPC", dpc.object)["DpcData"] = 0
        k.tell("dpc-start", dpc)
        return Call(dpc.routine, dpc.arguments)
