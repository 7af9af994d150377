"""Device queues (KDEVICE_QUEUE): entries that wait while a device is busy.

The state is in guest memory, as in NT. WDK pages: "Introduction to Device Queues",
"KeInsertDeviceQueue function (wdm.h)", "KeRemoveByKeyDeviceQueue function (ntifs.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .structs import Struct, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

#: DeviceQueueObject of KOBJECTS.
_TYPE: Final = 20


def initialize(k: Kernel, queue: int) -> None:
    """Write an empty queue that is not busy."""
    k.memory.write(queue, bytes(size_of("KDEVICE_QUEUE")))
    entry = Struct(k.memory, "KDEVICE_QUEUE", queue)
    entry["Type"] = _TYPE
    entry["Size"] = size_of("KDEVICE_QUEUE")
    head = entry.at("DeviceListHead")
    k.memory.set_u64(head, head)
    k.memory.set_u64(head + 8, head)


def _check(k: Kernel, queue: int) -> Struct:
    entry = Struct(k.memory, "KDEVICE_QUEUE", queue)
    if entry["Type"] != _TYPE:
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", 0x3, queue),
            message=f"{queue:#x} was used as a device queue: it was not initialized with "
            "KeInitializeDeviceQueue, or was overwritten.",
        )
    return entry


def _insert(k: Kernel, before: int, entry: int) -> None:
    """Link a list entry in front of another."""
    last = k.memory.u64(before + 8)
    k.memory.set_u64(entry, before)
    k.memory.set_u64(entry + 8, last)
    k.memory.set_u64(last, entry)
    k.memory.set_u64(before + 8, entry)


def _unlink(k: Kernel, entry: int) -> None:
    following, last = k.memory.u64(entry), k.memory.u64(entry + 8)
    if k.memory.u64(following + 8) != entry or k.memory.u64(last) != entry:
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", 0x3, entry),
            message="A device queue's list is corrupt: one of its entries was overwritten, freed "
            "or inserted twice.",
        )
    k.memory.set_u64(last, following)
    k.memory.set_u64(following + 8, last)


def insert(k: Kernel, queue: int, entry: int, key: int | None) -> bool:
    """Queue an entry, sorted where a key is given; False where the queue was not busy.

    Then it is busy from now on, and the entry is not queued: the caller processes it.
    """
    head = _check(k, queue)
    item = Struct(k.memory, "KDEVICE_QUEUE_ENTRY", entry)
    item["SortKey"] = key or 0
    if not head["Busy"]:
        head["Busy"] = 1
        item["Inserted"] = 0
        return False
    at = list_head = head.at("DeviceListHead")
    if key is not None:
        at = k.memory.u64(list_head)
        while at != list_head and Struct(k.memory, "KDEVICE_QUEUE_ENTRY", at)["SortKey"] <= key:
            at = k.memory.u64(at)
    _insert(k, at, entry)
    item["Inserted"] = 1
    return True


def remove(k: Kernel, queue: int, key: int | None = None) -> int:
    """The next entry: the first, or the first whose key is ``key`` or higher; 0 and idle at none.

    Where every key is lower, it goes on from the start of the queue.
    """
    head = _check(k, queue)
    list_head = head.at("DeviceListHead")
    first = k.memory.u64(list_head)
    if first == list_head:
        head["Busy"] = 0
        return 0
    found = first
    if key is not None:
        while (
            found != list_head and Struct(k.memory, "KDEVICE_QUEUE_ENTRY", found)["SortKey"] < key
        ):
            found = k.memory.u64(found)
        if found == list_head:
            found = first
    _unlink(k, found)
    Struct(k.memory, "KDEVICE_QUEUE_ENTRY", found)["Inserted"] = 0
    return found


def remove_entry(k: Kernel, queue: int, entry: int) -> bool:
    """Take one entry out; whether it was in."""
    _check(k, queue)
    item = Struct(k.memory, "KDEVICE_QUEUE_ENTRY", entry)
    if not item["Inserted"]:
        return False
    _unlink(k, entry)
    item["Inserted"] = 0
    return True


def busy(k: Kernel, queue: int) -> bool:
    """Whether an entry is being processed."""
    return bool(_check(k, queue)["Busy"])
