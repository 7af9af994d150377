"""Physical memory and page tables, seen from the host and walked as the processor does."""

from __future__ import annotations

import random
import struct

import pytest

from kernellab.target.sim.machine.memory import (
    ACCESSED,
    HIGHEST_USER,
    KERNEL_START,
    PAGE,
    Memory,
    MemoryFault,
    OutOfMemory,
    canonical,
)

BASE = 0xFFFF_A000_0000_0000
PRESENT, WRITE, USER, NO_EXECUTE = 1, 2, 4, 1 << 63
SIZE = 16 << 20


@pytest.fixture
def memory() -> Memory:
    return Memory(SIZE)


def walk(memory: Memory, address: int) -> int:
    """The leaf entry for an address, found as the manuals of the processor describe; or 0."""
    table = memory.root
    for shift in (39, 30, 21, 12):
        slot = (table & 0x000F_FFFF_FFFF_F000) + (address >> shift & 0x1FF) * 8
        (table,) = struct.unpack_from("<Q", memory.ram, slot)
        if not table & PRESENT:
            return 0
    return int(table)


def fault(access: str, address: int, call: object, *arguments: object) -> None:
    assert callable(call)
    with pytest.raises(MemoryFault) as info:
        call(*arguments)
    assert (info.value.access, info.value.address) == (access, address)


def test_fresh_memory_is_zero_and_mapped_where_asked(memory: Memory) -> None:
    memory.map(BASE, 2)
    assert memory.read(BASE, 2 * PAGE) == bytes(2 * PAGE)
    fault("read", BASE - 1, memory.read, BASE - 1, 1)
    fault("read", BASE + 2 * PAGE, memory.read, BASE + 2 * PAGE, 1)
    assert memory.page(BASE + PAGE) is not None
    assert memory.page(BASE + 2 * PAGE) is None


@pytest.mark.parametrize("size", [1, 2, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 3 * PAGE + 7])
@pytest.mark.parametrize("offset", [0, 1, PAGE - 1])
def test_access_over_page_borders(memory: Memory, size: int, offset: int) -> None:
    for page in (3, 0, 2, 1, 4):  # neighbours here are not neighbours in physical memory
        memory.map(BASE + page * PAGE)
    data = random.Random(size).randbytes(size)
    memory.write(BASE + offset, data)
    assert memory.read(BASE + offset, size) == data
    assert memory.read(BASE, offset) == bytes(offset)
    rest = 5 * PAGE - offset - size
    assert memory.read(BASE + offset + size, rest) == bytes(rest)


def test_faults_name_the_first_byte_that_is_missing(memory: Memory) -> None:
    memory.map(BASE)
    memory.map(BASE + 2 * PAGE)
    fault("read", BASE + PAGE, memory.read, BASE + 10, 3 * PAGE)
    fault("read", BASE + PAGE + 5, memory.read, BASE + PAGE + 5, 1)
    fault("write", BASE + PAGE, memory.write, BASE + PAGE - 4, b"12345678")
    assert memory.read(BASE + PAGE - 4, 4) == bytes(4)  # nothing of it was written
    assert memory.try_read(BASE + PAGE - 4, 8) is None
    assert memory.try_read(BASE + PAGE - 4, 4) == bytes(4)


def test_read_only_pages(memory: Memory) -> None:
    memory.map(BASE)
    memory.map(BASE + PAGE, write=False)
    memory.write_image(BASE + PAGE, b"constant")
    assert memory.read(BASE + PAGE, 8) == b"constant"
    fault("write", BASE + PAGE, memory.write, BASE + PAGE, b"x")
    fault("write", BASE + PAGE, memory.write, BASE + PAGE - 2, b"wxyz")
    assert memory.read(BASE + PAGE - 2, 4) == b"\0\0co"
    memory.protect(BASE + PAGE, 1, write=True, execute=False)
    memory.write(BASE + PAGE - 2, b"wxyz")
    assert memory.read(BASE + PAGE - 2, 4) == b"wxyz"
    memory.protect(BASE + PAGE, 1, write=False, execute=True)
    fault("write", BASE + PAGE, memory.write, BASE + PAGE, b"x")


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("execute", [True, False])
def test_entries_say_what_is_allowed(memory: Memory, write: bool, execute: bool) -> None:
    """Intel SDM, volume 3, "4-Level Paging": present, R/W, execute-disable."""
    memory.map(BASE, write=write, execute=execute)
    entry = walk(memory, BASE)
    assert entry == memory.entry(BASE)
    assert bool(entry & WRITE) is write
    assert bool(entry & NO_EXECUTE) is not execute
    assert not entry & USER
    page = memory.page(BASE)
    assert page is not None
    assert entry & 0x000F_FFFF_FFFF_F000 == page.physical
    memory.protect(BASE, 1, write=not write, execute=not execute)
    entry = walk(memory, BASE)
    assert bool(entry & WRITE) is not write
    assert bool(entry & NO_EXECUTE) is execute


def test_user_pages(memory: Memory) -> None:
    memory.map(0x10000, user=True)
    assert walk(memory, 0x10000) & USER
    memory.write(0x10FFE, b"ab")
    assert memory.read(0x10FFE, 2) == b"ab"
    fault("read", 0x11000, memory.read, 0x10FFE, 3)


def test_unmapping_takes_the_page_away_from_the_processor_too(memory: Memory) -> None:
    memory.map(BASE, 3)
    memory.write(BASE, b"x" * 3 * PAGE)
    memory.ram[memory.leaf_entry(BASE + PAGE >> 12)] |= ACCESSED  # as the processor does
    memory.stale = False
    memory.unmap(BASE + PAGE)
    assert memory.stale
    assert walk(memory, BASE + PAGE) == memory.entry(BASE + PAGE) == 0
    fault("read", BASE + PAGE, memory.read, BASE, 3 * PAGE)
    assert memory.read(BASE + 2 * PAGE, 1) == b"x"
    memory.map(BASE + PAGE)
    assert memory.read(BASE + PAGE, PAGE) == bytes(PAGE)  # not what was there before


def test_what_the_processor_never_accessed_it_need_not_forget(memory: Memory) -> None:
    memory.map(BASE)
    memory.stale = False
    memory.unmap(BASE)
    assert not memory.stale
    assert memory.entry(BASE) == 0


def test_stricter_protection_is_told_to_the_processor(memory: Memory) -> None:
    memory.map(BASE)
    memory.stale = False
    memory.protect(BASE, 1, write=False, execute=False)
    assert memory.stale


def test_nothing_is_mapped_twice(memory: Memory) -> None:
    memory.map(BASE)
    with pytest.raises(ValueError, match="mapped already"):
        memory.map(BASE)


def test_two_views_of_one_page(memory: Memory) -> None:
    memory.map(BASE)
    page = memory.page(BASE)
    assert page is not None
    memory.map(BASE + 8 * PAGE, physical=[page.physical], write=False)
    memory.write(BASE + 5, b"seen")
    assert memory.read(BASE + 8 * PAGE + 5, 4) == b"seen"
    free = memory.available
    memory.unmap(BASE + 8 * PAGE, release=False)
    assert memory.available == free
    assert memory.read(BASE + 5, 4) == b"seen"


def test_memory_runs_out_without_a_trace(memory: Memory) -> None:
    pages = memory.available // PAGE
    memory.map(BASE, pages - 200)
    before = memory.available
    with pytest.raises(OutOfMemory):
        memory.map(BASE + SIZE, 200)
    assert memory.available == before
    assert memory.page(BASE + SIZE) is None
    memory.unmap(BASE, 100)
    memory.map(BASE + SIZE, 200)
    memory.write(BASE + SIZE, b"x" * 200 * PAGE)


def test_what_is_given_back_is_all_there_again(memory: Memory) -> None:
    memory.map(BASE, 500)
    memory.unmap(BASE, 500)
    before = memory.available
    for _ in range(20):
        memory.map(BASE, 500)
        memory.unmap(BASE, 500)
    assert memory.available == before


def test_numbers_of_all_widths(memory: Memory) -> None:
    memory.map(BASE, 2)
    at = BASE + PAGE - 3
    memory.set_u64(at, -2)
    assert memory.u64(at) == 0xFFFF_FFFF_FFFF_FFFE
    memory.set_u32(at, 0x1_2345_6789)
    assert memory.u32(at) == 0x2345_6789
    memory.set_u16(at, 0x1_BEEF)
    assert (memory.u16(at), memory.u8(at)) == (0xBEEF, 0xEF)
    memory.set_u8(at, 0x1FF)
    assert memory.read(at, 8) == bytes.fromhex("ffbe4523 ffffffff")


@pytest.mark.parametrize(
    ("address", "good"),
    [
        (0, True),
        (HIGHEST_USER, True),
        (0x0000_7FFF_FFFF_FFFF, True),
        (0x0000_8000_0000_0000, False),
        (KERNEL_START - 1, False),
        (KERNEL_START, True),
        (0xFFFF_FFFF_FFFF_FFFF, True),
        (1 << 63, False),
        (1 << 64, False),
    ],
)
def test_canonical_addresses(memory: Memory, address: int, good: bool) -> None:
    """Intel SDM, volume 1, "Canonical Addressing": bits 63 to 47 are the same."""
    assert canonical(address) is good
    fault("read", address, memory.read, address, 1)
    fault("write", address, memory.write, address, b"x")
    assert memory.entry(address) == 0
