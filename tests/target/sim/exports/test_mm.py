"""What the memory manager says of the machine."""

from __future__ import annotations

from kernellab.target.sim.kernel.structs import const

from .conftest import Guest


def test_system_size(guest: Guest) -> None:
    """WDK: "MmQuerySystemSize function (wdm.h)"."""
    assert guest.call("MmQuerySystemSize") == const("MmMediumSystem")


def test_address_valid(guest: Guest) -> None:
    """WDK: "MmIsAddressValid function (ntddk.h)"."""
    address = guest.room(16)
    assert guest.call("MmIsAddressValid", address + 15)
    assert not guest.call("MmIsAddressValid", address + 16)
