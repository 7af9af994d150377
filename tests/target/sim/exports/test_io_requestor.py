"""Share access. WDK pages: "IoCheckShareAccess function (wdm.h)" and its kind."""

from __future__ import annotations

import pytest

from kernellab import ntdata
from kernellab.target.sim.kernel.structs import Struct, size_of

from .conftest import Guest

READ, WRITE, DELETE = 1, 2, 0x10000
VIOLATION = ntdata.status_code("STATUS_SHARING_VIOLATION")


def new(guest: Guest) -> int:
    return guest.put(bytes(size_of("FILE_OBJECT")))


def count(guest: Guest, share: int) -> int:
    return Struct(guest.k.memory, "SHARE_ACCESS", share)["OpenCount"]


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        ((READ, 1), (READ, 1), True),
        ((READ, 0), (READ, 1), False),  # the first does not share
        ((READ, 1), (READ, 0), False),  # the second does not
        ((READ, 1), (WRITE, 1), False),
        ((READ, 3), (WRITE, 1), True),
        ((WRITE, 1), (READ, 1), False),  # the second does not share writing
        ((READ, 7), (DELETE, 7), True),
        ((READ, 0), (0x80, 0), True),  # attributes only
    ],
)
def test_two_openers(
    guest: Guest, first: tuple[int, int], second: tuple[int, int], allowed: bool
) -> None:
    share = guest.room(size_of("SHARE_ACCESS"))
    one, two = new(guest), new(guest)
    guest.call("IoSetShareAccess", *first, one, share)
    assert count(guest, share) == 1
    result = guest.call("IoCheckShareAccess", *second, two, share, 0)
    assert result == (0 if allowed else VIOLATION)
    assert count(guest, share) == 1
    if allowed and second[0] != 0x80:
        guest.call("IoUpdateShareAccess", two, share)
        assert count(guest, share) == 2
        guest.call("IoRemoveShareAccess", two, share)
    guest.call("IoRemoveShareAccess", one, share)
    assert count(guest, share) == 0
    assert guest.call("IoCheckShareAccess", *second, two, share, 1) == 0
