"""KDPC objects: from a driver's memory to a processor's queue.

WDK pages "Introduction to DPC Objects", "Organization of DPC Queues".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .structs import Struct
from .thread import Dpc

if TYPE_CHECKING:
    from .kernel import Kernel

_HIGH: Final = 2
#: KDPC.Number counts from here when a driver chose the processor.
TARGETED: Final = 0x500


def queue_dpc(k: Kernel, obj: int, first: int, second: int) -> bool:
    """Queue a KDPC; its DpcData is not null while it is queued."""
    entry = Struct(k.memory, "KDPC", obj)
    if entry["DpcData"]:
        return False
    number = entry["Number"]
    processor = number - TARGETED if number >= TARGETED else None
    entry["DpcData"] = obj
    entry["SystemArgument1"], entry["SystemArgument2"] = first, second
    dpc = Dpc(obj, entry["DeferredRoutine"], (obj, entry["DeferredContext"], first, second))
    k.scheduler.queue_dpc(dpc, processor, first=entry["Importance"] == _HIGH)
    return True
