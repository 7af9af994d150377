"""The routines of pool: which pool, which flags, how they fail."""

from __future__ import annotations

import struct

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.structs import const
from kernellab.target.sim.machine.memory import PAGE

from .conftest import Guest

TAG = 0x31676154
NON_PAGED, PAGED = const("POOL_FLAG_NON_PAGED"), const("POOL_FLAG_PAGED")
HUGE = 1 << 40


@pytest.mark.parametrize(
    ("kind", "paged", "execute", "zero"),
    [(0, False, True, False), (1, True, False, False), (512, False, False, False),
     (512 | 1024, False, False, True), (5, True, False, False)],
)  # fmt: skip
def test_pool_types(guest: Guest, kind: int, paged: bool, execute: bool, zero: bool) -> None:
    """WDK: "ExAllocatePoolWithTag function (wdm.h)", "POOL_TYPE enumeration (wdm.h)"."""
    address = guest.call("ExAllocatePoolWithTag", kind, 100, TAG)
    page = guest.k.memory.page(address)
    assert page is not None
    assert guest.k.pool.live[address].paged is paged
    assert page.execute is execute
    assert (guest.read(address, 100) == bytes(100)) is zero
    guest.call("ExFreePoolWithTag", address, TAG)
    assert address not in guest.k.pool.live


@pytest.mark.parametrize("name", ["ExAllocatePoolWithQuota", "ExAllocatePoolWithQuotaTag"])
def test_quota(guest: Guest, name: str) -> None:
    """WDK: "ExAllocatePoolWithQuotaTag function (wdm.h)": a failure raises, unless it must not."""
    address = guest.call(name, 512, 100, TAG)
    guest.call("ExFreePool", address)
    fails = const("POOL_QUOTA_FAIL_INSTEAD_OF_RAISE")
    assert guest.call(name, 512 | fails, HUGE, TAG) == 0
    with pytest.raises(BugCheck) as info:
        guest.call(name, 512, HUGE, TAG)
    assert info.value.parameters[0] == const("STATUS_INSUFFICIENT_RESOURCES")


def test_priority_chooses_the_guarded_side(guest: Guest) -> None:
    """WDK: "ExAllocatePoolWithTagPriority function (wdm.h)"."""
    name = "ExAllocatePoolWithTagPriority"
    below = const("NormalPoolPrioritySpecialPoolUnderrun")
    assert guest.call(name, 512, 10, TAG, below) % PAGE == 0
    above = const("NormalPoolPrioritySpecialPoolOverrun")
    assert guest.call(name, 512, 10, TAG, above) % PAGE == PAGE - 16


@pytest.mark.parametrize(
    ("kind", "optional", "works"), [(1, 0, True), (3, 0, True), (7, 0, False), (7, 1, True)]
)
def test_extended_parameters(guest: Guest, kind: int, optional: int, works: bool) -> None:
    """WDK: "ExAllocatePool3 function (wdm.h)", "ExFreePool2 function (wdm.h)"."""
    priority = const("NormalPoolPrioritySpecialPoolUnderrun")
    parameter = guest.put(struct.pack("<QQ", kind | optional << 8, priority))
    address = guest.call("ExAllocatePool3", NON_PAGED, 10, TAG, parameter, 1)
    assert bool(address) is works
    if kind == 1:
        assert address % PAGE == 0
    if works:
        guest.call("ExFreePool2", address, TAG, 0, 0)
        assert address not in guest.k.pool.live


@pytest.mark.parametrize(
    ("flags", "size", "tag"), [(NON_PAGED, 0, TAG), (NON_PAGED, 1, 0), (0, 1, TAG),
                               (NON_PAGED | PAGED, 1, TAG), (NON_PAGED, HUGE, TAG)]
)  # fmt: skip
def test_allocations_that_fail(guest: Guest, flags: int, size: int, tag: int) -> None:
    """WDK: "ExAllocatePool2 function (wdm.h)"."""
    assert guest.call("ExAllocatePool2", flags, size, tag) == 0


def test_cache_aligned(guest: Guest) -> None:
    """WDK: "POOL_FLAGS": POOL_FLAG_CACHE_ALIGNED."""
    flags = NON_PAGED | const("POOL_FLAG_CACHE_ALIGNED")
    assert guest.call("ExAllocatePool2", flags, 10, TAG) % 64 == 0
