"""Pool allocations: where they lie, what is found out about their misuse, running out."""

from __future__ import annotations

import itertools
import random

import pytest

from kernellab.target.sim.kernel.pool import NONPAGED_START, Allocation, Pool
from kernellab.target.sim.machine.memory import PAGE, Memory, MemoryFault
from kernellab.target.sim.machine.veil import PAGED_START

TAG = int.from_bytes(b"Test", "little")
SIZES = [1, 8, 15, 16, 17, 100, 4080, 4081, 4095, 4096, 4097, 8192, 10_000, 65_536]


@pytest.fixture
def memory() -> Memory:
    return Memory(48 << 20)


@pytest.fixture
def pool(memory: Memory) -> Pool:
    return Pool(memory)


def allocation(pool: Pool, address: int) -> Allocation:
    return pool.live[address]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("paged", [False, True])
def test_place(pool: Pool, memory: Memory, size: int, paged: bool) -> None:
    """WDK: "ExAllocatePool2 function (wdm.h)": 16-byte aligned, from a page on page-aligned."""
    address = pool.allocate(size, TAG, paged=paged)
    assert address % (PAGE if size >= PAGE else 16) == 0
    assert address >> 40 == (PAGED_START if paged else NONPAGED_START) >> 40
    assert memory.read(address, size) == bytes(size)
    # The first byte past the end, rounded up to the alignment, or to the page, is a guard.
    end = address + size
    guard = -(-end // PAGE) * PAGE
    assert guard - end < (PAGE if size >= PAGE else 16)
    with pytest.raises(MemoryFault) as info:
        memory.read(address, guard - address + 1)
    assert info.value.address == guard


def test_fresh_memory_that_is_not_zeroed(pool: Pool, memory: Memory) -> None:
    """Something that is not zero and not what was there before."""
    address = pool.allocate(5000, TAG, zero=False)
    assert set(memory.read(address, 5000)) == {0xCD}


def test_neighbours_have_a_guard_between_them(pool: Pool, memory: Memory) -> None:
    blocks = [pool.allocate(size, TAG) for size in SIZES * 2]
    spans = sorted((a.first, a.first + a.pages * PAGE) for a in pool.live.values())
    assert len(spans) == len(blocks)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert start >= end + PAGE
        assert memory.page(end) is None


@pytest.mark.parametrize("size", [1, 15, 17, 100, 4081, 4097, 10_000])
def test_overrun_offset(pool: Pool, memory: Memory, size: int) -> None:
    address = pool.allocate(size, TAG)
    block = allocation(pool, address)
    assert pool.overrun(block) is None
    memory.write(address, b"\xff" * size)
    assert pool.overrun(block) is None
    last = block.first + block.pages * PAGE - 1
    memory.write(last, b"\0")
    assert pool.overrun(block) == last - address
    memory.write(address + size, b"\0")
    assert pool.overrun(block) == size


@pytest.mark.parametrize("size", [16, 32, 4080, 4096, 8192])
def test_sizes_that_leave_no_room_behind_them(pool: Pool, memory: Memory, size: int) -> None:
    address = pool.allocate(size, TAG)
    assert pool.overrun(allocation(pool, address)) is None
    with pytest.raises(MemoryFault):
        memory.write(address + size, b"\0")


def test_freed_memory_is_gone_for_good(pool: Pool, memory: Memory) -> None:
    address = pool.allocate(100, TAG)
    block = allocation(pool, address)
    pool.free(block)
    assert address not in pool.live
    with pytest.raises(MemoryFault):
        memory.read(address, 1)
    with pytest.raises(MemoryFault):
        memory.write(address, b"x")
    later = {pool.allocate(100, TAG) for _ in range(500)}
    assert address not in later
    assert all(a.first > block.first for a in pool.live.values())


def test_what_an_address_was(pool: Pool) -> None:
    first = pool.allocate(100, TAG)
    second = pool.allocate(200, TAG, paged=True)
    assert pool.near(first + 99) == (pool.live[first], False)
    assert pool.near(first + 100) == (pool.live[first], False)
    assert pool.near(first + 100 + 2 * PAGE) is None
    assert pool.near(second) == (pool.live[second], False)
    freed = pool.live[first]
    pool.free(freed)
    assert pool.near(first) == (freed, True)
    assert pool.near(0) is None


def test_quarantine_remembers_many(pool: Pool) -> None:
    blocks = [pool.allocate(16, TAG) for _ in range(1000)]
    for address in blocks:
        pool.free(pool.live[address])
    assert all(address in pool.freed for address in blocks)
    assert pool.live == {}


def test_quarantine_has_an_end(pool: Pool) -> None:
    for _ in range(10_000):
        pool.free(pool.live[pool.allocate(16, TAG)])
    assert 4096 <= len(pool.freed) <= 4096 + 512
    assert max(pool.freed) == next(reversed(pool.freed))


@pytest.mark.parametrize("size", [16, 100_000, 5 << 20])
def test_exhaustion_is_an_answer(pool: Pool, memory: Memory, size: int) -> None:
    blocks = []
    while address := pool.allocate(size, TAG):
        blocks.append(address)
        assert len(blocks) < 20_000
    assert blocks
    # What is kept back for the machine itself is still there.
    assert memory.available >= 8 << 20
    free = memory.available
    assert pool.allocate(size, TAG) == 0
    assert memory.available == free
    pool.free(pool.live[blocks.pop()])
    assert pool.allocate(size, TAG)


@pytest.mark.parametrize("size", [1 << 30, 1 << 40, (1 << 64) - 1])
def test_sizes_beyond_all_memory(pool: Pool, size: int) -> None:
    assert pool.allocate(size, TAG) == 0
    assert pool.live == {}
    assert pool.allocate(16, TAG)


def test_owners(pool: Pool) -> None:
    mine = [pool.allocate(16, TAG, owner="mine") for _ in range(3)]
    pool.allocate(16, TAG, owner="other")
    pool.allocate(16, TAG)
    assert [a.address for a in pool.owned_by("mine")] == mine
    pool.free(pool.live[mine[1]])
    assert [a.address for a in pool.owned_by("mine")] == [mine[0], mine[2]]
    assert pool.owned_by("nobody") == []


@pytest.mark.parametrize(
    ("tag", "text"), [(TAG, "Test"), (0, "...."), (0x0041_0A7F, "..A."), (0xFFFF_FFFF, "....")]
)
def test_tags_as_they_are_read(pool: Pool, tag: int, text: str) -> None:
    assert pool.live[pool.allocate(1, tag)].tag_text == text


def test_any_order_of_allocations_and_frees(pool: Pool, memory: Memory) -> None:
    """A thousand steps: contents stay, addresses are new, nothing is lost."""
    chance = random.Random(1)
    kept: dict[int, bytes] = {}
    seen: set[int] = set()
    for _ in range(1000):
        if kept and chance.random() < 0.45:
            address = chance.choice(sorted(kept))
            content = kept.pop(address)
            assert memory.read(address, len(content)) == content
            assert pool.overrun(pool.live[address]) is None
            pool.free(pool.live[address])
        else:
            size = chance.choice([*range(1, 100), 4000, 4096, 9000])
            address = pool.allocate(size, TAG, paged=chance.random() < 0.5)
            assert address not in seen
            seen.add(address)
            kept[address] = chance.randbytes(size)
            memory.write(address, kept[address])
    assert set(pool.live) == set(kept)
    for address, content in kept.items():
        assert memory.read(address, len(content)) == content


@pytest.mark.parametrize("size", [1, 15, 17, 100, 4000])
def test_underrun_distance(pool: Pool, memory: Memory, size: int) -> None:
    address = pool.allocate(size, TAG)
    block = allocation(pool, address)
    memory.write(address, b"\xff" * size)
    assert pool.underrun(block) is None
    memory.write(block.first, b"\0")
    assert pool.underrun(block) == address - block.first
    memory.write(address - 3, b"\0")
    assert pool.underrun(block) == 3
    assert pool.overrun(block) is None


@pytest.mark.parametrize("size", SIZES)
def test_guard_in_front(memory: Memory, size: int) -> None:
    """WDK: "ExAllocatePoolWithTagPriority function (wdm.h)": …SpecialPoolUnderrun."""
    pool = Pool(memory, "before")
    address = pool.allocate(size, TAG)
    with pytest.raises(MemoryFault):
        memory.write(address - 1, b"\0")
    block = allocation(pool, address)
    assert address == block.first
    assert pool.overrun(block) is None
    if size % PAGE:
        memory.write(address + size, b"\0")
        assert pool.overrun(block) == size


def test_guard_that_the_seed_decides(memory: Memory) -> None:
    def sides(seed: int) -> list[bool]:
        pool = Pool(memory, "mixed", seed)
        return [pool.live[pool.allocate(8, TAG)].address % PAGE == 0 for _ in range(40)]

    first = sides(1)
    assert {True, False} == set(first)
    memory.__init__(48 << 20)  # type: ignore[misc]
    assert sides(1) == first
    memory.__init__(48 << 20)  # type: ignore[misc]
    assert sides(2) != first


def test_cache_aligned(pool: Pool) -> None:
    assert all(pool.allocate(size, TAG, align=64) % 64 == 0 for size in SIZES)


def test_near_after_many(pool: Pool) -> None:
    """What was forgotten is nobody's; the rest is found."""
    kept = [pool.allocate(16, TAG, paged=n % 2 == 0) for n in range(20)]
    gone = []
    for _ in range(9000):
        gone.append(pool.allocate(16, TAG))
        pool.free(pool.live[gone[-1]])
    assert all(pool.near(address) == (pool.live[address], False) for address in kept)
    assert pool.near(gone[0]) is None
    assert pool.near(gone[-1]) == (pool.freed[gone[-1]], True)
