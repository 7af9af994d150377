"""Device queues. WDK page: "Introduction to Device Queues"."""

from __future__ import annotations

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.structs import Struct, size_of

from .conftest import Guest


@pytest.fixture
def queue(guest: Guest) -> int:
    address = guest.room(size_of("KDEVICE_QUEUE"))
    guest.call("KeInitializeDeviceQueue", address)
    return address


def entries(guest: Guest, count: int) -> list[int]:
    return [guest.room(size_of("KDEVICE_QUEUE_ENTRY")) for _ in range(count)]


def test_the_first_finds_the_device_free(guest: Guest, queue: int) -> None:
    """WDK: "KeInsertDeviceQueue function (ntifs.h)": FALSE, and the queue is busy then."""
    first, second, third = entries(guest, 3)
    assert [guest.call("KeInsertDeviceQueue", queue, e) for e in (first, second, third)] == [
        *(0, 1, 1)
    ]
    assert [guest.call("KeRemoveDeviceQueue", queue) for _ in range(3)] == [second, third, 0]
    assert not Struct(guest.k.memory, "KDEVICE_QUEUE", queue)["Busy"]
    assert guest.call("KeInsertDeviceQueue", queue, third) == 0


def test_keys_sort_the_queue(guest: Guest, queue: int) -> None:
    """WDK: "KeRemoveByKeyDeviceQueue function (ntifs.h)": from the key on, then from the start."""
    a, b, c, d = entries(guest, 4)
    for entry, key in ((a, 0), (b, 30), (c, 10), (d, 20)):
        guest.call("KeInsertByKeyDeviceQueue", queue, entry, key)
    assert guest.call("KeRemoveByKeyDeviceQueue", queue, 15) == d
    assert guest.call("KeRemoveByKeyDeviceQueueIfBusy", queue, 40) == c
    assert guest.call("KeRemoveByKeyDeviceQueue", queue, 5) == b
    assert guest.call("KeRemoveByKeyDeviceQueue", queue, 5) == 0
    assert guest.call("KeRemoveByKeyDeviceQueueIfBusy", queue, 5) == 0


def test_taking_one_entry_out(guest: Guest, queue: int) -> None:
    """WDK: "KeRemoveEntryDeviceQueue function (ntifs.h)": FALSE where it is not queued."""
    a, b, c = entries(guest, 3)
    for entry in (a, b, c):
        guest.call("KeInsertDeviceQueue", queue, entry)
    assert guest.call("KeRemoveEntryDeviceQueue", queue, b) == 1
    assert guest.call("KeRemoveEntryDeviceQueue", queue, b) == 0
    assert guest.call("KeRemoveDeviceQueue", queue) == c


def test_a_queue_that_is_none(guest: Guest) -> None:
    with pytest.raises(BugCheck, match="KERNEL_SECURITY_CHECK_FAILURE"):
        guest.call("KeRemoveDeviceQueue", guest.put(bytes(40)))
