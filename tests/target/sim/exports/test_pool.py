"""The routines of pool: which pool, which flags, how they fail."""

from __future__ import annotations

import struct

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.snapshot import Snapshot
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


def _damaged(
    guest: Guest, size: int, offset: int, *, priority: int = 16, value: int = 1
) -> tuple[int, BugCheck | None]:
    """Free an allocation outside of which a byte was written: its address, the bug check."""
    address = guest.call("ExAllocatePoolWithTagPriority", 512, size, TAG, priority)
    guest.k.memory.write(address + offset, bytes([value]))
    try:
        guest.call("ExFreePoolWithTag", address, TAG)
    except BugCheck as check:
        return address, check
    return address, None


def _facts(check: BugCheck | None) -> tuple[str, tuple[int, ...]]:
    assert check is not None
    return check.name, check.parameters


def test_damage_that_no_rule_reports_is_0x19() -> None:
    """ "Bug Check 0x19: BAD_POOL_HEADER", 0x20 (a header) and 0x21 (behind the data)."""
    bare = Guest({"pool-overrun": False, "pool-underrun": False})
    at, check = _damaged(bare, 30, -1)
    assert _facts(check) == ("BAD_POOL_HEADER", (0x20, at - 16, at + 32, 0))
    assert check is not None and "1 byte before the beginning of 30 bytes" in check.message
    at, check = _damaged(Guest(bare.rules), 30, 31, value=0x41)
    assert _facts(check) == ("BAD_POOL_HEADER", (0x21, at, 30, 0x41))
    at, check = _damaged(Guest(bare.rules), 5000, 5001, value=0x42)
    assert _facts(check) == ("BAD_POOL_HEADER", (0x21, at, 5000, 0x42))
    at, check = _damaged(Guest(bare.rules, "before"), 30, 40)
    assert _facts(check) == ("BAD_POOL_HEADER", (0x20, at - 16, at + 32, 0))


def test_damage_further_away_is_another_allocations() -> None:
    """What lies behind both headers is data of others on Windows, which nothing notices."""
    rules = {"pool-overrun": False, "pool-underrun": False}
    assert _damaged(Guest(rules), 30, -17)[1] is None
    assert _damaged(Guest(rules, "before"), 30, 48)[1] is None


def test_damage_that_a_rule_reports_is_no_bug_check(guest: Guest) -> None:
    """The rule stands in for the bug check: the machine goes on, each of the two by itself."""
    assert _damaged(guest, 30, -1)[1] is None and _damaged(guest, 30, 30)[1] is None
    told = [fields["rule"] for kind, fields in guest.events if kind == "violation"]
    assert told == ["pool-underrun", "pool-overrun"]
    one = Guest({"pool-overrun": False})
    assert _damaged(one, 30, -1)[1] is None
    assert _facts(_damaged(one, 30, 30)[1])[0] == "BAD_POOL_HEADER"


def test_damage_of_special_pool_is_0xc1() -> None:
    """ "Bug Check 0xC1: SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION", 0x23, 0x24 and 0x32."""
    rules = {"pool-overrun": False, "pool-underrun": False}
    name = "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION"
    over = const("NormalPoolPrioritySpecialPoolOverrun")
    under = const("NormalPoolPrioritySpecialPoolUnderrun")
    for offset, priority, value, kind in (
        *((-100, over, 1, 0x23), (31, over, 1, 0x24), (30, under, 1, 0x24)),
        (-100, over, 0xFC, 0x32),
    ):
        at, check = _damaged(Guest(rules), 30, offset, priority=priority, value=value)
        assert _facts(check) == (name, (at, at + offset, 0, kind))


def test_wild_free_at_dispatch_level_is_0xc5(guest: Guest) -> None:
    """ "Bug Check 0xC5: DRIVER_CORRUPTED_EXPOOL": memory, IRQL, read, the pool's routine."""
    wild = 0xFFFF_A800_7777_0040
    with pytest.raises(BugCheck) as info:
        guest.call("ExFreePoolWithTag", wild, TAG, irql=2)
    routine = guest.k.stub_of("ExFreePoolWithTag")
    assert _facts(info.value) == ("DRIVER_CORRUPTED_EXPOOL", (wild - 16, 2, 0, routine))
    other = Guest()
    with pytest.raises(BugCheck) as info:
        other.call("ExFreePoolWithTag", wild, TAG)
    assert info.value.name == "BAD_POOL_CALLER"


def test_a_snapshot_does_not_grow_with_what_is_gone(guest: Guest) -> None:
    """What was freed long ago, and what an allocation's stack was, cost a restore nothing."""

    def use(count: int) -> None:
        for _ in range(count):
            guest.call("ExFreePool", guest.call("ExAllocatePool2", 0x40, 64, TAG))

    use(10)
    before = Snapshot(guest.k)
    use(600)
    after = Snapshot(guest.k)
    assert len(after._state) < len(before._state) + 200
    freed = list(guest.k.pool.freed.values())[-1]
    before.restore(guest.k)
    assert freed.address not in guest.k.pool.freed
    after.restore(guest.k)
    assert guest.k.pool.freed[freed.address] is freed


def test_a_snapshot_has_the_stacks_of_allocations(guest: Guest) -> None:
    """Freed since, and so long ago that its stack was forgotten: it is live again with it."""
    k = guest.k
    block = guest.call("ExAllocatePool2", 0x40, 64, TAG)
    made = k.pool.stacks(k.pool.live[block])
    assert made[0] is not None and made[1] is None
    snapshot = Snapshot(k)
    for _ in range(2):
        guest.call("ExFreePool", block)
        assert k.pool.stacks(k.pool.freed[block])[1] is not None
        for _ in range(600):
            guest.call("ExFreePool", guest.call("ExAllocatePool2", 0x40, 64, TAG))
        assert k.pool.stacks(k.pool.freed[block]) == (None, None)
        snapshot.restore(k)
        assert k.pool.stacks(k.pool.live[block]) == made
