"""Hardware resources of a device, and the CM_RESOURCE_LISTs that drivers get them in.

WDK pages: "CM_RESOURCE_LIST structure (wdm.h)", "CM_PARTIAL_RESOURCE_DESCRIPTOR structure (wdm.h)".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .kernel import Kernel

_TAG: Final = int.from_bytes(b"PnpR", "little")
_PORT, _INTERRUPT, _MEMORY = 1, 2, 3  # CmResourceTypePort, …Interrupt, …Memory
_EXCLUSIVE, _SHARED = 1, 3  # CmResourceShareDeviceExclusive, …Shared
_ROOT_BUS: Final = 0xFFFF_FFFF  # InterfaceTypeUndefined


@dataclass(frozen=True, slots=True)
class Resources:
    """Physical ranges as (start, length), and an interrupt vector, 0 for none."""

    memory: tuple[tuple[int, int], ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    interrupt: int = 0


def level_of(vector: int) -> int:
    """The IRQL (DIRQL) of an interrupt vector: its upper four bits, 3 to 12."""
    return max(3, min(vector >> 4, 12))


def write(k: Kernel, resources: Resources) -> list[int]:
    """The raw and the translated list in guest memory; empty where there is nothing."""
    parts = [
        struct.pack("<BBHQI4x", kind, _EXCLUSIVE, 0, start, length)
        for kind, ranges in ((_PORT, resources.ports), (_MEMORY, resources.memory))
        for start, length in ranges
    ]
    if resources.interrupt:
        vector = resources.interrupt
        everywhere = k.scheduler.all_processors
        parts.append(
            struct.pack("<BBHIIQ", _INTERRUPT, _SHARED, 0, level_of(vector), vector, everywhere)
        )
    if not parts:
        return []
    blob = struct.pack("<IIIHHI", 1, _ROOT_BUS, 0, 1, 1, len(parts)) + b"".join(parts)
    lists = []
    for _ in range(2):
        address = k.pool.allocate(len(blob), _TAG)
        k.memory.write(address, blob)
        lists.append(address)
    return lists
