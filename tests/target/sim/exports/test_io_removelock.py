"""Remove locks. WDK page: "Using Remove Locks"."""

from __future__ import annotations

import pytest

from kernellab import ntdata
from kernellab.target.sim.kernel.scheduler import Stuck
from kernellab.target.sim.kernel.structs import size_of

from .conftest import Guest

SIZE = size_of("IO_REMOVE_LOCK")
DELETE_PENDING = ntdata.status_code("STATUS_DELETE_PENDING")


@pytest.fixture
def lock(guest: Guest) -> int:
    address = guest.room(SIZE)
    guest.call("IoInitializeRemoveLockEx", address, 0x6B636F4C, 1, 5, SIZE)
    return address


def acquire(guest: Guest, lock: int) -> int:
    return guest.call("IoAcquireRemoveLockEx", lock, 0, 0, 0, SIZE)


def test_no_acquisition_after_the_removal(guest: Guest, lock: int) -> None:
    """WDK: "IoAcquireRemoveLock macro (wdm.h)", "IoReleaseRemoveLockAndWait macro (wdm.h)"."""
    assert [acquire(guest, lock) for _ in range(2)] == [0, 0]
    guest.call("IoReleaseRemoveLockEx", lock, 0, SIZE)
    guest.call("IoReleaseRemoveLockAndWaitEx", lock, 0, SIZE)
    assert acquire(guest, lock) == DELETE_PENDING


def test_the_removal_waits_for_others(guest: Guest, lock: int) -> None:
    for _ in range(2):
        acquire(guest, lock)
    with pytest.raises(Stuck, match="a remove lock to be released by others"):
        guest.call("IoReleaseRemoveLockAndWaitEx", lock, 0, SIZE)


def test_releasing_too_often_is_told(guest: Guest, lock: int) -> None:
    """WDK: "IoReleaseRemoveLock macro (wdm.h)"."""
    told: list[int] = []
    guest.k.bus.on("remove-lock-released-twice", told.append)
    acquire(guest, lock)
    guest.call("IoReleaseRemoveLockEx", lock, 0, SIZE)
    assert told == []
    guest.call("IoReleaseRemoveLockEx", lock, 0, SIZE)
    assert told == [lock]
